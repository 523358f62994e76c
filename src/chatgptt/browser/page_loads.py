"""What a page loads while it makes its tokens, to record the visit.

`LoadRecorder` takes in events of Chromium's debugging protocol, and has no clock. It keeps everything in
memory, since it is full of secrets. A request is noted when it goes out, which gives the order. The body of
its reply is read while the reply is held back from the page: when a page goes elsewhere, Chromium forgets
the bodies. Playwright's `route` cannot do this: it would send the request itself, as another client.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count

from chatgptt._models import StoredCookie

LOADED = ("Document", "Script", "XHR", "Fetch")
"""The kinds of requests that tokens can come from, in the words of the debugging protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One request of a page and its reply.

    `kind` is one of `LOADED`, and `content_type` that of the request's own body. The status is 0 where no
    reply came; with `is_awaited` it was still to come when the visit ended. Headers have lower-case names.
    """

    kind: str
    method: str
    url: str
    content_type: str = ""
    request_body: bytes = b""
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_awaited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedVisit:
    """One visit of the browser: the loads in the order of the requests, and the rest as it was at the end."""

    page: str
    loads: tuple[Load, ...]
    content: str
    cookies: tuple[StoredCookie, ...]


Send = Callable[[str, dict[str, object]], Awaitable[Mapping[str, object] | None]]
"""Sends a command of the debugging protocol; the result is None where the page went elsewhere meanwhile."""


_Headers = tuple[tuple[str, str], ...]


class LoadRecorder:
    """Records the loads of one tab."""

    def __init__(self) -> None:
        self._numbers = count()
        self._loads: dict[int, Load] = {}
        self._by_request: dict[str, int] = {}
        self._early_replies: dict[str, tuple[int, _Headers, bytes]] = {}
        self._is_complete = asyncio.Event()
        self._is_complete.set()

    @property
    def loads(self) -> tuple[Load, ...]:
        """What has been loaded until now."""
        return tuple(self._loads.values())

    async def wait_until_complete(self) -> None:
        """Waits until every reply has come."""
        await self._is_complete.wait()

    def observe_request(self, event: Mapping[str, object]) -> None:
        """Takes in `Network.requestWillBeSent`."""
        kind, request = str(event.get("type", "")), _object(event["request"])
        if kind not in LOADED or not str(request["url"]).startswith("http"):
            return
        key = str(event["requestId"])
        if key in self._by_request:  # a redirect to another address
            redirect = _object(event.get("redirectResponse"))
            headers = _lower_names(_object(redirect.get("headers")).items())
            self._add_reply(key, _number(redirect.get("status")), headers)
        number = self._by_request[key] = next(self._numbers)
        self._loads[number] = Load(
            kind=kind,
            method=str(request["method"]),
            url=str(request["url"]).partition("#")[0],
            content_type=dict(_lower_names(_object(request.get("headers")).items())).get("content-type", ""),
            request_body=_body_of(request),
            is_awaited=True,
        )
        if key in self._early_replies:
            self._add_reply(key, *self._early_replies.pop(key))
        self._check_completeness()

    def observe_failure(self, event: Mapping[str, object]) -> None:
        """Takes in `Network.loadingFailed`. A request that the page itself gave up is forgotten."""
        number = self._by_request.pop(str(event["requestId"]), None)
        if number is None or not self._loads[number].is_awaited:
            return
        if event.get("canceled") is True or "ERR_ABORTED" in str(event.get("errorText")):
            del self._loads[number]
        else:
            self._loads[number] = replace(self._loads[number], is_awaited=False)
        self._check_completeness()

    async def observe_reply(self, event: Mapping[str, object], send: Send) -> None:
        """Takes in `Fetch.requestPaused` for a reply that is held back, and reads the reply's body."""
        key, status = str(event.get("networkId")), _number(event.get("responseStatusCode"))
        if not status:
            return
        given = event.get("responseHeaders")
        pairs = given if isinstance(given, list) else []
        headers = _lower_names((one["name"], one["value"]) for one in pairs)
        body = b""
        is_endless = dict(headers).get("content-type", "").startswith("text/event-stream")
        if status // 100 != 3 and status not in (204, 205) and not is_endless:
            found = await send("Fetch.getResponseBody", {"requestId": event["requestId"]}) or {}
            text = str(found.get("body", ""))
            body = base64.b64decode(text) if found.get("base64Encoded") else text.encode("utf-8", "replace")
        if not self._add_reply(key, status, headers, body):
            # `Network` and `Fetch` events come from two processes, in any order.
            self._early_replies[key] = (status, headers, body)

    def _add_reply(self, key: str, status: int, headers: _Headers, body: bytes = b"") -> bool:
        number = self._by_request.get(key)
        if number is None or not self._loads[number].is_awaited:
            return False
        load = self._loads[number]
        self._loads[number] = replace(load, status=status, headers=headers, body=body, is_awaited=False)
        self._check_completeness()
        return True

    def _check_completeness(self) -> None:
        is_complete = not any(load.is_awaited for load in self._loads.values())
        (self._is_complete.set if is_complete else self._is_complete.clear)()


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _lower_names(pairs: Iterable[tuple[object, object]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name).lower(), str(value)) for name, value in pairs)


def _body_of(request: Mapping[str, object]) -> bytes:
    entries = request.get("postDataEntries")
    if isinstance(entries, list):
        return b"".join(base64.b64decode(str(one.get("bytes", ""))) for one in entries)
    return str(request.get("postData", "")).encode("utf-8", "replace")
