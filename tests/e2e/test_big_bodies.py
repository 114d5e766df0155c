"""Bodies are streamed: a gibibyte each way, and the memory stays where it was."""

import hashlib
import json
import time

import pytest

from support.net import Connection, head
from support.payload import blocks, digest
from support.process import reset_peak, resident

GIB, MIB = 1 << 30, 1 << 20
NOT_THIS = """
[[rules]]
name = "elsewhere"
select = { path = "/elsewhere" }
[[rules.faults]]
abort = { status = 503 }
"""


@pytest.fixture(scope="module")
def gibibyte():
    return digest(GIB)


def down(it, path):
    total = hashlib.sha256()
    with Connection(it.port) as connection:
        connection.send(head("GET", path))
        assert connection.read("GET", total.update).complete
    return total.hexdigest()


def up(it, size):
    with Connection(it.port) as connection:
        connection.send(head("POST", f"/echo/{size}", length=size))
        for block in blocks(size):
            connection.send(block)
        answer = connection.read("POST")
    return json.loads(answer.body)["sha256"]


@pytest.mark.heavy
@pytest.mark.parametrize("way", ["down", "down-chunked", "up"])
def test_a_gibibyte_passes_in_little_memory(sidecar, upstream, gibibyte, way):
    it = sidecar(NOT_THIS, upstream=upstream.port)

    def move(size):
        if way == "up":
            return up(it, size)
        return down(it, f"/{'chunked' if way.endswith('chunked') else 'bytes'}/{size}")

    assert move(4 * MIB) == digest(4 * MIB)
    before = resident(it.child.pid)["VmRSS"]
    reset_peak(it.child.pid)
    assert move(GIB) == gibibyte
    grown = resident(it.child.pid)["VmHWM"] - before
    assert grown < 8 * MIB, f"{grown / MIB:.1f} MiB"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3_000_001])
def test_bodies_of_odd_sizes_are_exact_both_ways(sidecar, upstream, size):
    it = sidecar(NOT_THIS, upstream=upstream.port)
    assert down(it, f"/bytes/{size}") == digest(size)
    for step in (1 if size < 70000 else 4097, 16384):
        assert down(it, f"/chunked/{size}?step={step}") == digest(size)
    assert up(it, size) == digest(size)


def test_a_reader_that_stops_holds_the_upstream_back(sidecar, upstream):
    """Back-pressure: what the client does not read is not piled up here."""
    it = sidecar(upstream=upstream.port)
    before = resident(it.child.pid)["VmRSS"]
    with Connection(it.port) as connection:
        connection.send(head("GET", f"/bytes/{256 * MIB}"))
        connection.buffer = connection.receive()
        # It has come to rest when its memory and the upstream's progress no longer change.
        last = None
        for _ in range(100):
            sizes = resident(it.child.pid)["VmRSS"]
            if sizes == last:
                break
            last = sizes
            time.sleep(0.1)
        assert "done" not in upstream.requests(f"/bytes/{256 * MIB}")[0]
        assert resident(it.child.pid)["VmRSS"] - before < 8 * MIB
