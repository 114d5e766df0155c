"""WebSocket through the sidecar, both ends by the `websockets` package."""

import asyncio
import hashlib
import random

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.net import HOST, free_port

ELSEWHERE = """
[[rules]]
name = "elsewhere"
select = { path = "/elsewhere" }
[[rules.faults]]
abort = { status = 503 }
"""
REFUSED = """
[[rules]]
name = "refused"
select = { path = "/refused" }
[[rules.faults]]
abort = { status = 503 }
"""
CUT = """
[[rules]]
name = "cut"
select = { path = "/cut" }
[[rules.faults]]
delay = { fixed = "50ms" }
"""


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def run(scenario, port):
    """Runs a client's part while the echo server listens."""

    async def both():
        async with serve(echo, HOST, port, max_size=None):
            return await asyncio.wait_for(scenario(), 60)

    return asyncio.run(both())


def url(it, path="/socket"):
    return f"ws://{HOST}:{it.port}{path}"


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_pass_byte_for_byte(sidecar, compression):
    port = free_port()
    it = sidecar(ELSEWHERE, upstream=port)
    source = random.Random(5)

    async def scenario():
        async with connect(url(it), compression=compression, max_size=None, proxy=None) as socket:
            for _ in range(300):
                message = source.randbytes(int(2 ** source.uniform(0, 18)))
                await socket.send(message)
                back = await socket.recv()
                assert hashlib.sha256(back).digest() == hashlib.sha256(message).digest()
            await socket.send("text, ünïcode")
            assert await socket.recv() == "text, ünïcode"
            # A ping is answered by the other end, not by us.
            await (await socket.ping(b"are you there"))

    run(scenario, port)
    record = it.wait_decisions(1)[0]
    assert record["status"] == 101 and record["outcome"] == "ok"


def test_the_close_handshake_passes(sidecar):
    port = free_port()
    it = sidecar(upstream=port)

    async def scenario():
        async with connect(url(it), proxy=None) as socket:
            await socket.send("one")
            await socket.recv()
            await socket.close(4001, "enough")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 4001

    run(scenario, port)


def test_rules_act_on_the_handshake(sidecar):
    port = free_port()
    it = sidecar(REFUSED + CUT, upstream=port)

    async def scenario():
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url(it, "/refused"), proxy=None):
                pass
        assert refused.value.response.status_code == 503
        async with connect(url(it, "/cut"), proxy=None) as socket:
            await socket.send("after a delay")
            assert await socket.recv() == "after a delay"

    run(scenario, port)
