"""Floods of HTTP/2 frames end their own connection, and cost the others and our memory little."""

import contextlib
import socket
import statistics
import struct
import threading
import time

import pytest

from support.net import HOST, Connection, call
from support.process import resident

MIB = 1 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
# GET http / of authority "h": static table entries, and a literal.
GET = b"\x82\x86\x84\x41\x01h"


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def odd(start=1):
    while True:
        yield start
        start += 2


def pings():
    while True:
        yield frame(PING, payload=b"12345678") * 500


def settings():
    while True:
        yield frame(SETTINGS) * 500


def rapid_resets():
    for stream in odd():
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, GET) + frame(RST, 0, stream, b"\0\0\0\x08")


def continuations():
    yield frame(HEADERS, END_STREAM, 1, GET)
    while True:
        yield frame(CONTINUATION, 0, 1, b"\x40\x01a\x7f\x81\x7f" + b"b" * 254) * 8


def made_resets():
    """Streams whose own errors make the other side reset them (CVE-2025-8671)."""
    head = GET + b"\x0f\x0d\x011"  # content-length: 1
    for stream in odd():
        yield frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, 0, stream, b"two")


def bombs():
    """A large field kept in the table and named by a byte each time: heads that unfold."""
    kept = b"\x40\x01b\x7f\xb9\x16" + b"b" * 3000
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + kept + b"\xbe" * 5000)
    for stream in odd(3):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, GET + b"\xbe" * 16000)


def window_updates():
    while True:
        yield frame(8, payload=b"\0\0\0\x01") * 500


def empty_data():
    yield frame(HEADERS, END_HEADERS, 1, GET)
    while True:
        yield frame(DATA, 0, 1) * 500


FLOODS = {f.__name__: f for f in (pings, settings, rapid_resets, made_resets, continuations, bombs, window_updates, empty_data)}


def attack(port, flood, until):
    """Sends a flood on one connection after the other; whether each was ended, and how."""
    endings = []
    while not until.is_set():
        with socket.create_connection((HOST, port), timeout=5) as sock:
            received = b""
            with contextlib.suppress(OSError):
                sock.sendall(PREFACE + frame(SETTINGS))
                sock.setblocking(False)
                for piece in flood():
                    while piece and not until.is_set():
                        with contextlib.suppress(BlockingIOError):
                            received += sock.recv(1 << 16)
                        with contextlib.suppress(BlockingIOError):
                            piece = piece[sock.send(piece) :]
                    if until.is_set() or GOAWAY in kinds(received):
                        break
            if not until.is_set():
                endings.append(GOAWAY in kinds(received))
    return endings


def kinds(received):
    found = []
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        found.append(received[3])
        received = received[9 + length :]
    return found


def latencies(port, seconds):
    """How long a client's calls take, one after the other on a kept connection."""
    found, end = [], time.monotonic() + seconds
    with Connection(port) as connection:
        while time.monotonic() < end:
            start = time.perf_counter()
            assert connection.request("GET", "/").status == 200
            found.append(time.perf_counter() - start)
    return found


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_own_connection(sidecar, nginx, name):
    it = sidecar(upstream=nginx, log="fired")
    quiet = latencies(it.port, 1)
    before = resident(it.child.pid)["VmRSS"]
    over, endings = threading.Event(), []
    attacker = threading.Thread(target=lambda: endings.extend(attack(it.port, FLOODS[name], over)))
    attacker.start()
    try:
        loud = latencies(it.port, 2)
    finally:
        over.set()
        attacker.join()
    grown = resident(it.child.pid)["VmHWM"] - before
    p99 = [statistics.quantiles(found, n=100)[98] * 1e3 for found in (quiet, loud)]
    print(f"{name}: {len(endings)} connections, p99 {p99[0]:.2f} -> {p99[1]:.2f} ms, {grown / MIB:.1f} MiB")
    assert endings, "the flood went on"
    # The reset behind it may overtake a GOAWAY that the attacker does not read in time.
    assert any(endings), "no connection ended with GOAWAY"
    assert grown < 16 * MIB
    assert call(it.port).status == 200
