"""uvicorn closes idle connections after a few seconds. That close is nobody's error."""

import random
import sys
import threading
import time
from pathlib import Path

import pytest

from support.net import HOST, Connection, accepts, free_port, wait_until
from support.process import Child

HERE = Path(__file__).parent


class Uvicorn:
    def __init__(self, directory, port, keep_alive):
        argv = [sys.executable, "-m", "uvicorn", "--app-dir", HERE / "support", "asgi_app:app", "--host", HOST]
        argv += ["--port", port, "--timeout-keep-alive", keep_alive, "--log-level", "warning"]
        self.port = port
        self.child = Child(argv, directory / f"uvicorn-{port}.log")
        wait_until(lambda: accepts(port), 30, "uvicorn")


@pytest.fixture
def uvicorn(tmp_path):
    started = []

    def start(keep_alive, port=None):
        started.append(Uvicorn(tmp_path, port or free_port(), keep_alive))
        return started[-1]

    yield start
    for it in started:
        it.child.stop()
        print(it.child.tail())


def converse(it, clients, calls, method, pause):
    """Clients that each pause between their calls; everything that was not as it should be."""
    wrong = []

    def client(number):
        source = random.Random(number)
        with Connection(it.port) as connection:
            for call in range(calls):
                body = b"x" * source.randrange(1, 2000) if method == "POST" else b""
                path = f"/{number}/{call}"
                answer = connection.request(method, path, body=body)
                if answer.status != 200 or answer.body.decode() != f"{method} {path} {len(body)}":
                    wrong.append((path, answer.status, answer.body, answer.error))
                time.sleep(source.uniform(*pause))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_its_close_of_idle_connections_is_no_error(sidecar, uvicorn, method):
    """A pool that lets go a second before uvicorn does, as the defaults are (4 s before 5 s)."""
    server = uvicorn(keep_alive=2)
    it = sidecar(upstream=server.port, upstream_keys='idle_timeout = "1s"')
    assert converse(it, 24, 5, method, (0.9, 2.2)) == []
    assert it.metric("hormesis_calls_total", outcome="ok") == 24 * 5


@pytest.mark.heavy
def test_its_defaults_and_ours_meet_without_an_error(sidecar, uvicorn):
    """uvicorn closes after 5 s, the pool lets go after 4 s."""
    server = uvicorn(keep_alive=5)
    it = sidecar(upstream=server.port)
    assert converse(it, 64, 3, "POST", (3.9, 5.2)) == []
    assert it.metric("hormesis_calls_total", outcome="ok") == 64 * 3


def test_what_can_be_sent_again_survives_the_race_too(sidecar, uvicorn):
    """A pool that keeps longer than uvicorn does: calls meet its close, and are tried once more."""
    server = uvicorn(keep_alive=1)
    it = sidecar(upstream=server.port, upstream_keys='idle_timeout = "30s"')
    assert converse(it, 48, 6, "GET", (0.97, 1.03)) == []


def test_a_restarted_server_is_found_again(sidecar, uvicorn):
    """Connections to the old process are kept when it goes; none of them is used after that."""
    server = uvicorn(keep_alive=60)
    it = sidecar(upstream=server.port)
    assert converse(it, 8, 2, "POST", (0, 0.01)) == []
    server.child.stop()
    assert it.call(path="/down").status == 502
    uvicorn(keep_alive=60, port=server.port)
    assert converse(it, 8, 2, "POST", (0, 0.01)) == []
