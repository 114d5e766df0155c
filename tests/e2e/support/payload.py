"""Large bodies that are cheap to make and whose every mebibyte differs."""

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
