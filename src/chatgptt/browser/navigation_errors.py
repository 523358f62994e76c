"""Errors of this package for the names that Chromium gives to failed navigations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from chatgptt._errors import ChatGpttError, ErrorCode, PageError, TransportError
from chatgptt.protocols.urls import origin, without_credentials

_TLS_HINT = "the site's certificate or TLS set-up is at fault, or something on the way replaces it"
_PROXY_HINT = "check the proxy's address and login"

_TABLE: tuple[tuple[str, ErrorCode, str], ...] = (
    # beginning of Chromium's name, code, hint
    ("ERR_NAME_", "dns_error", "check the host name and this machine's network"),
    ("ERR_CERT_", "tls_error", _TLS_HINT),
    ("ERR_SSL_", "tls_error", _TLS_HINT),
    ("ERR_BAD_SSL_", "tls_error", _TLS_HINT),
    ("ERR_TIMED_OUT", "timeout", "the site is slow; allow more time with timeout="),
    ("ERR_CONNECTION_TIMED_OUT", "timeout", "the site's server does not answer; try again later"),
    ("ERR_PROXY_", "connect_error", _PROXY_HINT),
    ("ERR_TUNNEL_", "connect_error", _PROXY_HINT),
    ("ERR_", "connect_error", "check the address, that the site is up, and the proxy if there is one"),
)
_NO_PAGE = frozenset(
    {
        "ERR_ABORTED",  # a download, or no content
        "ERR_TOO_MANY_REDIRECTS",
        "ERR_INVALID_RESPONSE",
        "ERR_INVALID_REDIRECT",
        "ERR_UNSAFE_REDIRECT",
    }
)

_OF_THE_GATE = frozenset({"ERR_EMPTY_RESPONSE", "ERR_CONNECTION_CLOSED", "ERR_TUNNEL_CONNECTION_FAILED"})
"""Chromium's names for a gate that closes the connection or refuses a tunnel."""


def map_failure(name: str, url: str, at_gate: Mapping[str, ChatGpttError]) -> ChatGpttError:
    """The error for a navigation that ended in Chromium's `name`, such as `ERR_CONNECTION_RESET`.

    `at_gate` says by host why connections failed, which Chromium behind the gate does not know.
    """
    shown = without_credentials(url)
    if name in _NO_PAGE:
        return PageError(
            f"the browser cannot show the page ({name})",
            hint="check the page's address in a browser",
            url=shown,
        )
    if name in _OF_THE_GATE and at_gate:
        # After a redirect, the failure is that of another host.
        return at_gate.get(urlsplit(url).hostname or "") or list(at_gate.values())[-1]
    code, hint = next((code, hint) for beginning, code, hint in _TABLE if name.startswith(beginning))
    return TransportError(
        f"the browser cannot talk to {origin(url)}: {name}", code=code, hint=hint, url=shown, is_sent=True
    )


def first_line_of(error: BaseException) -> str:
    """The first line of a Playwright exception that says something, without its drawings."""
    lines = [re.sub(r"[^\w\s.,:;/()'\"=-]", "", line).strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), type(error).__name__)[:300]
