"""Reloads under load: nothing is lost, and nothing fails that no rule made fail.

`HORMESIS_RELOADS=200` makes it the long run; the suite's own is shorter.
"""

import os
import signal
import threading

from support.net import Connection, call, free_port, wait_until
from support.sidecar import config

RELOADS = int(os.environ.get("HORMESIS_RELOADS", 40))
CLIENTS = 8
RULE = """
[[rules]]
name = "marked"
select = { path = "/marked" }
[[rules.faults]]
abort = { status = 418 }
"""


def side(port):
    return f'[listeners.side]\nbind = "127.0.0.1:{port}"\nprotocol = "http"\nupstream = "up"\n'


class Load:
    """Clients that call one after the other on kept connections, until they are told to stop."""

    def __init__(self, port):
        self.over, self.calls, self.wrong = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.client, args=(port,)) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, port):
        connection = Connection(port)
        while not self.over.is_set():
            try:
                answer = connection.request("POST", "/", body=b"x" * 2000)
            except OSError as error:
                self.wrong.append(error)
                connection = Connection(port)
                continue
            self.calls += 1
            if answer.status != 200 or answer.body != b'{"answer":42}':
                self.wrong.append((answer.status, answer.body, answer.error))
            if (answer.header("connection") or "").lower() == "close":
                connection.close()
                connection = Connection(port)
        connection.close()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_reloads_under_load_lose_nothing(sidecar, nginx):
    it = sidecar(upstream=nginx, log="fired")
    extra, load = free_port(), Load(it.port)
    try:
        for number in range(1, RELOADS + 1):
            it.file.write_text(
                config(
                    RULE if number % 2 else "",
                    listener=it.port,
                    admin=it.admin,
                    log_file=it.decisions_file,
                    upstream=nginx,
                    log="fired",
                    upstream_keys=f'connect_timeout = "{number}s"',
                )
                + (side(extra) if number % 3 == 0 else "")
            )
            it.child.signal(signal.SIGHUP)
            wait_until(
                lambda: it.metric("hormesis_config_reloads_total", result="ok") >= number, what=f"reload {number}"
            )
            assert it.call(path="/marked").status == (418 if number % 2 else 200)
            if number % 3 == 0:
                assert call(extra).status == 200
    finally:
        load.stop()
    print(f"{RELOADS} reloads, {load.calls} calls, {len(load.wrong)} of them wrong")
    assert load.calls > RELOADS
    assert load.wrong == []


def test_a_bad_file_changes_nothing(sidecar, nginx):
    it = sidecar(RULE, upstream=nginx, log="fired")
    assert it.call(path="/marked").status == 418
    it.file.write_text(it.file.read_text() + '\n[[rules]]\nname = "wrong"\nprobabilty = "5%"\n')
    it.child.signal(signal.SIGHUP)
    wait_until(lambda: it.metric("hormesis_config_reloads_total", result="failed") >= 1, what="a refused reload")
    assert "probabilty" in it.child.output()
    assert it.call(path="/marked").status == 418
    assert it.call(path="/").status == 200
