"""Large bodies that are cheap to make and whose every mebibyte differs."""

import gzip
import hashlib
import random

BLOCK = 1 << 20
_BASE = random.Random(7).randbytes(BLOCK - 8)


def blocks(size):
    """`size` bytes in blocks of a mebibyte (the last one shorter)."""
    for index in range((size + BLOCK - 1) // BLOCK):
        block = index.to_bytes(8, "big") + _BASE
        yield block[: size - index * BLOCK]


def digest(size) -> str:
    total = hashlib.sha256()
    for block in blocks(size):
        total.update(block)
    return total.hexdigest()


def made(seed, size, kind) -> bytes:
    """The body that a seed stands for: the same in every process."""
    source = random.Random(seed)
    if kind == "values":  # every byte value, in runs that no line or chunk ends with
        return (bytes(range(256)) * (size // 256 + 1))[:size]
    if kind == "frames":  # what could be taken for framing
        piece = b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndata: x\n\n" + source.randbytes(3)
        return (piece * (size // len(piece) + 1))[:size]
    body = source.randbytes(size)
    return gzip.compress(body, 1, mtime=0) if kind == "gzip" else body


def events(seed, count) -> bytes:
    """Server-sent events of every form: ends of line of all three kinds, comments, no blank line at the end."""
    source = random.Random(seed)
    text = b"\xef\xbb\xbf" if source.random() < 0.1 else b""
    for _ in range(count):
        end = source.choice([b"\n", b"\n", b"\r\n", b"\r"])
        for _ in range(source.randrange(1, 4)):
            name = source.choice([b"data", b"data", b"event", b"id", b"", b"retry", b"own"])
            value = source.choice([b'{"choices":[{"delta":{"content":"a"}}]}', b"[DONE]", b"", source.randbytes(source.randrange(300))])
            text += name + source.choice([b":", b": "]) + value.replace(b"\n", b"").replace(b"\r", b"") + end
        text += end
    return text if source.random() < 0.8 else text + b"data: unfinished"


def as_chunks(body, step) -> bytes:
    """A whole chunked body: sizes in both cases, now and then with an extension."""
    parts = []
    for number, start in enumerate(range(0, len(body), step)):
        piece = body[start : start + step]
        size = f"{len(piece):X}" if number % 2 else f"{len(piece):x}"
        extension = ";name=value" if number % 7 == 3 else ""
        parts += [f"{size}{extension}\r\n".encode(), piece, b"\r\n"]
    return b"".join([*parts, b"0\r\n\r\n"])
