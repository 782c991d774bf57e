"""The atomic steps that are more than one Redis command, in Lua.

Every script touches the keys it is given and no others. In a Cluster all of them carry one hash
tag, so that a script runs on one node. Each step is a function of its keys K and its words A,
and is false where it does not hold. Stored form of a record, as one string:

    VERSION SP EXPIRES LF VALUE        EXPIRES in seconds, "-" for never

Whether a record has expired is judged by the caller's clock; the keys' TTL only clears away.
"""

from __future__ import annotations

from typing import Final

_READ: Final = """
local function read(raw, now)
  if not raw then return nil, false end
  local version, expires = string.match(raw, '^(%d+) (%S+)\\n')
  return version, expires == '-' or tonumber(expires) > tonumber(now)
end
"""

# K: record, index of names (scored by expiry), sequence of versions, and where ends are found by
#    time (`ends`) the index of owners by the soonest
# A: name, value, expires | -, now, if_version | -, ttl in ms | -, ttl of the sequence in ms,
#    score below which names are forgotten, owner
_PUT: Final = """
local function put(K, A)
  local old, live = read(redis.call('GET', K[1]), A[4])
  if A[5] ~= '-' and A[5] ~= (live and old or '0') then return false end
  if redis.call('EXISTS', K[3]) == 0 then
    -- A sequence that was cleared away must not start below versions handed out before.
    local time = redis.call('TIME')
    redis.call('SET', K[3], time[1] .. string.format('%06d', time[2]))
  end
  local version = redis.call('INCR', K[3])
  if old and tonumber(old) >= version then
    version = tonumber(old) + 1
    redis.call('SET', K[3], string.format('%.0f', version))
  end
  redis.call('PEXPIRE', K[3], A[7])
  if K[4] then redis.call('ZADD', K[4], 'LT', A[3], A[9]) end
  version = string.format('%.0f', version)
  local raw = version .. ' ' .. A[3] .. '\\n' .. A[2]
  redis.call('ZREMRANGEBYSCORE', K[2], '-inf', A[8])
  local left = redis.call('PTTL', K[2])
  if A[6] == '-' then
    redis.call('SET', K[1], raw)
    redis.call('ZADD', K[2], '+inf', A[1])
    redis.call('PERSIST', K[2])
  else
    redis.call('SET', K[1], raw, 'PX', A[6])
    redis.call('ZADD', K[2], A[3], A[1])
    if left == -2 or (left >= 0 and left < tonumber(A[6])) then
      redis.call('PEXPIRE', K[2], A[6])
    end
  end
  return version
end
"""

# K: record, index of names; A: name, now, if_version | -
_DELETE: Final = """
local function delete(K, A)
  local old, live = read(redis.call('GET', K[1]), A[2])
  if not live or (A[3] ~= '-' and A[3] ~= old) then return 0 end
  redis.call('DEL', K[1])
  redis.call('ZREM', K[2], A[1])
  return 1
end
"""

# K: hash of bucket end -> events; A: end of this bucket, events to add, oldest, ttl in ms
_COUNT: Final = """
local function count(K, A)
  local add = tonumber(A[2])
  if add > 0 then
    redis.call('HINCRBY', K[1], A[1], add)
    redis.call('PEXPIRE', K[1], A[4])
  end
  local all = redis.call('HGETALL', K[1])
  local total = 0
  for i = 1, #all, 2 do
    if tonumber(all[i]) > tonumber(A[3]) then
      total = total + tonumber(all[i + 1])
    elseif add > 0 then
      redis.call('HDEL', K[1], all[i])
    end
  end
  return total
end
"""

# K: stream; A: entry, number of the last entry | -
_APPEND: Final = """
local function append(K, A)
  local last = '0'
  if redis.call('EXISTS', K[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', K[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then last = string.match(info[i + 1], '^(%d+)') end
    end
  end
  if A[2] ~= '-' and A[2] ~= last then return false end
  local number = string.format('%.0f', tonumber(last) + 1)
  redis.call('XADD', K[1], number .. '-0', 'e', A[1])
  return number
end
"""

# K: record; A: version, now
_EXPECT: Final = """
local function expect(K, A)
  local version, live = read(redis.call('GET', K[1]), A[2])
  if (live and version or '0') ~= A[1] then return false end
  return A[1]
end
"""

PUT: Final = _READ + _PUT + "return put(KEYS, ARGV)"
DELETE: Final = _READ + _DELETE + "return delete(KEYS, ARGV)"
COUNT: Final = _COUNT + "return count(KEYS, ARGV)"
APPEND: Final = _APPEND + "return append(KEYS, ARGV)"

# KEYS: an index of names; ARGV: where to begin, how many at most. In order, or "" where some of the
# records expire, so that the index is in another order.
PAGE_OF_NAMES: Final = """
if redis.call('ZCOUNT', KEYS[1], '-inf', '(inf') > 0 then return '' end
return redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
"""

# KEYS: indexes of names, not in a Cluster; the places of the indexes that all the names are in, and
# the names.
NAMES: Final = """
local places, all = {}, {}
for place, index in ipairs(KEYS) do
  for _, name in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    places[#places + 1] = place
    all[#all + 1] = name
  end
end
return {table.concat(places, ' '), all}
"""

# KEYS: index of owners by the soonest end; ARGV: owner, end as it was read, end now | -, …
# An end that was changed meanwhile is left as it is.
MOVE_ENDS: Final = """
for i = 1, #ARGV, 3 do
  local ends = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if ends and tonumber(ends) == tonumber(ARGV[i + 1]) then
    if ARGV[i + 2] == '-' then
      redis.call('ZREM', KEYS[1], ARGV[i])
    else
      redis.call('ZADD', KEYS[1], ARGV[i + 2], ARGV[i])
    end
  end
end
return 1
"""

# ARGV: for each step its name, how many of KEYS and how many of ARGV are its own, and those
TRANSACT: Final = (
    _READ
    + _PUT
    + _DELETE
    + _COUNT
    + _APPEND
    + _EXPECT
    + """
local steps = {put = put, delete = delete, count = count, append = append, expect = expect}
local done, key, at = {}, 1, 1
while at <= #ARGV do
  local K, A, keys, words = {}, {}, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  for i = 1, keys do K[i] = KEYS[key + i - 1] end
  for i = 1, words do A[i] = ARGV[at + 2 + i] end
  local gave = steps[ARGV[at]](K, A)
  if not gave or (ARGV[at] == 'delete' and gave == 0) then return done end
  done[#done + 1] = gave
  key, at = key + keys, at + 3 + words
end
return done
"""
)
