"""Undoes a body's compression, a bounded piece at a time.

A few kB inflate to gigabytes, and httpx inflates at once whatever has arrived. Here output is asked for, a
piece at a time: input that is not needed yet stays as it is, and a coding inside of another is asked in the
same way. So what is held is some pieces, whatever the body says.

Offered are the codings that can be bounded like that: gzip, deflate, and brotli where its library is there
and is new enough. A word that names no coding is passed over, as browsers do: servers write `utf-8` there.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Protocol

__all__ = ["ACCEPT_ENCODING", "MAX_BODY_BYTES", "PIECE_BYTES", "BodyDecoder", "UndecodableBodyError"]

MAX_BODY_BYTES = 64 * 2**20
"""Of a body, and of each coding on the way to it. The frames of the longest answer that models give, some
130,000 tokens, take less."""

PIECE_BYTES = 64 * 2**10
"""As much as httpx reads from a socket at once."""

_MAX_CODINGS = 5
"""As curl has it; servers use one."""


class UndecodableBodyError(Exception):
    """A body that is broken, cut off, in a coding that was not offered, or too large."""


class _Coding(Protocol):
    """One coding. Input is fed only when `take` has given None."""

    @property
    def is_complete(self) -> bool: ...

    def feed(self, data: bytes) -> None: ...

    def take(self) -> bytes | None: ...


class _Zlib:
    """gzip or deflate. What follows its end is ignored, as browsers do."""

    def __init__(self, window: int) -> None:
        self.is_complete = False
        self._window = window
        self._inflater = zlib.decompressobj(window)
        self._input = b""
        self._is_full = False

    def feed(self, data: bytes) -> None:
        self._input = data

    def take(self) -> bytes | None:
        if self.is_complete or not (self._input or self._is_full):
            return None
        try:
            data = self._inflater.decompress(self._input, PIECE_BYTES)
        except zlib.error as error:
            raise UndecodableBodyError(str(error)) from error
        self._input = self._inflater.unconsumed_tail
        self._is_full = len(data) == PIECE_BYTES  # then there may be more that is not even in the tail
        self.is_complete = self._inflater.eof
        return data


class _Deflate:
    """`deflate` with zlib's header, as it should be, or without, as some servers send it."""

    def __init__(self) -> None:
        self._head = b""
        self._zlib: _Zlib | None = None

    @property
    def is_complete(self) -> bool:
        return self._zlib is not None and self._zlib.is_complete

    def feed(self, data: bytes) -> None:
        if self._zlib is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return
            has_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0  # RFC 1950
            self._zlib = _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        self._zlib.feed(data)

    def take(self) -> bytes | None:
        return None if self._zlib is None else self._zlib.take()


class _BrotliDecompressor(Protocol):
    def process(self, data: bytes, *, output_buffer_limit: int) -> bytes: ...

    def can_accept_more_data(self) -> bool: ...

    def is_finished(self) -> bool: ...


class _BrotliLibrary(Protocol):
    error: type[Exception]

    def Decompressor(self) -> _BrotliDecompressor: ...


def _find_brotli() -> _BrotliLibrary | None:
    """The library, if it can bound what it gives, as it can from 1.2 on."""
    try:
        library: _BrotliLibrary = importlib.import_module("brotli")
    except ImportError:
        return None
    return library if hasattr(library.Decompressor, "can_accept_more_data") else None


_brotli = _find_brotli()

ACCEPT_ENCODING = "gzip, deflate" if _brotli is None else "gzip, deflate, br"


class _Brotli:
    def __init__(self, library: _BrotliLibrary) -> None:
        self._library = library
        self._decompressor = library.Decompressor()
        self._input = b""

    @property
    def is_complete(self) -> bool:
        return self._decompressor.is_finished()

    def feed(self, data: bytes) -> None:
        self._input = data

    def take(self) -> bytes | None:
        if self.is_complete or (not self._input and self._decompressor.can_accept_more_data()):
            return None
        data, self._input = self._input, b""
        try:
            return self._decompressor.process(data, output_buffer_limit=PIECE_BYTES)
        except self._library.error as error:
            raise UndecodableBodyError(str(error)) from error


class BodyDecoder:
    """Takes a body as it arrives and gives it back decoded: `feed`, then `take` until it gives None.

    Args:
        content_encoding: the header of that name, "" for none.

    Raises:
        UndecodableBodyError: for codings that were not offered, or too many.
    """

    def __init__(self, content_encoding: str) -> None:
        words = [word.strip().lower() for word in content_encoding.split(",")]
        self._codings = [coding for word in reversed(words) if (coding := _maybe_coding(word)) is not None]
        if len(self._codings) > _MAX_CODINGS:
            raise UndecodableBodyError(f"the body is encoded {len(self._codings)} times over")
        self._input = b""
        self._has_input = False
        self._sizes_bytes = [0] * (len(self._codings) + 1)

    @property
    def is_encoded(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._codings)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body. Only after `take` has given None."""
        self._input = data
        self._has_input = self._has_input or bool(data)

    def count(self, data: bytes) -> None:
        """Takes note of a piece of a body that has no coding, in place of `feed` and `take`.

        Raises:
            UndecodableBodyError: where the body is too large.
        """
        self._count(0, data)

    def take(self) -> bytes | None:
        """The next piece, b"" for none although there may be more, None where more input is needed.

        Raises:
            UndecodableBodyError: for a body that is broken or too large.
        """
        return self._take(len(self._codings))

    def end(self) -> None:
        """The body has ended.

        Raises:
            UndecodableBodyError: where its codings have not.
        """
        if self._has_input and not all(coding.is_complete for coding in self._codings):
            raise UndecodableBodyError("the compressed body ends early")

    def _take(self, place: int) -> bytes | None:
        """A piece of what the first `place` codings have undone, in few steps: a caller has a deadline."""
        if place == 0:
            data, self._input = self._input or None, b""
        else:
            coding = self._codings[place - 1]
            data = coding.take()
            if data is None:
                below = self._take(place - 1)
                if not below:
                    return below
                coding.feed(below)
                data = coding.take() or b""
        if data:
            self._count(place, data)
        return data

    def _count(self, place: int, data: bytes) -> None:
        self._sizes_bytes[place] += len(data)
        if self._sizes_bytes[place] > MAX_BODY_BYTES:
            raise UndecodableBodyError(f"the body is larger than {MAX_BODY_BYTES // 2**20} MB")


def _maybe_coding(word: str) -> _Coding | None:
    """What undoes a coding; None for a word that names none."""
    match word:
        case "gzip" | "x-gzip":
            return _Zlib(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Deflate()
        case "br" if _brotli is not None:
            return _Brotli(_brotli)
        case "br" | "zstd" | "compress" | "x-compress" | "dcb" | "dcz":
            raise UndecodableBodyError(f"the body is encoded as {word!r}, which was not asked for")
        case _:
            return None
