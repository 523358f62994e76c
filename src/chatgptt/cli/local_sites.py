"""Sites that a command runs on this machine, and what to do where one cannot run."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from chatgptt._errors import InvalidInputError

_PACE = 0.04
"""Seconds from word to word with --demo: about as fast as a model, so that streaming can be seen."""


@contextlib.contextmanager
def serve_demo() -> Iterator[str]:
    """Runs the demo site for the block; the page that is asked."""
    with explaining_extra("demo", "the demo site"):
        from chatgptt.demo import serve
    with serve(pace=_PACE) as site:
        yield site.page("wpaicg/")


@contextlib.contextmanager
def explaining_extra(extra: str, what: str) -> Iterator[None]:
    """Says how to get the web server that `what` needs where the extra is not installed.

    Raises:
        InvalidInputError: in place of the block's ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise InvalidInputError(
            f"{what} needs the package {error.name}, which is not installed",
            hint=f"pip install 'chatgptt[{extra}]', or in a clone of the repository: "
            f"pip install '.[{extra}]'",
        ) from error


@contextlib.contextmanager
def explaining_address(host: str, port: int) -> Iterator[None]:
    """Says which address a server of the block could not listen on.

    Raises:
        InvalidInputError: in place of the block's OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ENOSPC, errno.EIO):
            raise  # of our own output
        number = error.errno or 0  # negative where the host's name was not found
        why = os.strerror(number) if number > 0 else error.strerror
        raise InvalidInputError(
            f"cannot listen on {host}, port {port}: {why}",
            hint="give another --port (0 takes a free one), or an address of this machine as --host",
        ) from error
