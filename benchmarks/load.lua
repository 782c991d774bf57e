-- Requests as real clients send them, over many paths. Arguments: kind, number of paths, and a
-- header line that all of them carry. The kinds open and closed are for a private index: one
-- client, pip, with no other credential than that line's.
local blocks = {
  "Host: packages.example.org\r\nUser-Agent: pip/24.0 {\"ci\":null,\"cpu\":\"x86_64\",\"distro\":{\"id\":\"bookworm\",\"libc\":{\"lib\":\"glibc\",\"version\":\"2.36\"},\"name\":\"Debian GNU/Linux\",\"version\":\"12\"},\"implementation\":{\"name\":\"CPython\",\"version\":\"3.11.2\"},\"installer\":{\"name\":\"pip\",\"version\":\"24.0\"},\"openssl_version\":\"OpenSSL 3.0.15\",\"python\":\"3.11.2\",\"system\":{\"name\":\"Linux\",\"release\":\"6.1.0\"}}\r\nAccept-Encoding: gzip, deflate\r\nAccept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\r\n",
  "user-agent: uv/0.9.1 {\"installer\":{\"name\":\"uv\",\"version\":\"0.9.1\"},\"python\":\"3.11.2\",\"implementation\":{\"name\":\"CPython\",\"version\":\"3.11.2\"},\"distro\":{\"name\":\"Debian GNU/Linux\",\"version\":\"12\"},\"system\":{\"name\":\"Linux\"},\"cpu\":\"x86_64\"}\r\naccept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01\r\naccept-encoding: gzip, br, zstd\r\nhost: packages.example.org\r\n\r\n",
  "Host: packages.example.org\r\nConnection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n",
  "Host: packages.example.org\r\nUser-Agent: twine/7.0.0 requests/2.34.2 setuptools/80.9\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nAuthorization: Basic dXBsb2FkZXI6cGFzc3dvcmQ=\r\n\r\n",
}
local requests, at = {}, 0

function init(args)
  local kind, paths, line = args[1], tonumber(args[2]), args[3]
  if kind == "open" or kind == "closed" then
    blocks = { blocks[1] }
  end
  if line then
    for n = 1, #blocks do blocks[n] = blocks[n]:sub(1, -3) .. line .. "\r\n\r\n" end
  end
  for n = 1, paths do
    local path
    if kind == "wheel" then
      path = string.format("/root/pypi/+f/%03x/%013x/project_%d-1.0-py3-none-any.wheel", n % 4096, n * 7919, n)
    elseif kind == "closed" then
      path = string.format("/root/dev/+simple/project-%d/", n)
    else
      path = string.format("/root/pypi/+simple/project-%d/", n)
    end
    requests[n] = "GET " .. path .. " HTTP/1.1\r\n" .. blocks[n % #blocks + 1]
  end
  -- An order that does not follow the numbers, the same for everybody.
  math.randomseed(7)
  for n = paths, 2, -1 do
    local m = math.random(n)
    requests[n], requests[m] = requests[m], requests[n]
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, requests)
  io.write(string.format(
    "RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
