"""Undoes a body's compression, a bounded piece at a time.

A few kB inflate to gigabytes, and httpx inflates at once all that has arrived. Here the input that is not
needed yet stays compressed, so no more than some pieces are held at a time.

Only gzip is asked for: every server that compresses knows it, and zlib bounds what it gives. A word that
names no coding is passed over, as browsers do: servers write `utf-8` there.
"""

from __future__ import annotations

import zlib

ACCEPT_ENCODING = "gzip"

MAX_BODY_BYTES = 64 * 2**20
"""Of a body, before and after decompression. The frames of the longest answer that models give, some 130,000
tokens, take less."""

PIECE_BYTES = 64 * 2**10
"""As much as httpx reads from a socket at once."""

_GZIP = ("gzip", "x-gzip")
_OTHER_CODINGS = ("br", "compress", "dcb", "dcz", "deflate", "x-compress", "zstd")
"""What else the registry of HTTP content codings has, or had, for bodies of the web."""


class UndecodableBodyError(Exception):
    """A body that is broken, cut off, in a coding that was not asked for, or too large."""


class BodyDecoder:
    """Takes a body as it arrives and gives it back decoded: `feed`, then `take` until it gives None.

    Where nothing `is_encoded`, `count` is enough.

    Raises:
        UndecodableBodyError: for a `Content-Encoding` other than gzip, once.
    """

    def __init__(self, content_encoding: str) -> None:
        words = [word.strip().lower() for word in content_encoding.split(",")]
        codings = [word for word in words if word in _GZIP or word in _OTHER_CODINGS]
        if any(word in _OTHER_CODINGS for word in codings) or len(codings) > 1:
            raise UndecodableBodyError(
                f"the body is encoded as {', '.join(codings)[:50]!r}, which was not asked for"
            )
        self.is_encoded = bool(codings)
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._input = b""
        self._is_full = False
        self._arrived_bytes = 0
        self._taken_bytes = 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body. Only after `take` has given None."""
        self._input = data
        self.count(data)

    def count(self, data: bytes) -> None:
        """Counts the next bytes of the body.

        Raises:
            UndecodableBodyError: where the body is too large.
        """
        self._arrived_bytes += len(data)
        if self._arrived_bytes > MAX_BODY_BYTES:
            raise _too_large()

    def take(self) -> bytes | None:
        """The next piece, b"" for none although there may be more, None where more input is needed.

        Raises:
            UndecodableBodyError: for a body that is broken or too large.
        """
        if not self._input and not self._is_full:
            return None
        if self._inflater.eof:  # browsers too ignore what follows
            self._input, self._is_full = b"", False
            return None
        try:
            data = self._inflater.decompress(self._input, PIECE_BYTES)
        except zlib.error as error:
            raise UndecodableBodyError(str(error)) from error
        self._input = self._inflater.unconsumed_tail
        self._is_full = len(data) == PIECE_BYTES  # then there may be more that is not even in the tail
        self._taken_bytes += len(data)
        if self._taken_bytes > MAX_BODY_BYTES:
            raise _too_large()
        return data

    def end(self) -> None:
        """The body has ended.

        Raises:
            UndecodableBodyError: where its compression has not.
        """
        if self._arrived_bytes and not self._inflater.eof:
            raise UndecodableBodyError("the compressed body ends early")


def _too_large() -> UndecodableBodyError:
    return UndecodableBodyError(f"the body is larger than {MAX_BODY_BYTES // 2**20} MB")
