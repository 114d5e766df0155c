"""Little of everything: memory, descriptors, disk, names. Serving goes on, and what is lost is told."""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support import confined
from support.net import HOST, Connection, accepts, free_port, head, wait_until
from support.payload import blocks, digest
from support.process import Child, cpu_seconds, descriptors, resident

MIB = 1 << 20
# `HORMESIS_BODY=1024` makes it the long run.
BODY = int(os.environ.get("HORMESIS_BODY", 192)) * MIB
CORRUPT = """
[[rules]]
name = "bits"
select = { headers = { x-corrupt = "yes" } }
[[rules.faults]]
corrupt = { random = "0.01%" }
"""


def test_large_corrupted_bodies_pass_in_64_mebibytes(sidecar, upstream):
    with confined.memory(64 * MIB) as (wrap, group):
        greedy = [*wrap, sys.executable, "-c", "x = bytearray(b'x' * (100 << 20))"]
        if subprocess.run(greedy, capture_output=True, check=False).returncode == 0:
            pytest.skip("the control group's limit does not hold here")
        it = sidecar(CORRUPT, upstream=upstream.port, wrap=wrap)
        wrong = []

        def down(fields, clean):
            total, size = hashlib.sha256(), 0

            def take(piece):
                nonlocal size
                total.update(piece)
                size += len(piece)

            with Connection(it.port) as connection:
                connection.send(head("GET", f"/bytes/{BODY}", fields))
                answer = connection.read("GET", take)
            same = total.hexdigest() == digest(BODY)
            if not (answer.complete and size == BODY and same == clean):
                wrong.append(("down", size, same, answer.error))

        def up(fields, clean):
            with Connection(it.port) as connection:
                connection.send(head("POST", "/echo", fields, length=BODY))
                for block in blocks(BODY):
                    connection.send(block)
                told = json.loads(connection.read("POST").body)
            if told["size"] != BODY or (told["sha256"] == digest(BODY)) != clean:
                wrong.append(("up", told["size"]))

        marked = [("X-Corrupt", "yes")]
        ways = [(down, marked, False), (down, [], True), (up, [], True), (down, marked, False)]
        threads = [threading.Thread(target=way, args=(fields, clean)) for way, fields, clean in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert it.child.running
        print(f"peak {resident(it.child.pid)['VmHWM'] / MIB:.1f} MiB in {group.name}")
        assert it.call(path="/after").status == 200
        it.stop()


def test_a_full_disk_costs_lines_of_the_log_and_no_call(sidecar, upstream, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    wrap = confined.full_disk(small, 64)
    it = sidecar(upstream=upstream.port, wrap=wrap, log_file=small / "decisions.jsonl")
    with Connection(it.port) as connection:
        for number in range(1000):
            assert connection.request("GET", f"/{number}/{'x' * 100}").status == 200
        dropped = wait_until(lambda: it.metric("hormesis_decisions_dropped_total"), what="dropped lines")
        # Room again: lines are written again.
        inside = Path(f"/proc/{it.child.pid}/root{small}")
        for file in inside.iterdir():
            file.write_text("")

        def written():
            assert connection.request("GET", "/again").status == 200
            return any("/again" in file.read_text() for file in inside.iterdir())

        wait_until(written, what="a line behind the gap", pause=0.05)
    print(f"{dropped:.0f} lines dropped")
    for file in inside.iterdir():
        for line in file.read_text().splitlines():
            if line.strip("\0"):
                json.loads(line.strip("\0"))


def test_a_log_that_can_never_be_written(sidecar, upstream):
    it = sidecar(upstream=upstream.port, log_file="/dev/full")
    for number in range(50):
        assert it.call(path=f"/{number}").status == 200
    wait_until(lambda: it.metric("hormesis_decisions_dropped_total") >= 50, what="dropped lines")


def test_without_descriptors_accepting_pauses_and_goes_on(sidecar, upstream):
    it = sidecar(upstream=upstream.port, wrap=confined.descriptors(64))
    clients = []
    try:
        for _ in range(100):
            clients.append(socket.create_connection((HOST, it.port), timeout=20))
        wait_until(lambda: "accepting pauses" in it.child.output(), what="a line in the log")
        before, start = cpu_seconds(it.child.pid), time.monotonic()
        time.sleep(1)
        spent = (cpu_seconds(it.child.pid) - before) / (time.monotonic() - start)
        print(f"{descriptors(it.child.pid)} descriptors, {spent:.1%} of a CPU while it waits for more")
        assert spent < 0.2
        # The admin listener has what it needs, or tells so; those that are served stay served.
        for client in clients[60:]:
            client.close()
        for client in clients[:40]:
            client.close()
        wait_until(lambda: it.call().status == 200, what="a call after it")
    finally:
        for client in clients:
            client.close()


MODELS = """
[[rules]]
name = "one"
select = { model = "never" }
[[rules.faults]]
abort = { status = 503 }
"""


def test_ten_thousand_models_and_paths_are_few_series(sidecar, upstream):
    it = sidecar(MODELS, upstream=upstream.port, protocol="openai", listener_keys='observe = ["model"]', log="off")

    def ask(connection, name):
        body = json.dumps({"model": name, "messages": [], "stream": False}).encode()
        fields = [("Content-Type", "application/json"), ("X-Events", "1"), (f"X-{name[:40]}", "1")]
        assert connection.request("POST", "/v1/chat/completions", fields=fields, body=body).status == 200
        assert connection.request("GET", f"/v1/{name}").status == 200

    with Connection(it.port) as connection:
        for number in range(50):
            ask(connection, f"warm-{number}")
    before, size = len(it.metrics()), resident(it.child.pid)["VmRSS"]
    with Connection(it.port) as connection:
        for number in range(5_000):
            ask(connection, f"model-{number}-{'m' * 200}")
    after, grown = len(it.metrics()), resident(it.child.pid)["VmRSS"] - size
    print(f"{before} series, then {after}; {grown / MIB:.1f} MiB more")
    assert after - before <= 64
    assert grown < 16 * MIB


class Named:
    """A server at an address of its own, behind a name that a file of hosts gives."""

    def __init__(self, directory, number, port):
        self.address = f"127.0.0.{number}"
        code = f"import http.server as s; s.HTTPServer(('{self.address}', {port}), s.SimpleHTTPRequestHandler).serve_forever()"
        folder = directory / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "who").write_text(str(number))
        self.child = Child([sys.executable, "-c", code], directory / f"server-{number}.log", cwd=folder)

        def up():
            with contextlib.suppress(OSError), socket.create_connection((self.address, port), timeout=1):
                return True
            return False

        wait_until(up, what=f"a server at {self.address}")


@pytest.mark.parametrize("old", ["stopped", "left running"])
def test_a_server_that_moves_to_another_address_is_found_again(sidecar, tmp_path, old):
    port, hosts = free_port(), tmp_path / "hosts"

    def name(server):
        hosts.write_text(f"127.0.0.1 localhost\n{server.address} moving.test\n")

    servers = [Named(tmp_path, 2, port)]
    try:
        name(servers[0])
        it = sidecar(
            upstream=port,
            wrap=confined.hosts(hosts),
            top=f'[upstreams.moving]\nendpoints = ["http://moving.test:{port}"]\n',
            listener_keys='routes = [{ path = "/who", upstream = "moving" }]',
        )
        assert it.call(path="/who").body == b"2"
        servers.append(Named(tmp_path, 3, port))
        if old == "stopped":
            servers[0].child.stop()
        name(servers[1])
        start = time.monotonic()
        if old == "stopped":
            # The first call that finds nobody there asks for the name again.
            time.sleep(0.6)
            assert it.call(path="/who").body == b"3"
        else:
            wait_until(lambda: it.call(path="/who").body == b"3", 20, "calls at the new address", pause=0.1)
        print(f"found after {time.monotonic() - start:.1f} s")
        assert it.call(path="/who").body == b"3"
        # And back.
        if old == "stopped":
            servers[1].child.stop()
            servers.append(Named(tmp_path, 2, port))
            name(servers[0])
            wait_until(lambda: it.call(path="/who").status == 200, what="the first address again", pause=0.1)
    finally:
        for server in servers:
            server.child.stop()
