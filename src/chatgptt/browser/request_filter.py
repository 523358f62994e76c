"""Which requests of a page go out, and with what: it blocks what tokens don't need, and adds headers.

Chromium pauses the requests of certain kinds and asks (the debugging protocol's domain `Fetch`). All others
go out by themselves, which is faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chatgptt.browser.blocked_requests import NOT_LOADED, TRACKERS, is_tracker
from chatgptt.browser.proxy_gate import ProxyGate
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.protocols.urls import origin

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

_EMPTY_STYLE: dict[str, object] = {
    "responseCode": 200,
    "responseHeaders": [{"name": "content-type", "value": "text/css"}],
    "body": "",
}
"""In place of a style sheet, since scripts wait until it is loaded."""


class RequestFilter:
    """Decides about the requests of one tab. Only `home`, the page's origin, gets the visitor's headers."""

    def __init__(self, session: CDPSession, identity: VisitorIdentity, gate: ProxyGate) -> None:
        self.home = ""
        self._session = session
        self._headers = {
            name: value for name, value in identity.headers if name not in ("cookie", "user-agent")
        }
        self._gate = gate

    def patterns(self) -> list[dict[str, object]]:
        """Which requests are paused, as `Fetch.enable` wants them."""
        # Documents also because of the gate's login, which Chromium then keeps for the whole context.
        kinds = ("Document", "XHR", "Fetch", "Script") if self._headers else ("Document",)
        return [
            *({"urlPattern": "*", "resourceType": kind} for kind in (*sorted(NOT_LOADED), *kinds)),
            *({"urlPattern": f"*://*{host}/*"} for host in TRACKERS),
        ]

    async def decide(self, event: Mapping[str, object]) -> None:
        """Answers `Fetch.requestPaused` for a request."""
        request = event["request"]
        assert isinstance(request, dict)
        url, kind = str(request["url"]), event["resourceType"]
        if kind == "Stylesheet":
            await self._answer("Fetch.fulfillRequest", event, _EMPTY_STYLE)
        elif kind in NOT_LOADED or is_tracker(url):
            await self._answer("Fetch.failRequest", event, {"errorReason": "BlockedByClient"})
        elif self._headers and origin(url) == self.home:
            headers = {
                str(name): str(value)
                for name, value in request["headers"].items()
                if str(name).lower() not in self._headers
            }
            pairs = [{"name": name, "value": value} for name, value in (headers | self._headers).items()]
            await self._answer("Fetch.continueRequest", event, {"headers": pairs})
        else:
            await self._answer("Fetch.continueRequest", event, {})

    async def log_in(self, event: Mapping[str, object]) -> None:
        """Answers `Fetch.authRequired`: the gate gets its login, and other servers get none."""
        challenge = event["authChallenge"]
        assert isinstance(challenge, dict)
        response: dict[str, str] = {"response": "Default"}
        if challenge.get("source") == "Proxy":
            user, password = self._gate.login
            response = {"response": "CancelAuth"}
            if challenge.get("realm") == self._gate.realm:
                response = {"response": "ProvideCredentials", "username": user, "password": password}
        await self._answer("Fetch.continueWithAuth", event, {"authChallengeResponse": response})

    async def _answer(self, command: str, event: Mapping[str, object], more: Mapping[str, object]) -> None:
        await self._session.send(command, {"requestId": event["requestId"], **more})
