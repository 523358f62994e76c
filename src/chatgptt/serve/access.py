"""Who may use the endpoint: programs that know the key, and no web page that a browser of this machine shows.

A page of any site can send a POST to loopback, and can have its own name point there (DNS rebinding). The
browser says both: the page's origin in `Origin` or `Sec-Fetch-Site`, the name in `Host`.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Callable

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatgptt.serve.failures import Failure
from chatgptt.serve.options import ServeOptions, find_address, host_of, is_loopback

Check = Callable[[HTTPConnection], Failure | None]


class Guard:
    """Answers a request with the failure that its check finds, before anything else sees it."""

    def __init__(self, app: ASGIApp, check: Check) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or hands the request on."""
        failure = self._check(HTTPConnection(scope)) if scope["type"] == "http" else None
        app = self._app if failure is None else failure_response(failure)
        await app(scope, receive, send)


def failure_response(failure: Failure) -> Response:
    """The response for a failure."""
    return Response(failure.body, failure.status, failure.headers)


def sender_check(options: ServeOptions) -> Check:
    """Refuses names that are not this machine's, and web pages that are not allowed."""
    names = {"localhost", options.host, socket.gethostname(), *options.hosts}
    hosts = {name.lower() for name in names if name}
    is_public = not is_loopback(options.host)

    def check(request: HTTPConnection) -> Failure | None:
        host = host_of(request.headers.get("host", ""))
        # No page has an address for its name, so where other machines connect, each of them is fine.
        is_own = is_loopback(host) or (is_public and find_address(host) is not None)
        if host not in hosts and not is_own:
            return _forbidden("the Host of the request is no name of this endpoint; see --allow-host")
        origin = request.headers.get("origin")
        is_foreign = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if origin not in options.origins and (origin is not None or is_foreign):
            return _forbidden("web pages of other origins may not use this endpoint; see --allow-origin")
        return None

    return check


def key_check(key: str) -> Check:
    """Refuses requests without the key, except for the question whether the process runs."""

    def check(request: HTTPConnection) -> Failure | None:
        # Not `request.url`, which is made of the Host header: what that holds could look like another path.
        if request.scope["path"] == "/health" and not request.scope["query_string"]:
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), _digest(key)):
            return None
        message = "the API key is missing or wrong: send it as Authorization: Bearer KEY"
        return Failure(status=401, code="invalid_api_key", message=message)

    return check


def _forbidden(message: str) -> Failure:
    return Failure(status=403, code="forbidden", message=message)


def _digest(text: str) -> bytes:
    """Of one length for all keys, so that the comparison's time says nothing about the key."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
