"""Who is measured, and how each is configured. One function per contestant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import LOAD_CORE, PROXY_CORE, REPOSITORY, Process, free_port
from benchmarks.session import cookie_field

NGINX_TUNED = """\
proxy_buffering on; proxy_buffer_size 64k; proxy_buffers 8 256k; proxy_busy_buffers_size 512k;
      proxy_max_temp_file_size 0; proxy_request_buffering off; client_body_buffer_size 256k;"""

_NGINX = """\
daemon off; user root; worker_processes 1; worker_rlimit_nofile 65536; pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 32768; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 100000000; keepalive_timeout 600s;
  sendfile on; tcp_nodelay on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream index {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 100000000; }}
  {extra}
  server {{
    listen 127.0.0.1:{port} backlog=4096 reuseport;
    location / {{
      {auth}
      {options}
      proxy_pass http://index; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Outside-URL http://localhost:8080;
    }}
    {auth_location}
  }}
}}
"""

_HAPROXY = """\
global
  maxconn 4096
  nbthread 1
  log /dev/null local0
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option splice-auto
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend index
backend index
  option forwardfor
  http-request set-header X-Outside-URL http://localhost:8080
  server one 127.0.0.1:{upstream}
"""

_UPSTREAM = """\
daemon off; user root; worker_processes 1; worker_rlimit_nofile 65536; pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 32768; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  open_file_cache max=100;
  upstream sink {{ server 127.0.0.1:{sink}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {dir}; default_type text/html;
    location / {{ rewrite ^ /page break; }}
    location ~ wheel {{ rewrite ^ /wheel break; }}
    location ~ large {{ rewrite ^ /large break; }}
    location /root/dev/ {{
      proxy_pass http://sink; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; client_max_body_size 0; client_body_buffer_size 256k;
    }}
  }}
}}
"""

_GATEWAY = """\
version: 1
listen: 127.0.0.1:{port}
public_url: http://localhost:8080
upstream: {{kind: devpi, url: "http://127.0.0.1:{upstream}"}}
store: sqlite:state.db
keys: file:gateway.keys
second_factor: {{enrolment: required, issuer: Bench}}
rules:
{rules}
default: second_factor
"""


@dataclass(frozen=True)
class Places:
    """Where things are: a directory for files, the ports of the upstream and of the sink."""

    base: Path
    upstream: int
    sink: int

    def room(self, name: str) -> Path:
        room = self.base / name
        room.mkdir(parents=True, exist_ok=True)
        return room


def upstream(places: Places) -> Process:
    """The index of the measurement: nginx with files, on the load's core."""
    room = places.base / "index"
    config = room / "nginx.conf"
    config.write_text(_UPSTREAM.format(dir=room, port=places.upstream, sink=places.sink))
    return Process(
        ["nginx", "-c", str(config)], core=LOAD_CORE, port=places.upstream, log=room / "log"
    )


def _nginx(places: Places, name: str, options: str, auth: int | None = None) -> Process:
    room = places.room(name)
    config = room / "nginx.conf"
    port = free_port()
    config.write_text(
        _NGINX.format(
            dir=room, port=port, upstream=places.upstream, options=options,
            auth="auth_request /+auth;" if auth else "",
            extra=f"upstream auth {{ server 127.0.0.1:{auth}; keepalive 128; }}" if auth else "",
            auth_location=(
                "location = /+auth { internal; proxy_pass http://auth; proxy_http_version 1.1; "
                'proxy_set_header Connection ""; proxy_pass_request_body off; '
                'proxy_set_header Content-Length ""; proxy_set_header X-Target $request_uri; }'
                if auth else ""
            ),
        )
    )  # fmt: skip
    return Process(
        ["nginx", "-c", str(config)], core=PROXY_CORE, port=port, log=room / "log",
        fields=cookie_field() if auth else b"",
    )  # fmt: skip


def nginx_tuned(places: Places) -> Process:
    return _nginx(places, "nginx-tuned", NGINX_TUNED)


def nginx_again(places: Places) -> Process:
    return _nginx(places, "nginx-again", NGINX_TUNED)


def nginx_default(places: Places) -> Process:
    return _nginx(places, "nginx-default", "")


def nginx_auth(places: Places, kind: str = "auth") -> Process:
    """nginx that asks a small service about each request; both count."""
    service = free_port()
    room = places.room(kind)
    process = _nginx(places, f"nginx-{kind}", NGINX_TUNED, auth=service)
    process.attach(
        Process(
            [sys.executable, "-m", "benchmarks.plain", kind, str(service)],
            core=PROXY_CORE,
            port=service,
            log=room / "log",
            ask="/+auth",
            fields=cookie_field(),
        )
    )
    return process


def nginx_yes(places: Places) -> Process:
    return nginx_auth(places, "yes")


def haproxy(places: Places) -> Process:
    room = places.room("haproxy")
    port = free_port()
    config = room / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=port, upstream=places.upstream))
    return Process(
        ["haproxy", "-db", "-f", str(config)], core=PROXY_CORE, port=port, log=room / "log"
    )


def plain_aiohttp(places: Places) -> Process:
    port = free_port()
    room = places.room("aiohttp")
    return Process(
        [sys.executable, "-m", "benchmarks.plain", "proxy", str(port), str(places.upstream)],
        core=PROXY_CORE, port=port, log=room / "log",
    )  # fmt: skip


def gateway(
    places: Places,
    rules: int = 10,
    *,
    name: str = "",
    before: Sequence[str] = (),
    look: bool = False,
) -> Process:
    """The real thing, with that many rules; the one that matches comes last.

    Args:
        look: also tell at start what does not work, in a process beside it, as is usual.
        before: words that run the module `gateway` some other way, under a profiler, say.
    """
    room = places.room(name or f"gateway-{rules}")
    port = free_port()
    lines = [
        f'  - {{name: "rule {n}", match: {{methods: [POST, PUT], '
        f'path: "/{{user}}/index{n}/{{project}}"}}, policy: second_factor}}'
        for n in range(rules - 2)
    ]
    lines += [
        '  - {name: uploads, match: {methods: [POST], path: "/{user}/{index}"}, policy: pass}',
        '  - {name: reads, match: {methods: [GET], path: "/{user}/{index}/**"}, policy: pass}',
    ]
    (room / "gateway.yaml").write_text(
        _GATEWAY.format(port=port, upstream=places.upstream, rules="\n".join(lines))
    )
    command = str(Path(sys.executable).with_name("index-gateway"))
    if not (room / "gateway.keys").exists():
        subprocess.run(
            [command, "keys", "new", "-o", str(room / "gateway.keys")],
            check=True, capture_output=True, cwd=REPOSITORY,
        )  # fmt: skip
    words = [*before, "gateway"] if before else [command]
    return Process(
        [*words, "serve", *([] if look else ["--no-look"]), "-c", str(room / "gateway.yaml")],
        core=PROXY_CORE, port=port, log=room / "log",
    )  # fmt: skip


def gateway_many(places: Places) -> Process:
    return gateway(places, 200)


CONTESTANTS: dict[str, Callable[[Places], Process]] = {
    "nginx, tuned": nginx_tuned,
    "nginx, tuned (again)": nginx_again,
    "nginx, defaults": nginx_default,
    "nginx + auth_request": nginx_auth,
    "nginx + auth_request, always yes": nginx_yes,
    "haproxy, splice": haproxy,
    "aiohttp proxy": plain_aiohttp,
    "gateway": gateway,
    "gateway, 200 rules": gateway_many,
}
