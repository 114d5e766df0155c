"""The proxies that are compared: how each starts, where it listens, what it can do."""

import dataclasses
import os
import subprocess

import envoy
import hormesis
from rig import (
    DELAY_MS,
    HOST,
    MIX_ABORT_PERCENT,
    MIX_DELAY_PERCENT,
    MODES,
    UP_GRPC,
    UP_H2C,
    UP_HTTP,
    UP_REDIS,
    UP_SSE,
    certificate,
    find_binary,
)

@dataclasses.dataclass
class Proxy:
    """One way to start a proxy. `files` gets its directory and gives names and texts."""

    name: str
    binary: str | None
    argv: list
    base: int
    modes: set
    files: callable
    env: dict = dataclasses.field(default_factory=dict)
    workers: int = 1
    process: subprocess.Popen | None = None

    @property
    def family(self):
        """Variants of one proxy are `name/variant`."""
        return self.name.partition("/")[0]

    def port(self, mode):
        return self.base + MODES[mode]


def nginx_files(base, workers):
    def files(where):
        cert, key = certificate(where)
        temp = "".join(
            f"{kind}_temp_path {where}/{kind}; "
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )  # fmt: skip
        kept = "keepalive 256; keepalive_requests 100000000;"
        text = f"""
worker_processes {workers}; daemon off; pid {where}/nginx.pid; error_log {where}/error.log crit;
worker_rlimit_nofile 20000;
include /etc/nginx/modules-enabled/*-stream.conf;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_timeout 600s; keepalive_requests 100000000; {temp}
  upstream h1 {{ server {HOST}:{UP_HTTP}; {kept} }}
  upstream h2 {{ server {HOST}:{UP_H2C}; {kept} }}
  upstream grpc {{ server {HOST}:{UP_GRPC}; {kept} }}
  upstream sse {{ server {HOST}:{UP_SSE}; {kept} }}
  proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;
  server {{ listen {HOST}:{base}; location / {{ proxy_pass http://h1; }} }}
  server {{ listen {HOST}:{base + 1} http2; location / {{ grpc_pass grpc://h2; }} }}
  server {{ listen {HOST}:{base + 5}; location / {{ proxy_pass http://sse; proxy_buffering off; }} }}
  server {{ listen {HOST}:{base + 10} ssl; ssl_certificate {cert}; ssl_certificate_key {key};
            location / {{ proxy_pass http://h1; }} }}
  server {{ listen {HOST}:{base + 11} http2; location / {{ grpc_pass grpc://grpc; }} }}
}}
stream {{
  upstream redis {{ server {HOST}:{UP_REDIS}; }}
  server {{ listen {HOST}:{base + 2}; proxy_timeout 600s; proxy_pass redis; }}
}}
"""
        return {"nginx.conf": text}

    return files


def haproxy_files(base, workers):
    def files(where):
        certificate(where)
        text = f"""
global
  nbthread {workers}
  maxconn 9000
  lua-load {where}/delay.lua
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
  option http-no-delay
frontend http
  bind {HOST}:{base}
  default_backend h1
frontend h2
  bind {HOST}:{base + 1} proto h2
  default_backend h2
frontend delay
  bind {HOST}:{base + 3}
  http-request lua.delay
  default_backend h1
frontend mix
  bind {HOST}:{base + 4}
  # The wait first, as with the others: a call that is refused at once waits for nothing.
  http-request lua.delay if {{ rand(100) lt {MIX_DELAY_PERCENT} }}
  http-request return status 503 if {{ rand(100) lt {MIX_ABORT_PERCENT} }}
  default_backend h1
frontend sse
  bind {HOST}:{base + 5}
  default_backend sse
frontend tls
  bind {HOST}:{base + 10} ssl crt {where}/both.pem
  default_backend h1
frontend grpc
  bind {HOST}:{base + 11} proto h2
  default_backend grpc
listen tcp
  mode tcp
  bind {HOST}:{base + 2}
  server s {HOST}:{UP_REDIS}
backend h1
  server s {HOST}:{UP_HTTP}
backend h2
  server s {HOST}:{UP_H2C} proto h2
backend grpc
  server s {HOST}:{UP_GRPC} proto h2
backend sse
  server s {HOST}:{UP_SSE}
"""
        delay = f"core.register_action('delay', {{'http-req'}}, function(txn) core.msleep({DELAY_MS}) end)\n"
        return {"haproxy.cfg": text, "delay.lua": delay}

    return files


def envoy_files(base):
    def files(where):
        return {"envoy.json": envoy.configuration(base, certificate(where))}

    return files


def proxies(skip=()):
    """All of which the binary is found. `skip` names modes that the tested build does not know."""
    nginx = find_binary("NGINX_BIN", "nginx", "/usr/sbin/nginx")
    haproxy = find_binary("HAPROXY_BIN", "haproxy", "/usr/sbin/haproxy")
    envoy_bin = find_binary("ENVOY_BIN", "envoy")
    ours = os.environ.get("HORMESIS_BIN", "target/release/hormesis")
    ours = ours if os.access(ours, os.X_OK) else None
    peers = {"http", "h2", "tcp", "sse", "tls", "grpc"}
    faults = {"delay", "mix"}
    out = []
    for workers, base, suffix in ((1, 21000, ""), (2, 22000, "/2")):
        modes = peers if workers == 1 else {"http"}
        with_faults = peers | faults if workers == 1 else {"http"}
        envoy_argv = ["-c", "{dir}/envoy.json", "--concurrency", str(workers)]
        out += [
            Proxy(f"nginx{suffix}", nginx, ["-c", "{dir}/nginx.conf"], base + 100, modes,
                  nginx_files(base + 100, workers), workers=workers),
            Proxy(f"haproxy{suffix}", haproxy, ["-db", "-f", "{dir}/haproxy.cfg"], base + 200, with_faults,
                  haproxy_files(base + 200, workers), workers=workers),
            Proxy(f"envoy{suffix}", envoy_bin, [*envoy_argv, "--disable-hot-restart", "-l", "error"], base + 300,
                  with_faults, envoy_files(base + 300), workers=workers),
        ]  # fmt: skip
    run = ["run", "{dir}/hormesis.toml"]
    for name, variant in hormesis.variants(skip).items():
        out.append(Proxy(name, ours, run, variant.base, variant.modes, variant.files, workers=variant.workers))
    return [proxy for proxy in out if proxy.binary]
