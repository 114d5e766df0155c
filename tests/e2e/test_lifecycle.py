"""Start, stop, and what a sidecar says when it cannot start."""

import signal
import socket
import subprocess
import threading

import pytest

from support.net import (
    HOST,
    Connection,
    accepts,
    call,
    free_port,
    head,
    now,
    wait_until,
)
from support.process import Child

DELAYED = """
[[rules]]
name = "some-wait"
probability = "50%"
[[rules.faults]]
delay = { fixed = "30ms" }
"""


class Lane(threading.Thread):
    """Calls one after another, each with a path of its own, until the sidecar takes no more."""

    def __init__(self, it, number):
        super().__init__()
        self.it, self.number = it, number
        self.whole, self.broken, self.begun = set(), [], {}
        self.enough = threading.Event()

    def run(self):
        connection = None
        for index in range(100_000):
            if self.enough.is_set():
                return
            path = f"/slow/20?call={self.number}.{index}"
            try:
                connection = connection or Connection(self.it.port, timeout=30)
                self.begun[path] = now()
                answer = connection.request("POST", path, body=b"x" * 1000)
            except OSError as error:
                self.broken.append((path, error))
                connection = None
                if not accepts(self.it.port):
                    return
                continue
            if answer.complete and answer.status == 200:
                self.whole.add(path)
            else:
                self.broken.append((path, answer))
            if (answer.header("connection") or "").lower() == "close":
                connection.close()
                connection = None


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_call(sidecar, upstream, workers):
    it = sidecar(DELAYED, upstream=upstream.port, workers=workers)
    lanes = [Lane(it, number) for number in range(16)]
    for lane in lanes:
        lane.start()
    wait_until(lambda: len(upstream.requests()) > 300, what="load")
    told_at = now()
    it.child.signal(signal.SIGTERM)
    assert it.child.wait(40) == 0
    for lane in lanes:
        lane.enough.set()
        lane.join(40)
    whole = set().union(*(lane.whole for lane in lanes))
    read = {entry["target"] for entry in upstream.requests()}
    # What the upstream saw was read by the sidecar, so its client has the whole answer.
    assert read <= whole, read - whole
    recorded = [record for record in it.decisions() if record["method"] == "POST"]
    assert len(recorded) >= len(whole)
    assert all(record["outcome"] == "ok" for record in recorded)
    early = {path for lane in lanes for path, at in lane.begun.items() if at < told_at - 0.25}
    assert early <= whole, early - whole


def test_sigterm_lets_a_stream_finish_and_cuts_injected_delays_short(sidecar, upstream):
    it = sidecar(
        """
[[rules]]
name = "long-wait"
select = { path = "/echo/delayed" }
[[rules.faults]]
delay = { at = "response-head", fixed = "100s" }
""",
        upstream=upstream.port,
    )
    with Connection(it.port) as slow, Connection(it.port) as delayed:
        slow.send(head("GET", "/slow/2000"))
        delayed.send(head("GET", "/echo/delayed"))
        wait_until(lambda: len(upstream.requests()) == 2, what="both calls upstream")
        it.child.signal(signal.SIGTERM)
        assert delayed.read().status == 200
        assert slow.read().status == 200
    assert it.child.wait(20) == 0
    assert not accepts(it.port)


def test_a_second_sigterm_ends_it_at_once(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    with Connection(it.port) as connection:
        connection.send(head("GET", "/hang"))
        wait_until(lambda: upstream.requests("/hang"), what="the call upstream")
        it.child.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(it.port), what="the listener closed")
        assert it.child.running, "it waits for the call"
        it.child.signal(signal.SIGTERM)
        assert it.child.wait(5) == 143


def test_a_port_in_use_names_the_line(binary, tmp_path, upstream):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        file = tmp_path / "taken.toml"
        file.write_text(
            f"""[admin]
bind = "off"

[upstreams.up]
endpoints = ["http://{HOST}:{upstream.port}"]

[listeners.main]
bind = "{HOST}:{port}"
upstream = "up"
"""
        )
        done = subprocess.run([binary, "run", file], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done.stderr
    assert "taken.toml:8" in done.stderr, done.stderr
    assert str(port) in done.stderr
    assert "panicked" not in done.stderr


def test_every_mistake_of_a_file_is_told_at_once(binary, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(
        """sed = 7
workers = "two"

[upstreams.up]
endpoints = ["ftp://127.0.0.1:1"]

[listeners.main]
bind = "127.0.0.1:notaport"
upstream = "nobody"

[[rules]]
name = "wrong"
probability = 1.5
[[rules.faults]]
delay = { fixed = "5 parsecs" }
"""
    )
    done = subprocess.run([binary, "check", file], capture_output=True, text=True, timeout=30, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 2, text
    for line in (1, 2, 5, 8, 9, 13, 15):
        assert f"wrong.toml:{line}:" in text, (line, text)
    assert "panicked" not in text


def test_without_a_file(binary, tmp_path, upstream):
    port, admin = free_port(), free_port()
    url, listen = f"http://{HOST}:{upstream.port}", f"{HOST}:{port}"
    argv = [binary, "run", "--upstream", url, "--listen", listen, "--admin", f"{HOST}:{admin}"]
    child = Child(argv, tmp_path / "plain.log")
    try:
        wait_until(lambda: accepts(port) or not child.running, what="the listener")
        assert call(port, path="/echo/plain").status == 200
    finally:
        child.stop()
        print(child.tail())
