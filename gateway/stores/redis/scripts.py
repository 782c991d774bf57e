"""The atomic steps that are more than one Redis command, in Lua.

Every script touches the keys it is given and no others, and all of them carry one hash tag, so
a script runs on one node of a Cluster. Stored form of a record, as one string:

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

# KEYS: record, index of names (scored by expiry), sequence of versions
# ARGV: name, value, expires | -, now, if_version | -, ttl in ms | -, ttl of the sequence in ms,
#       score below which names are forgotten
PUT: Final = (
    _READ
    + """
local old, live = read(redis.call('GET', KEYS[1]), ARGV[4])
if ARGV[5] ~= '-' and ARGV[5] ~= (live and old or '0') then return false end
if redis.call('EXISTS', KEYS[3]) == 0 then
  -- A sequence that was cleared away must not start below versions handed out before.
  local time = redis.call('TIME')
  redis.call('SET', KEYS[3], time[1] .. string.format('%06d', time[2]))
end
local version = redis.call('INCR', KEYS[3])
if old and tonumber(old) >= version then
  version = tonumber(old) + 1
  redis.call('SET', KEYS[3], string.format('%.0f', version))
end
redis.call('PEXPIRE', KEYS[3], ARGV[7])
version = string.format('%.0f', version)
local raw = version .. ' ' .. ARGV[3] .. '\\n' .. ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[8])
local left = redis.call('PTTL', KEYS[2])
if ARGV[6] == '-' then
  redis.call('SET', KEYS[1], raw)
  redis.call('ZADD', KEYS[2], '+inf', ARGV[1])
  redis.call('PERSIST', KEYS[2])
else
  redis.call('SET', KEYS[1], raw, 'PX', ARGV[6])
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  if left == -2 or (left >= 0 and left < tonumber(ARGV[6])) then
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
  end
end
return version
"""
)

# KEYS: record, index of names; ARGV: name, now, if_version | -
DELETE: Final = (
    _READ
    + """
local old, live = read(redis.call('GET', KEYS[1]), ARGV[2])
if not live or (ARGV[3] ~= '-' and ARGV[3] ~= old) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""
)

# KEYS: hash of bucket end -> events; ARGV: end of this bucket, events to add, oldest, ttl in ms
COUNT: Final = """
local add = tonumber(ARGV[2])
if add > 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[1], add)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
local all = redis.call('HGETALL', KEYS[1])
local total = 0
for i = 1, #all, 2 do
  if tonumber(all[i]) > tonumber(ARGV[3]) then
    total = total + tonumber(all[i + 1])
  elseif add > 0 then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return total
"""

# KEYS: stream; ARGV: entry, number of the last entry | -
APPEND: Final = """
local last = '0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = string.match(info[i + 1], '^(%d+)') end
  end
end
if ARGV[2] ~= '-' and ARGV[2] ~= last then return false end
local number = string.format('%.0f', tonumber(last) + 1)
redis.call('XADD', KEYS[1], number .. '-0', 'e', ARGV[1])
return number
"""
