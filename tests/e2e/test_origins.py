"""What goes wrong by itself is never called injected, nor the other way round."""

import contextlib
import socket

import pytest

from support.net import HOST, Connection, call, free_port, head, wait_until
from support.sidecar import by_path

POST = {"fields": [("Content-Type", "application/json")], "body": b"{}"}


def told(it, path="/x"):
    record = by_path(it.wait_decisions(1))[path]
    return record["origin"], record["outcome"], record.get("status")


def counted(it, origin):
    return it.metric("hormesis_calls_total", listener="main", origin=origin)


def test_an_upstream_that_is_down(sidecar):
    it = sidecar(upstream=free_port())
    answer = it.call("POST", "/x", **POST)
    assert (answer.status, answer.origin) == (502, "upstream")
    assert answer.complete
    assert told(it) == ("upstream", "upstream_error", 502)
    assert it.wait_decisions(1)[0]["reason"]
    assert (counted(it, "upstream"), counted(it, "injected")) == (1, 0)


@contextlib.contextmanager
def blackhole():
    """A port whose queue is full: connection attempts are neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


def test_an_upstream_that_swallows_connections(sidecar):
    with blackhole() as port:
        it = sidecar(upstream=port, upstream_keys='connect_timeout = "300ms"')
        answer = it.call("POST", "/x", **POST)
        assert (answer.status, answer.origin) == (504, "upstream")
        assert told(it) == ("upstream", "timeout", 504)


def test_an_upstream_that_is_slow_is_waited_for(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    answer = it.call("POST", "/slow/1500", **POST)
    assert (answer.status, answer.origin) == (200, None)
    assert told(it, "/slow/1500") == ("upstream", "ok", 200)


@pytest.mark.parametrize("how", ["garbage", "reset", "close"])
def test_an_upstream_that_gives_no_answer(sidecar, upstream, how):
    it = sidecar(upstream=upstream.port)
    answer = it.call("POST", f"/lie/{how}", **POST)
    assert (answer.status, answer.origin) == (502, "upstream")
    assert told(it, f"/lie/{how}") == ("upstream", "upstream_error", 502)
    # A POST is not sent twice.
    assert len(upstream.requests(f"/lie/{how}")) == 1
    assert it.call("POST", "/echo", **POST).status == 200


@pytest.mark.parametrize("how", ["short", "half", "chunk"])
def test_an_upstream_that_breaks_off_its_answer(sidecar, upstream, how):
    it = sidecar(upstream=upstream.port)
    with Connection(it.port) as connection:
        answer = connection.request("POST", f"/lie/{how}", **POST)
    # The client must not take a part for the whole.
    assert not answer.complete or answer.status == 502
    assert told(it, f"/lie/{how}")[:2] == ("upstream", "upstream_error")
    assert (counted(it, "upstream"), counted(it, "injected")) == (1, 0)


def test_an_error_that_the_upstream_answers_is_its_own(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    direct = call(upstream.port, "GET", "/status/503")
    answer = it.call("GET", "/status/503")
    assert (answer.status, answer.body) == (503, direct.body)
    assert answer.origin != "injected"
    assert told(it, "/status/503") == ("upstream", "upstream_error", 503)


def test_an_injected_error_beside_a_real_one(sidecar, upstream):
    it = sidecar(
        """
[[rules]]
name = "refuse"
select = { path = "/echo/refused" }
[[rules.faults]]
abort = { status = 503 }
""",
        upstream=upstream.port,
    )
    assert it.call("GET", "/echo/refused").origin == "injected"
    assert it.call("GET", "/status/503").origin != "injected"
    it.wait_decisions(2)
    assert (counted(it, "injected"), counted(it, "upstream")) == (1, 1)
    assert it.metric("hormesis_faults_total", rule="refuse", fault="abort") == 1


def test_a_client_that_sends_nonsense(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    for request in (
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    ):
        with Connection(it.port) as connection:
            connection.send(request)
            answer = connection.read()
            assert 400 <= answer.status < 502, request
            assert answer.origin in ("downstream", "proxy"), request
            assert connection.receive() == b"", "the connection is closed"
    with Connection(it.port) as connection:
        connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert connection.receive() == b"", "a TLS handshake is not answered in plain text"
    assert upstream.requests() == []
    assert counted(it, "injected") == 0


def test_a_client_that_leaves_reaches_the_upstream(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    with Connection(it.port) as connection:
        connection.send(head("GET", "/hang"))
        wait_until(lambda: upstream.requests("/hang"), what="the call upstream")
    assert told(it, "/hang")[:2] == ("downstream", "client_abort")
    wait_until(lambda: upstream.requests("/hang")[0]["left"], what="the upstream told")
