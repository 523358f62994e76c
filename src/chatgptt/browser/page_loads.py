"""What a page loads while it makes its tokens, to record visits.

Fed with events of Chromium's debugging protocol, and without a clock. It stays in memory, since it is full of
what must not be told. A request is noted when it goes out, which gives the order; the body of its reply is
taken while the page still waits for it, for a page that goes elsewhere takes its bodies along.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from chatgptt._models import StoredCookie

__all__ = ["LOADED", "Load", "Loads", "Witness", "Witnessed"]

LOADED = ("Document", "Script", "XHR", "Fetch")
"""The kinds of requests that tokens can come from, in the words of the debugging protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One request of a page and its reply.

    Attributes:
        kind: one of `LOADED`.
        content_type: that of the request's own body.
        status: 0 where no reply came.
        headers: of the reply, with lower-case names.
        is_awaited: whether the reply was still to come when the visit ended.
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
class Witnessed:
    """One visit of the browser.

    Attributes:
        page: where the page was at the end.
        loads: what it loaded, in the order of the requests.
        content: its document at the end.
        cookies: what it had been given by then.
    """

    page: str
    loads: tuple[Load, ...]
    content: str
    cookies: tuple[StoredCookie, ...]


Witness = Callable[[Witnessed], None]
"""Is told of each visit before its tab is put away."""

Send = Callable[[str, dict[str, object]], Awaitable[Mapping[str, object] | None]]
"""Sends a command of the debugging protocol; None is its result where the page went elsewhere meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(slots=True)
class _Note:
    request: Mapping[str, object]
    kind: str
    reply: _Answer | None = None
    is_awaited: bool = True

    def answer(self, answer: _Answer) -> None:
        self.reply, self.is_awaited = answer, False

    def done(self) -> Load:
        request_headers = _members(self.request.get("headers"))
        reply = self.reply or _Answer(status=0)
        return Load(
            kind=self.kind,
            method=str(self.request["method"]),
            url=str(self.request["url"]).partition("#")[0],
            content_type=dict(_lowered(request_headers.items())).get("content-type", ""),
            request_body=_posted(self.request),
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            is_awaited=self.is_awaited,
        )


class Loads:
    """The loads of one tab."""

    def __init__(self) -> None:
        self._notes: list[_Note] = []
        self._open: dict[str, _Note] = {}
        self._early: dict[str, _Answer] = {}
        self._calm = asyncio.Event()
        self._calm.set()

    def went(self, event: Mapping[str, object]) -> None:
        """Takes in `Network.requestWillBeSent`."""
        kind, request = str(event.get("type", "")), _members(event["request"])
        if kind not in LOADED or not str(request["url"]).startswith("http"):
            return
        which = str(event["requestId"])
        before = self._open.get(which)
        if before is not None and before.is_awaited:  # a redirect: it goes on to another address
            redirect = _members(event.get("redirectResponse"))
            headers = _lowered(_members(redirect.get("headers")).items())
            before.answer(_Answer(status=_number(redirect.get("status")), headers=headers))
        note = self._open[which] = _Note(request=request, kind=kind)
        self._notes.append(note)
        if which in self._early:
            note.answer(self._early.pop(which))
        self._look_around()

    def failed(self, event: Mapping[str, object]) -> None:
        """Takes in `Network.loadingFailed`: what the page itself gave up is as if it had never been."""
        note = self._open.pop(str(event["requestId"]), None)
        if note is not None and note.is_awaited:
            note.is_awaited = False
            if event.get("canceled") is True or "ERR_ABORTED" in str(event.get("errorText")):
                self._notes.remove(note)
        self._look_around()

    async def take(self, event: Mapping[str, object], send: Send) -> None:
        """Takes in `Fetch.requestPaused` for a reply that is held back, with its body."""
        which, status = str(event.get("networkId")), _number(event.get("responseStatusCode"))
        if not status:
            return
        given = event.get("responseHeaders")
        headers = _lowered((one["name"], one["value"]) for one in given) if isinstance(given, list) else ()
        body = b""
        is_endless = dict(headers).get("content-type", "").startswith("text/event-stream")
        if status // 100 != 3 and status not in (204, 205) and not is_endless:
            reply = await send("Fetch.getResponseBody", {"requestId": event["requestId"]}) or {}
            text = str(reply.get("body", ""))
            body = base64.b64decode(text) if reply.get("base64Encoded") else text.encode("utf-8", "replace")
        answer = _Answer(status=status, headers=headers, body=body)
        note = self._open.get(which)
        if note is not None and note.is_awaited:
            note.answer(answer)
            self._look_around()
        else:
            self._early[which] = answer  # the two kinds of events come from two processes, in any order

    async def calm(self) -> None:
        """Waits until every reply has come."""
        await self._calm.wait()

    def all(self) -> tuple[Load, ...]:
        """What has been loaded until now."""
        return tuple(note.done() for note in self._notes)

    def _look_around(self) -> None:
        if any(note.is_awaited for note in self._notes):
            self._calm.clear()
        else:
            self._calm.set()


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _lowered(pairs: Iterable[tuple[object, object]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name).lower(), str(value)) for name, value in pairs)


def _posted(request: Mapping[str, object]) -> bytes:
    entries = request.get("postDataEntries")
    if isinstance(entries, list):
        return b"".join(base64.b64decode(str(one.get("bytes", ""))) for one in entries)
    return str(request.get("postData", "")).encode("utf-8", "replace")
