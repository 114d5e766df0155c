"""Fixtures: the sidecar and the real servers behind it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import gguf_model, sklearn_model
from support.net import HOST, accepts, call, free_port, wait_until
from support.process import Child
from support.sidecar import Sidecar

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def pytest_report_header():
    return f"hormesis: {binary_path()}"


def binary_path() -> Path:
    return Path(os.environ.get("HORMESIS_BIN", ROOT / "target" / "debug" / "hormesis")).resolve()


@pytest.fixture(scope="session")
def binary() -> Path:
    path = binary_path()
    if not path.exists():
        pytest.fail(f"{path} is missing: cargo build, or name another in HORMESIS_BIN", pytrace=False)
    return path


@pytest.fixture
def sidecar(binary, tmp_path):
    """Starts sidecars; each is stopped after the test, its output shown should the test fail."""
    started = []

    def start(rules="", ready=True, **options) -> Sidecar:
        it = Sidecar(binary, tmp_path, rules, **options)
        started.append(it)
        return it.ready() if ready else it

    yield start
    for it in started:
        it.stop()
        print(it.file.read_text())
        print(it.child.tail())


class Upstream:
    """`support/upstream.py` and the book it keeps."""

    def __init__(self, directory):
        self.port = free_port()
        script = HERE / "support" / "upstream.py"
        self.child = Child([sys.executable, script, self.port], directory / "upstream.log")
        wait_until(lambda: accepts(self.port), what="upstream")

    def requests(self, path=None):
        book = json.loads(call(self.port, path="/_/requests").body)
        return [entry for entry in book if path is None or entry["target"] == path]

    def stop(self):
        self.child.stop()


@pytest.fixture
def upstream(tmp_path):
    it = Upstream(tmp_path)
    yield it
    it.stop()
    print(it.child.tail())


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """The port of llama.cpp's own server with a small random model."""
    directory = tmp_path_factory.mktemp("llama")
    model = directory / "tiny.gguf"
    gguf_model.write(model)
    port = free_port()
    child = Child([sys.executable, HERE / "support" / "llama_server.py", model, port], directory / "llama.log")
    wait_until(lambda: accepts(port) and call(port, path="/health").status == 200, 60, "llama.cpp")
    yield port
    child.stop()


@pytest.fixture(scope="session")
def mlserver_ports(tmp_path_factory):
    """The ports, for HTTP and gRPC, of MLServer with a classifier that was just trained."""
    program = Path(sys.executable).with_name("mlserver")
    directory = tmp_path_factory.mktemp("mlserver")
    port, grpc_port = free_port(), free_port()
    sklearn_model.write(directory, port, grpc_port, free_port())
    child = Child([program, "start", directory], directory / "mlserver.log")

    def ready():
        if not child.running:
            pytest.fail(child.tail())
        return accepts(port) and call(port, path="/v2/models/digits/ready").status == 200

    wait_until(ready, 90, "MLServer", pause=0.1)
    yield port, grpc_port
    child.stop()


@pytest.fixture
def mlserver(mlserver_ports):
    return mlserver_ports[0]


@pytest.fixture
def mlserver_grpc(mlserver_ports):
    return mlserver_ports[1]


def tool(name):
    """A program from Debian's packages; `make test` installs them where it may."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return path or pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory):
    directory = tmp_path_factory.mktemp("redis")
    port = free_port()
    argv = [tool("redis-server"), "--port", port, "--bind", HOST, "--save", "", "--appendonly", "no"]
    child = Child([*argv, "--dir", directory], directory / "redis.log")
    wait_until(lambda: accepts(port), what="redis")
    yield port
    child.stop()


NGINX = """
worker_processes 1;
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  keepalive_requests 10000000;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
    listen {host}:{port} backlog=2048;
    location / {{ default_type application/json; return 200 '{{"answer":42}}'; }}
  }}
}}
"""


@pytest.fixture(scope="session")
def nginx(tmp_path_factory):
    program = tool("nginx")
    directory = tmp_path_factory.mktemp("nginx")
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(NGINX.format(dir=directory, host=HOST, port=port))
    child = Child([program, "-p", directory, "-c", file, "-e", directory / "start.log"], directory / "nginx.log")
    wait_until(lambda: accepts(port), what="nginx")
    yield port
    child.stop()


@pytest.fixture(scope="session")
def run_tool():
    """Runs a program to its end and returns its output."""

    def run(name, *args, timeout=120):
        done = subprocess.run([tool(name), *map(str, args)], capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
