"""Processes, cores, CPU time and load generators: what every row is measured with.

The proxy under test runs alone on one core; load and upstreams share the other. Everything listens
on 127.0.0.1, every run is bounded in time, and what was started is stopped by its process id.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = "127.0.0.1"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
LOAD_TIMEOUT_S = 120

# Upstreams.
UP_HTTP, UP_H2C, UP_REDIS, UP_SSE, UP_GRPC = 20080, 20082, 20079, 20083, 20084
UPSTREAM_PORTS = {"http": UP_HTTP, "h2": UP_H2C, "tcp": UP_REDIS, "sse": UP_SSE, "grpc": UP_GRPC}
JSON_1K = json.dumps({"model_name": "m", "outputs": [{"data": "x" * 966}]})
LARGE_BYTES = 100 * 1024
# Ports of one proxy: its base and the mode's offset.
MODES = {
    "http": 0, "h2": 1, "tcp": 2, "delay": 3, "mix": 4, "sse": 5, "sse_openai": 6,
    "rules_1": 7, "rules_1000": 8, "admin": 9, "tls": 10, "grpc": 11,
}  # fmt: skip
DELAY_MS, MIX_DELAY_PERCENT, MIX_ABORT_PERCENT = 10, 50, 10
# One gRPC message: not compressed, 100 bytes.
GRPC_MESSAGE = b"\0" + (100).to_bytes(4, "big") + b"m" * 100
CHAT = json.dumps(
    {"model": "llama-3", "messages": [{"role": "user", "content": "x" * 120}], "options": {"tier": "t0"}}
)


def find_binary(variable, *names):
    """A program named by an environment variable, else the first found on PATH."""
    named = os.environ.get(variable)
    return named or next((found for found in map(shutil.which, names) if found), None)


def certificate(where):
    """A self-signed certificate and its key; made once in a directory."""
    cert, key = where / "cert.pem", where / "key.pem"
    if not cert.exists():
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        argv += ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run([*argv, "-keyout", key, "-out", cert], check=True, capture_output=True)
        (where / "both.pem").write_text(cert.read_text() + key.read_text())
    return cert, key


def tree(pid):
    """The process and all its descendants."""
    out = [pid]
    for parent in out:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                out += map(int, task.read_text().split())
    return out


def cpu_seconds(pid):
    """User and system time of the process and its descendants."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS


def on_cpu_seconds(pid):
    """The same of the threads that are there, to the nanosecond: for measurements that last only some ticks."""
    total = 0
    for member in tree(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def memory_bytes(pid):
    """Resident and proportional set size; shared pages count once in the second."""
    sizes = {"Rss:": 0, "Pss:": 0}
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                fields = line.split()
                if fields[0] in sizes:
                    sizes[fields[0]] += int(fields[1]) * 1024
    return sizes["Rss:"], sizes["Pss:"]


def stop(process):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_port(port, process=None, timeout=20):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode} before it listened on {port}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.001)
    raise RuntimeError(f"nothing listens on {port}")


class Rig:
    """Upstreams, proxies and load of one session."""

    def __init__(self, work, seconds, nice=0):
        self.work, self.seconds, self.nice = work, seconds, nice
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_cores = {cores[0]} if len(cores) > 1 else None
        self.load_cores = {cores[1]} if len(cores) > 1 else None
        self.all_cores = set(cores)
        self.upstreams = []

    def spawn(self, argv, cores, **kwargs):
        if self.nice:
            argv = ["nice", "-n", str(self.nice), *argv]
        # The cores are inherited, not set between fork and exec: a hook there makes Python copy itself,
        # which takes as long as what a start is measured to take.
        mine = os.sched_getaffinity(0)
        try:
            if cores:
                os.sched_setaffinity(0, cores)
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, **kwargs)
        finally:
            os.sched_setaffinity(0, mine)

    def start_upstreams(self):
        where = self.work / "upstream"
        where.mkdir(exist_ok=True)
        (where / "100k").write_bytes(b"x" * LARGE_BYTES)
        (where / "grpc").mkdir(exist_ok=True)
        (where / "grpc" / "infer").write_bytes(GRPC_MESSAGE)
        (where / "message").write_bytes(GRPC_MESSAGE)
        (where / "chat").write_text(CHAT)
        (where / "nginx.conf").write_text(upstream_conf(where))
        argvs = [
            [find_binary("NGINX_BIN", "nginx", "/usr/sbin/nginx"), "-c", str(where / "nginx.conf")],
            [
                find_binary("REDIS_BIN", "redis-server"),
                *("--port", str(UP_REDIS), "--bind", HOST, "--save", "", "--dir", str(where)),
            ],
            [sys.executable, str(Path(__file__).with_name("sse_upstream.py")), str(UP_SSE)],
        ]
        if nghttpd := find_binary("NGHTTPD_BIN", "nghttpd"):
            trailer = "--trailer=grpc-status: 0"
            argvs.append([nghttpd, "--no-tls", "-a", HOST, "-d", str(where), trailer, str(UP_GRPC)])
        log = open(where / "log", "ab")
        for argv in argvs:
            self.upstreams.append(self.spawn(argv, self.load_cores, stdout=log, stderr=log))
        for mode, port in UPSTREAM_PORTS.items():
            if mode != "grpc" or len(argvs) == 4:
                wait_for_port(port)

    def start(self, proxy):
        """Starts a proxy with the configuration written to a directory of its own."""
        where = self.work / proxy.name.replace("/", "-")
        where.mkdir(exist_ok=True)
        for name, text in proxy.files(where).items():
            (where / name).write_text(text)
        log = open(where / "log", "ab")
        argv = [proxy.binary, *(arg.replace("{dir}", str(where)) for arg in proxy.argv)]
        cores = self.proxy_cores if proxy.workers == 1 else self.all_cores
        env = {**os.environ, **proxy.env}
        proxy.process = self.spawn(argv, cores, stdout=log, stderr=log, env=env)

    def ready(self, proxy):
        for mode in sorted(proxy.modes):
            wait_for_port(proxy.port(mode), proxy.process)

    def stop_all(self, proxies):
        for proxy in proxies:
            stop(proxy.process)
            proxy.process = None
        for process in self.upstreams:
            stop(process)

    def load(self, argv):
        """Runs a load generator on the other core and returns what it printed."""
        process = self.spawn(argv, self.load_cores, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=LOAD_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise RuntimeError(f"{argv[0]} did not end within {LOAD_TIMEOUT_S} s") from None
        if process.returncode:
            raise RuntimeError(f"{argv[0]} failed: {err.strip()[-300:]}")
        return out

    def wrk(self, url, connections, lua=""):
        script = self.work / "wrk.lua"
        script.write_text(lua + WRK_REPORT)
        out = self.load(["wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", "-s", str(script), url])
        return json.loads(out.rpartition("JSON ")[2])

    def h2load(self, url, clients, streams, *extra):
        """Requests that succeeded over HTTP/2."""
        out = self.load(["h2load", "-t1", f"-c{clients}", f"-m{streams}", f"-D{self.seconds}", *extra, url])
        counts = next(line for line in out.splitlines() if line.startswith("requests:"))
        done = int(counts.split(" succeeded")[0].rsplit(" ", 1)[1])
        if done == 0:
            raise RuntimeError(f"h2load: nothing succeeded: {counts}")
        return done

    def some(self, url, clients, count):
        """So many requests over HTTP/1.1, all of which succeed."""
        out = self.load(["h2load", "--h1", "-t1", f"-c{clients}", f"-n{count}", url])
        if f" {count} succeeded" not in out:
            raise RuntimeError(next(line for line in out.splitlines() if line.startswith("requests:")))

    def request_log(self, url, clients, rps=None):
        """Pairs of status and microseconds over HTTP/1.1, at a rate for each client if given."""
        log = self.work / "h2load.log"
        log.unlink(missing_ok=True)
        rate = [f"--rps={rps}", f"-n{int(clients * rps * self.seconds)}"] if rps else [f"-D{self.seconds}"]
        self.load(["h2load", "--h1", "-t1", f"-c{clients}", *rate, f"--log-file={log}", url])
        rows = [line.split("\t") for line in log.read_text().splitlines()]
        return [(int(row[1]), int(row[2])) for row in rows]


def get(port, path, timeout=5):
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def upstream_conf(where):
    temp = "".join(f"{kind}_temp_path {where}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    locations = (
        f"default_type application/json; location /1k {{ return 200 '{JSON_1K}'; }}"
        f" location /v1/chat/completions {{ return 200 '{JSON_1K}'; }}"
        f" location /100k {{ root {where}; }} location /post {{ return 204; }}"
    )
    return f"""worker_processes 1; daemon off; pid {where}/pid; error_log {where}/error.log crit;
worker_rlimit_nofile 20000; events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_timeout 600s; keepalive_requests 100000000; sendfile on; {temp}
  client_max_body_size 64m; client_body_buffer_size 1m; open_file_cache max=10;
  server {{ listen {HOST}:{UP_HTTP} backlog=4096; {locations} }}
  server {{ listen {HOST}:{UP_H2C} http2 backlog=4096; http2_max_concurrent_streams 1024; {locations} }}
}}
"""


WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'JSON {"us":%d,"requests":%d,"bytes":%d,"errors":%d,"p50":%d,"p99":%d}',
    summary.duration, summary.requests, summary.bytes,
    e.connect + e.read + e.write + e.timeout + e.status,
    latency:percentile(50), latency:percentile(99)))
end
"""
