"""Floods of HTTP/2 frames end their own connection, and cost the others and our memory little."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.flooder import END_HEADERS, END_STREAM, FLOODS, GET, HEADERS, PREFACE, RST, SETTINGS, frame, kinds
from support.net import HOST, Connection, call, wait_until
from support.process import resident

MIB = 1 << 20
# `HORMESIS_FLOOD=3000` makes it the long run.
CALLS = int(os.environ.get("HORMESIS_FLOOD", 600))
# Seconds between two connections of the attacker.
PAUSE = 0.05


class Attacker:
    def __init__(self, port, name):
        program = Path(__file__).parent / "support" / "flooder.py"
        argv = [sys.executable, program, str(port), name, str(PAUSE)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        out, _ = self.process.communicate("\n", timeout=30)
        return json.loads(out)


def latencies(port, calls):
    """How long a client's calls take, on a kept connection, with a little time between two."""
    found = []
    with Connection(port) as connection:
        for _ in range(calls):
            start = time.perf_counter()
            assert connection.request("GET", "/").status == 200
            found.append(time.perf_counter() - start)
            time.sleep(0.001)
    return found


def p99(found):
    return statistics.quantiles(found, n=100)[98] * 1e3


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_own_connection(sidecar, nginx, name):
    """Others' calls take at most twice as long: as on a quiet machine, or beside the same attack on another
    sidecar, since even an idle attacker takes a part of this machine."""
    it = sidecar(upstream=nginx, log="fired", workers=2)
    other = sidecar(upstream=nginx, log="fired", workers=2)
    latencies(it.port, 50)
    before, rounds, told = resident(it.child.pid)["VmRSS"], [], []

    def attacked(port):
        attacker = Attacker(port, name)
        time.sleep(0.2)
        found = p99(latencies(it.port, CALLS))
        told.append(attacker.end())
        return found

    for _ in range(3):
        rounds.append((p99(latencies(it.port, CALLS)), attacked(other.port), attacked(it.port)))
        if is_fair(rounds[-1]):
            break
    grown = resident(it.child.pid)["VmHWM"] - before
    shown = ", ".join(f"{quiet:.2f} -> {elsewhere:.2f} elsewhere, {here:.2f} here" for quiet, elsewhere, here in rounds)
    print(f"{name}: {told[-1]}, p99 in ms {shown}; {grown / MIB:.1f} MiB")
    assert all(it["connections"] >= 2 for it in told), "the flood went on"
    # The reset behind it may overtake a GOAWAY that the attacker does not read in time.
    assert any(it["goaways"] for it in told), "no connection ended with GOAWAY"
    assert grown < 16 * MIB
    assert any(map(is_fair, rounds)), shown
    assert call(it.port).status == 200


def is_fair(round):
    quiet, elsewhere, here = round
    return here <= 2 * max(quiet, elsewhere)


def test_a_hundred_streams_without_a_window_hold_little(sidecar, upstream):
    it = sidecar(upstream=upstream.port, log="all", top='[limits]\nbody_idle = "500ms"\n')
    assert it.call(path="/bytes/1000").status == 200
    before = resident(it.child.pid)["VmRSS"]
    head = GET[:2] + b"\x04\x0e/bytes/8000000" + GET[3:]
    with socket.create_connection((HOST, it.port), timeout=20) as sock:
        sock.sendall(PREFACE + frame(SETTINGS, payload=b"\0\x04\0\0\0\0"))
        for stream in range(1, 201, 2):
            sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, head))
        received = b""
        while kinds(received).count(RST) < 100:
            data = sock.recv(1 << 16)
            assert data, "the connection was ended"
            received += data
    grown = resident(it.child.pid)["VmHWM"] - before
    print(f"{grown / MIB:.1f} MiB for a hundred streams")
    assert grown < 16 * MIB
    outcomes = {(record["outcome"], record["origin"]) for record in it.wait_decisions(101)[1:]}
    assert outcomes == {("timeout", "downstream")}
    wait_until(lambda: it.metric("hormesis_active_calls") == 0, what="no call left")
