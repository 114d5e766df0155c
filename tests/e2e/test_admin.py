"""The admin listener: what it tells, whom it refuses, and that a halt ends every fault."""

import json
import threading

import pytest

from support.net import Connection, head, now, wait_until

WAITING = """
[[rules]]
name = "long-wait"
[[rules.faults]]
delay = { at = "response-head", fixed = "120s" }
"""
JSON = [("Content-Type", "application/json")]


def test_the_reads(sidecar, upstream):
    it = sidecar(WAITING, upstream=upstream.port)
    assert it.get("/healthz").status == 200
    assert it.get("/readyz").status == 200
    status = it.get("/status")
    assert status.header("content-type").startswith("application/json")
    told = json.loads(status.body)
    assert told["halted"] is None
    assert "long-wait" in status.body.decode()
    names = {name for name, _, _ in it.metrics()}
    assert {"hormesis_build_info", "hormesis_halted", "hormesis_rule_armed"} <= names
    assert it.metric("hormesis_rule_armed", rule="long-wait") == 1
    assert it.get("/nothing-here").status == 404


@pytest.mark.parametrize("path", ["/status", "/metrics", "/healthz", "/readyz"])
def test_a_foreign_page_is_refused(sidecar, upstream, path):
    it = sidecar(upstream=upstream.port)
    assert it.get(path, host="evil.example").status == 403
    assert it.get(path, host=f"evil.example:{it.admin}").status == 403
    assert it.get(path, fields=[("Origin", "http://evil.example")]).status == 403
    assert it.get(path, fields=[("Origin", "null")]).status == 403
    assert it.get(path, fields=[("Sec-Fetch-Site", "cross-site")]).status == 403
    assert it.get(path, host=f"localhost:{it.admin}").status == 200


def test_a_foreign_page_cannot_halt(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    for fields, host in (
        (JSON, "evil.example"),
        ([*JSON, ("Origin", "http://evil.example")], None),
        ([("Content-Type", "text/plain"), ("Origin", "http://evil.example")], None),
    ):
        assert it.post("/halt", fields=fields, host=host).status == 403
    assert it.get("/halt").status == 405
    assert json.loads(it.get("/status").body)["halted"] is None


def test_a_halt_releases_waiting_calls_and_latches(sidecar, upstream):
    it = sidecar(WAITING, upstream=upstream.port, workers=2)
    answers = []

    def one(path):
        answers.append(it.call(path=path, timeout=60))

    threads = [threading.Thread(target=one, args=(f"/echo/{index}",)) for index in range(20)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(upstream.requests()) == 20, what="20 calls in their delay")
    assert answers == []
    ordered = now()
    assert it.post("/halt", {"reason": "a test"}).status == 200
    for thread in threads:
        thread.join(20)
    assert [answer.status for answer in answers] == [200] * 20
    # A bound against hanging, not a measure: the benches measure the 100 ms.
    assert max(answer.ended_at for answer in answers) - ordered < 5
    assert all(e["fate"] == "revoked" for r in it.wait_decisions(20) for e in r["effects"])

    assert json.loads(it.get("/status").body)["halted"]["reason"] == "a test"
    assert it.metric("hormesis_halted") == 1
    assert it.call(path="/echo/after", timeout=20).status == 200

    assert it.post("/resume").status == 200
    assert it.metric("hormesis_halted") == 0
    with Connection(it.port) as connection:
        connection.send(head("GET", "/echo/again"))
        wait_until(lambda: upstream.requests("/echo/again"), what="the call upstream")
        connection.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.receive()


def test_the_admin_answers_while_many_calls_wait(sidecar, upstream):
    it = sidecar(WAITING, upstream=upstream.port)
    waiting = [Connection(it.port) for _ in range(200)]
    for index, connection in enumerate(waiting):
        connection.send(head("GET", f"/echo/{index}"))
    wait_until(lambda: len(upstream.requests()) == 200, what="200 calls in their delay")
    for path in ("/status", "/metrics", "/healthz"):
        start = now()
        assert it.get(path).status == 200
        assert now() - start < 2
    for connection in waiting:
        connection.close()
    assert len(it.wait_decisions(200)) == 200
