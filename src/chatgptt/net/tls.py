"""What certificates are checked with, shared by everything in this process that connects."""

from __future__ import annotations

import functools
import os
import ssl

import httpx


def tls_context() -> ssl.SSLContext:
    """The context for TLS, made when first needed: to read the authorities' certificates takes 30 ms."""
    return _context(os.getpid(), os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.cache
def _context(process: int, *named: str | None) -> ssl.SSLContext:
    """One for each process and each value of the variables that httpx reads.

    A forked child makes its own: a thread of its parent may have held a lock in the parent's.
    """
    return httpx.create_ssl_context()
