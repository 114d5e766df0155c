"""Many calls, each with a number in a header: which numbers were hit, by whatever connections."""

import asyncio

from support.net import HOST


async def _lane(port, numbers, hit):
    reader, writer = await asyncio.open_connection(HOST, port)
    for number in numbers:
        writer.write(b"GET /item HTTP/1.1\r\nHost: t\r\nx-call: %d\r\n\r\n" % number)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        if head.startswith(b"http/1.1 200"):
            continue
        assert b"x-hormesis-origin: injected" in head, head
        hit.add(number)
        if b"connection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection(HOST, port)
    writer.close()


def hit_numbers(port, count, connections) -> set:
    """Sends calls 0..count over so many connections; returns the numbers that a rule answered."""
    hit, numbers = set(), iter(range(count))

    async def all_lanes():
        await asyncio.gather(*(_lane(port, numbers, hit) for _ in range(connections)))

    asyncio.run(all_lanes())
    return hit
