"""Bodies of a few kB, or a few MB, that inflate to gigabytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache

SIZE_BYTES = 2**30
"""What a bomb inflates to, at least."""

_BLOCK_BYTES = 2**20


def _gzip(beginning: bytes, filler: bytes) -> bytes:
    """`beginning`, then `filler` over and over; cut off before an end that nobody will wait for."""
    block = filler * (_BLOCK_BYTES // len(filler))
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    first = packer.compress(beginning) + packer.flush(zlib.Z_FULL_FLUSH)
    packer.compress(block)
    packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # the same each time after a full flush
    return first + again * (SIZE_BYTES // _BLOCK_BYTES)


BOMBS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "gzip": _gzip,
    "gzip, gzip": lambda beginning, filler: gzip.compress(_gzip(beginning, filler)),
}
"""By `Content-Encoding`, what makes a bomb that begins with a text and goes on with a filler."""


@cache
def bomb(encoding: str, beginning: bytes, filler: bytes) -> bytes:
    return BOMBS[encoding](beginning, filler)
