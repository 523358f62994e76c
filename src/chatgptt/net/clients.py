"""What sends the requests: an httpx client of ours in each event loop, or the one that was handed in."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import httpx

from chatgptt._arguments import check_kind
from chatgptt._errors import ClosedError, InvalidInputError
from chatgptt.net.cookies import CookieRules, VisitorsCookies
from chatgptt.net.loops import Loop, PerLoop, running_loop
from chatgptt.net.proxies import Proxies, Proxy
from chatgptt.protocols.urls import may_carry_credentials

if TYPE_CHECKING:
    from chatgptt.net.pool import Pool

Trace = Callable[[str, Mapping[str, object]], Awaitable[None]]
"""Called with an event's name, as `connection.connect_tcp.complete`, and what belongs to it."""


class CookieChoice(Protocol):
    """What becomes of the cookies in a jar that belong to a person's visit."""

    def choose(self, url: str, pairs: list[str]) -> list[str]:
        """Those, as `name=value`, that a request to an address carries.

        Raises:
            ChatGpttError: in place of the request.
        """

    async def note(self, url: str) -> None:
        """Notes that a reply from an address set cookies."""


class OwnClients:
    """A client for each event loop: connections belong to their loop, and the cookies to the visitor.

    The caller's `cookies` go to the site of `home` alone.

    Attributes:
        is_closed: whether nothing is to be sent any more, in any loop.
        cookie_choice: which cookies of the jar are sent; None for all that the jar allows.

    Raises:
        InvalidInputError: for a proxy that no request can be sent through.
    """

    def __init__(self, proxies: Proxies, *, home: str, cookies: str = "") -> None:
        proxies.check()
        self.is_closed = False
        self._proxies = proxies
        self.cookie_choice: CookieChoice | None = None
        self._add_callers = _adds_cookies(cookies, home) if cookies else None
        self._cookies = VisitorsCookies(CookieRules())
        self._opened = PerLoop(self._open)

    @property
    def cookies(self) -> VisitorsCookies:
        """The visitor's jar."""
        self._cookies = self._cookies.of_this_process()
        return self._cookies

    def get(self) -> httpx.AsyncClient:
        """The client of the event loop that is running.

        Raises:
            InvalidInputError: after the end.
        """
        if self.is_closed:
            raise client_is_closed()
        opened = self._opened.get()
        # A loop may go on after its generators were closed, and the pool with them.
        return self._opened.renew().http if opened.pool.is_closed else opened.http

    def build_request(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str],
        fields: Mapping[str, str],
        timeout: httpx.Timeout,
    ) -> httpx.Request:
        """A request with the visitor's cookies, and form fields for its body if there are any.

        httpx's client would merge its own headers into it, most of which are replaced: that takes longer than
        all else about it.

        Raises:
            ClosedError: after the end.
        """
        kept = self.get().cookies
        return httpx.Request(
            method,
            url,
            headers={"connection": "keep-alive", **headers},
            data=fields or None,
            cookies=httpx.Cookies(kept) if kept else None,  # a copy: the making of the header edits its jar
            extensions={"timeout": timeout.as_dict()},
        )

    def get_pool(self) -> Pool:
        """The connections of the client of the event loop that is running."""
        return self._opened.get().pool

    def find_proxy(self, url: str) -> Proxy | None:
        """The proxy that a request is sent through; None for none."""
        return self._proxies.find(url)

    async def close(self) -> None:
        """Closes the connections of the event loop that is running; those of others end with their loop."""
        opened = self._opened.maybe_get()
        if opened is not None:
            await opened.http.aclose()

    def _open(self) -> _Opened:
        from chatgptt.net.pool import Pool  # here: it loads httpcore, which not every client needs

        pool = Pool(self._proxies)
        on_request = [self._choose_cookies, *filter(None, [self._add_callers])]
        hooks: dict[str, list[Callable[..., object]]] = {
            "request": [*on_request],
            "response": [self._note_cookies],
        }
        http = httpx.AsyncClient(transport=pool, cookies=self.cookies, event_hooks=hooks)
        return _Opened(http, pool)

    async def _choose_cookies(self, request: httpx.Request) -> None:
        choice = self.cookie_choice  # once: another event loop may take it away
        if choice is not None:
            pairs = request.headers.pop("cookie", "").split("; ")
            chosen = choice.choose(str(request.url), [pair for pair in pairs if pair])
            if chosen:
                request.headers["cookie"] = "; ".join(chosen)

    async def _note_cookies(self, response: httpx.Response) -> None:
        choice = self.cookie_choice
        if choice is not None and "set-cookie" in response.headers:
            await choice.note(str(response.url))


class _Opened(NamedTuple):
    http: httpx.AsyncClient
    pool: Pool


class HandedInClient:
    """A caller's own client, with its transport, proxy and cookies. It is not closed.

    Attributes:
        is_closed: whether nothing is to be sent any more.

    Raises:
        InvalidInputError: for anything but an `httpx.AsyncClient`.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        check_kind("http_client", http, httpx.AsyncClient, wanted="an httpx.AsyncClient")
        self._http = http
        self.is_closed = False

    def get(self) -> httpx.AsyncClient:
        """The client.

        Raises:
            InvalidInputError: after the end, and where it is closed or has connections in another event loop.
        """
        if self.is_closed or self._http.is_closed:
            raise client_is_closed()
        if _loops.get(self._http, running_loop()) != running_loop():
            raise InvalidInputError(
                "the http_client was used in another event loop, and its connections belong to that loop",
                hint="make an httpx.AsyncClient in each event loop, or leave http_client out",
            )
        return self._http

    def build_request(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str],
        fields: Mapping[str, str],
        timeout: httpx.Timeout,
    ) -> httpx.Request:
        """A request with the client's own headers, parameters and cookies as well.

        Raises:
            InvalidInputError: see `get`.
        """
        return self.get().build_request(method, url, headers=headers, data=fields or None, timeout=timeout)

    def find_proxy(self, url: str) -> None:
        """None: which proxy the client uses is not known."""

    def note_loop(self, trace: Trace | None) -> Trace:
        """Notes the event loop in which the client opens its first connection; hands events on to `trace`."""

        async def note(event: str, info: Mapping[str, object]) -> None:
            here = running_loop()
            if event.startswith("connection.connect_") and here is not None:
                _loops.setdefault(self._http, here)
            if trace is not None:
                await trace(event, info)

        return note

    async def close(self) -> None:
        """Leaves the caller's client open."""


_loops: weakref.WeakKeyDictionary[httpx.AsyncClient, Loop] = weakref.WeakKeyDictionary()
"""Where a handed-in client has its connections."""


def client_is_closed() -> ClosedError:
    """The error of a call on a closed client."""
    return ClosedError("the client is closed", hint="make a new one; close it after the last call")


def _adds_cookies(named: str, home: str) -> Callable[[httpx.Request], Awaitable[None]]:
    """Puts the caller's cookies beside those of the jar, at every hop (docs/protocols.md C2).

    httpx sends a header or the jar, never both, and follows a redirect without the header.
    """
    names = {pair.partition("=")[0].strip() for pair in named.split(";")}

    async def add(request: httpx.Request) -> None:
        if may_carry_credentials(str(request.url), home):
            kept = request.headers.get("cookie", "").split("; ")
            others = [pair for pair in kept if pair and pair.partition("=")[0] not in names]
            request.headers["cookie"] = "; ".join((named, *others))

    return add
