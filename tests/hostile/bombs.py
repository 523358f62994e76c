"""Bodies of a few kB, or a few MB, that inflate to gigabytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache

import brotli

SIZE_BYTES = 2**30
"""What a bomb inflates to, at least."""

_BLOCK_BYTES = 2**20


def _deflated(beginning: bytes, filler: bytes, window: int) -> bytes:
    """`beginning`, then `filler` over and over; cut off before an end that nobody will wait for."""
    block = filler * (_BLOCK_BYTES // len(filler))
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    first = packer.compress(beginning) + packer.flush(zlib.Z_FULL_FLUSH)
    packer.compress(block)
    packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # the same each time after a full flush
    return first + again * (SIZE_BYTES // _BLOCK_BYTES)


def _gzip(beginning: bytes, filler: bytes) -> bytes:
    return _deflated(beginning, filler, zlib.MAX_WBITS | 16)


def _brotli(beginning: bytes, filler: bytes) -> bytes:
    block = filler * (_BLOCK_BYTES // len(filler))
    packer = brotli.Compressor(quality=1)
    pieces = [packer.process(beginning)]
    pieces += [packer.process(block) for _ in range(SIZE_BYTES // _BLOCK_BYTES // 4)]
    return b"".join([*pieces, packer.finish()])


BOMBS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "gzip": _gzip,
    "deflate": lambda beginning, filler: _deflated(beginning, filler, zlib.MAX_WBITS),
    "br": _brotli,
    "gzip, gzip": lambda beginning, filler: gzip.compress(_gzip(beginning, filler)),
    "gzip, gzip, gzip": lambda beginning, filler: gzip.compress(gzip.compress(_gzip(beginning, filler))),
    "gzip, br": lambda beginning, filler: brotli.compress(_gzip(beginning, filler), quality=5),
}
"""By `Content-Encoding`, what makes a bomb that begins with a text and goes on with a filler."""


@cache
def bomb(encoding: str, beginning: bytes, filler: bytes) -> bytes:
    return BOMBS[encoding](beginning, filler)
