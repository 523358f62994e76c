"""The client of a page: it checks what a caller gives, builds the parts below once, and asks through them.

The ladder gets the tokens, a stream sends the question and reads the answer.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import time
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, get_args

import anyio

from chatgptt._arguments import check_folder, check_headers, check_kind, check_seconds
from chatgptt._conversation import AsyncConversation, make_question, read_question
from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt._models import (
    ChatBox,
    MessageInput,
    Reply,
    Strategy,
    Timeouts,
)
from chatgptt._stream import AsyncReplyStream, Context
from chatgptt.browser.on_demand import BrowserOnDemand
from chatgptt.net.clients import HandedInClient, OwnClients
from chatgptt.net.deadline import Deadline, in_time
from chatgptt.net.http import CREDENTIALS, Transport
from chatgptt.net.loops import running_loop
from chatgptt.net.proxies import Proxies
from chatgptt.net.retry import RetryPolicy
from chatgptt.protocols.urls import origin, page_url, without_credentials, without_login
from chatgptt.sites import DEFAULT_SITE
from chatgptt.sites.file import find_site
from chatgptt.sites.named import NamedSite
from chatgptt.state.folder import default_folder
from chatgptt.tokens.acquisition import Wanted
from chatgptt.tokens.endpoint import EndpointRung
from chatgptt.tokens.file_store import FileStore
from chatgptt.tokens.ladder import Ladder
from chatgptt.tokens.pages import PageReader
from chatgptt.tokens.static import HtmlRung, ScriptRung
from chatgptt.tokens.store import MemoryStore, Store
from chatgptt.visits.current import Caller, CurrentVisit

if TYPE_CHECKING:
    import httpx

    from chatgptt._models import Level
    from chatgptt.browser.setup import BrowserSetup
    from chatgptt.browser.shared import BrowserOptions
    from chatgptt.health.history import History
    from chatgptt.health.report import HealthReport

_Row = TypeVar("_Row", bound=MessageInput | Mapping[str, object])


class StateDir(Enum):
    """Where state is kept when no folder is named."""

    DEFAULT = "default"
    """`CHATGPTT_STATE_DIR`, or the platform's folder for a program's state."""


class ClientOptions(TypedDict, total=False):
    """The options of a client, for the faces that hand them on; `AsyncClient` says what they mean."""

    bot: str | int | None
    ajax_url: str | None
    strategy: Strategy | None
    proxy: str | None
    timeout: float | Timeouts | None
    retry: RetryPolicy | None
    headers: Mapping[str, str] | None
    user_agent: str | None
    state_dir: str | os.PathLike[str] | StateDir | None
    store: Store | str | None
    http_client: httpx.AsyncClient | None
    browser: BrowserOptions | None
    visit: str | os.PathLike[str] | bool | None


class AsyncClient:
    """Asks the chat box of a page.

    Args:
        site: the page that shows the box; https where no scheme is given. A `user:password@` in it is
            sent as HTTP basic authentication. Or the name of a site (docs/sites.md), whose options hold
            where `bot`, `strategy`, `proxy` or `timeout` is None.
        bot: the wanted bot by number, name or kind of box; None takes the page's most deliberate one.
        ajax_url: where to post instead of what the page names; for sites that hide their endpoint. A
            `user:password@` in it goes to that address alone, instead of the page's own.
        strategy: `auto`, `static` (never a browser) or `browser` (nothing else); None is `auto`.
        proxy: `http://`, `https://` or `socks5://` (extra `socks`) URL for every request; None heeds the
            environment.
        timeout: seconds for a whole call, or `Timeouts` for finer bounds; None is 240 seconds.
        retry: how often and how patiently requests are repeated; None takes the defaults of `RetryPolicy`.
        headers: sent with every request to the page's site, instead of the client's own of the same name.
        user_agent: instead of a desktop Chrome's.
        state_dir: the folder for tokens and visitor ids; None keeps nothing on disk.
        store: where tokens and visitor ids are kept instead, a `Store` or the address of one, `redis://` or
            `rediss://` (docs/scale.md). A store that is handed in is not closed. None takes `CHATGPTT_STORE`
            where no `state_dir` is named.
        http_client: an httpx client to use, with its own transport, proxy and cookies; it is not closed.
        browser: how a browser is run where a page needs one; None takes the defaults of `BrowserOptions`.
        visit: the person's visit that the requests belong to. None or True takes the one that `chatgptt
            login` keeps for the page's site in `state_dir`; None does not where `headers` have cookies, and
            goes on without where a store of shared visits is away. False takes none. A path names a
            `storage_state.json` of Playwright or a Netscape `cookies.txt`, which is only read. See
            docs/login.md.

    Raises:
        InvalidInputError: for arguments that cannot work.
    """

    _history: History | None = None

    def __init__(
        self,
        site: str = DEFAULT_SITE,
        *,
        bot: str | int | None = None,
        ajax_url: str | None = None,
        strategy: Strategy | None = None,
        proxy: str | None = None,
        timeout: float | Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        user_agent: str | None = None,
        state_dir: str | os.PathLike[str] | StateDir | None = StateDir.DEFAULT,
        store: Store | str | None = None,
        http_client: httpx.AsyncClient | None = None,
        browser: BrowserOptions | None = None,
        visit: str | os.PathLike[str] | bool | None = None,
    ) -> None:
        _check_options(site, ajax_url, bot, strategy, proxy, retry, user_agent, state_dir, store, browser)
        own_headers = check_headers(headers)
        visit = _which_visit(visit, http_client, own_headers)
        named = self._named = find_site(site) or NamedSite(url=site)
        self.page, auth = without_login(page_url(named.url))
        self._ajax_url, endpoint_auth = without_login(page_url(ajax_url)) if ajax_url else ("", None)
        self._bot = (named.bot if bot is None else str(bot)) or None
        self._timeouts = _read_timeouts(named.timeout if timeout is None else timeout)
        proxy = proxy or named.proxy or None
        self._clients, sent_headers = _make_clients(http_client, proxy, self.page, own_headers)
        self._folder = _folder(state_dir)
        kept, self._own_store = _open_store(store, state_dir, self._folder)
        agent = check_headers({"user-agent": user_agent or ""})["user-agent"]
        caller = Caller(login=_login_digest(own_headers, auth, http_client), user_agent=agent)
        self._visit = _take_visit(visit, self.page, self._clients, self._folder, kept, caller)
        transport = Transport(
            self._clients,
            home=self.page,
            headers=sent_headers,
            user_agent=lambda: self._visit.user_agent,
            auth=auth,
            timeouts=self._timeouts,
            endpoint=self._ajax_url,
            endpoint_auth=endpoint_auth,
        )
        policy = retry or RetryPolicy()
        self._browser = _make_browser(
            browser, own_headers, auth, proxy, self._folder, transport, policy, self._visit
        )
        self._context = _make_context(
            transport, policy, self._timeouts, kept, self._browser, strategy or named.strategy, self._visit
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections, and the browser if one was started. Calls after it fail.

        Connections that another event loop still uses end with that loop.
        """
        self._clients.is_closed = True
        if running_loop() is None:  # a generator that is collected after its loop: nothing can be awaited
            return
        with anyio.CancelScope(shield=True):
            try:
                await self._clients.close()
                if self._own_store is not None:
                    await self._own_store.close()
            finally:  # asyncio's own cancellation ignores anyio's shields
                await self._browser.close()

    async def ask(
        self,
        message: MessageInput,
        *,
        system: str | None = None,
        bot: str | int | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """The finished answer to a message.

        Args:
            message: a text, or messages as `[{"role": "user", "content": "..."}]`. Earlier ones become the
                history where the protocol carries one (1.x), else part of one prompt. Those of a program
                that calls tools may be among them.
            system: instructions to put in front; the sites know no system prompt, so it becomes part of
                the message.
            bot: another bot of the page than the client's.
            timeout: seconds for this call instead of the client's.

        Raises:
            ChatGpttError: for whatever kept the answer from coming; see docs/errors.md.
        """
        async with self.stream(message, system=system, bot=bot, timeout=timeout) as stream:
            return await stream.drain()

    def stream(
        self,
        message: MessageInput,
        *,
        system: str | None = None,
        bot: str | int | None = None,
        timeout: float | None = None,
    ) -> AsyncReplyStream:
        """The answer as it arrives: `async with client.stream("...") as stream: async for piece in stream`.

        `stream.reply` is the finished answer after the last piece. Nothing is sent before the block is
        entered. See AsyncReplyStream.

        Args:
            message: see `ask`.
            system: see `ask`.
            bot: see `ask`.
            timeout: seconds for this call instead of the client's.

        Raises:
            InvalidInputError: for arguments that cannot work.
        """
        turns = read_question(message, system)
        return AsyncReplyStream(
            self._context,
            wanted=self._wanted(bot),
            question=lambda tokens: make_question(turns, tokens, conversation_id=str(uuid.uuid4())),
            timeout=None if timeout is None else check_seconds(timeout),
        )

    def ask_many(
        self, rows: Iterable[_Row], *, concurrency: int = 2, rate: float | None = None
    ) -> AsyncGenerator[tuple[_Row, Reply | ChatGpttError]]:
        """`async for row, reply_or_error in client.ask_many(rows)`: each row once, as its answer comes.

        After a 429 that the client does not wait for, all rows wait. After a challenge, a block or a used-up
        quota nothing more is sent, and every row that was not asked gets that error. The same holds for the
        rows of one bot where the page has no such box, is not there or asks for a login. Rows are taken as
        they are needed. Nothing is kept on disk; `chatgptt batch` does that.

        Args:
            rows: messages as for `ask`, or mappings with `message` and perhaps `system` and `bot`.
            concurrency: messages under way at once.
            rate: messages a minute, None for no limit. Not seconds.

        Raises:
            InvalidInputError: for arguments that cannot work. What goes wrong with a row comes as its error.
        """
        from chatgptt._many import Pace, ask_many, check_manners

        check_manners(concurrency, rate)
        pace = Pace(rate, clock=time.monotonic, sleep=anyio.sleep)
        return ask_many(rows, self._ask_row, pace, bot_of=_bot_of, concurrency=concurrency)

    async def _ask_row(self, row: MessageInput | Mapping[str, object]) -> Reply:
        if not isinstance(row, Mapping):
            return await self.ask(row)
        message, system, bot = row.get("message"), row.get("system"), row.get("bot")
        if not (
            isinstance(message, str | list)
            and isinstance(system, str | None)
            and isinstance(bot, str | int | None)
        ):
            raise InvalidInputError(
                "the row is no message", hint='give {"message": "...", "system": "...", "bot": "..."}'
            )
        return await self.ask(message, system=system, bot=bot)

    def conversation(self, *, system: str | None = None, bot: str | int | None = None) -> AsyncConversation:
        """A conversation whose messages know the earlier ones.

        Args:
            system: instructions in front of the first message; they become part of it.
            bot: another bot of the page than the client's.

        Raises:
            InvalidInputError: for arguments that cannot work.
        """
        return AsyncConversation(self._context, self._wanted(bot), system=system)

    async def prepare(self, *, timeout: float | None = None) -> ChatBox:
        """The chat box that the next message goes to; its tokens are there when it is sent.

        A page that cannot be asked raises its error here, before a message is sent. Tokens that are kept
        need no request.

        Args:
            timeout: seconds for this call instead of the client's.

        Raises:
            ChatGpttError: where the page gives no tokens. See docs/errors.md.
        """
        deadline = Deadline(self._timeouts.total if timeout is None else check_seconds(timeout))
        await self._look(deadline)
        acquired = await self._context.ladder.acquire(self._wanted(None), deadline)
        return acquired.tokens.box

    async def find_boxes(self, *, timeout: float | None = None) -> tuple[ChatBox, ...]:
        """The chat boxes of the page, each with its nonce where the static rungs find one.

        `found_by` says which rung that was. Boxes of one protocol share a nonce (docs/protocols.md C2), so
        the site is asked for one box at most, and where that fails the boxes are listed without.

        Args:
            timeout: seconds for this call instead of the client's.

        Raises:
            ChatBoxNotFoundError: where the page has none.
            ChatGpttError: where there is no page to look at.
        """
        deadline = Deadline(self._timeouts.total if timeout is None else check_seconds(timeout))
        await self._look(deadline)
        wanted = self._wanted(None)._replace(bot=None)
        return await self._context.ladder.find_boxes(wanted, deadline)

    async def health_check(
        self,
        level: Level | None = None,
        *,
        message: str | None = None,
        expect: str | None = None,
        warn: float | None = None,
        cert_days: float | None = None,
        timeout: float | None = None,
    ) -> HealthReport:
        """Whether the page works, and if not, which step fails and why; added to this machine's history.

        What is None is taken from the table of a named site.

        Args:
            level: `page` (up to the chat box), `tokens`, or `full`, which alone sends a message, one; None
                is `full`.
            message: what is sent instead of a request for a one-word answer.
            expect: a regular expression that the answer has to match somewhere.
            warn: seconds beyond which a check that passes is a warning.
            cert_days: days of a certificate's life below which it is a warning; None is 14.
            timeout: seconds for the whole check instead of the client's.

        Raises:
            InvalidInputError: for arguments that cannot work. What the site does wrong is in the report, and
                so is a store of shared visits that is away.
        """
        # Here, since most programs never check: the history needs sqlite3.
        from chatgptt.health.check_with_history import check_and_record
        from chatgptt.health.history import History
        from chatgptt.health.plan import plan_of

        seconds = self._timeouts.total if timeout is None else check_seconds(timeout)
        given = NamedSite(
            level=level, message=message, expect=expect, warn=warn, cert_days=cert_days, timeout=seconds
        )
        plan = plan_of(given.over(self._named))
        self._clients.get()
        self._history = self._history or History(self._folder)
        report = await check_and_record(self._context, self._wanted(None), plan, history=self._history)
        return dataclasses.replace(report, name=self._named.name or None)

    async def _look(self, deadline: Deadline) -> None:
        await in_time(self._visit.look(), deadline, doing="the visit was read", url=self.page)

    def _wanted(self, bot: str | int | None) -> Wanted:
        _check_bot(bot)
        return Wanted(
            page=self.page,
            bot=self._bot if bot is None or bot == "" else str(bot),
            identity=self._visit.name,
            ajax_url=self._ajax_url,
        )


def _check_options(
    site: object,
    ajax_url: object,
    bot: str | int | None,
    strategy: object,
    proxy: object,
    retry: object,
    user_agent: object,
    state_dir: object,
    store: object,
    browser: BrowserOptions | None,
) -> None:
    if strategy is not None and strategy not in get_args(Strategy):
        raise InvalidInputError(
            f"unknown strategy {without_credentials(str(strategy))!r}",
            hint=f"use one of {', '.join(get_args(Strategy))}",
        )
    check_kind("site", site, str, wanted="the page's address")
    check_kind("ajax_url", ajax_url, str, None, wanted="the address of the site's admin-ajax.php")
    check_kind("proxy", proxy, str, None, wanted="the proxy's address")
    check_kind("retry", retry, RetryPolicy, None, wanted="a RetryPolicy")
    check_kind("user_agent", user_agent, str, None, wanted="text")
    check_kind("state_dir", state_dir, str, os.PathLike, StateDir, None, wanted="the path of a folder")
    check_kind("store", store, Store, str, None, wanted="a store, or its address as redis://host:6379/0")
    _check_browser(browser)
    _check_bot(bot)


def _make_clients(
    http_client: httpx.AsyncClient | None, proxy: str | None, home: str, headers: dict[str, str]
) -> tuple[OwnClients | HandedInClient, dict[str, str]]:
    """What sends the requests, and the headers for it: clients of our own send the cookies themselves."""
    if http_client is not None:
        return HandedInClient(http_client), headers
    others = {name: value for name, value in headers.items() if name != "cookie"}
    return OwnClients(Proxies(proxy), home=home, cookies=headers.get("cookie", "")), others


def _which_visit(
    visit: str | os.PathLike[str] | bool | None,
    http_client: httpx.AsyncClient | None,
    headers: Mapping[str, str],
) -> str | os.PathLike[str] | bool | None:
    """The visit that is wanted; False where the caller has cookies, which are another visitor's.

    Raises:
        InvalidInputError: where both are given.
    """
    check_kind("visit", visit, str, os.PathLike, bool, None, wanted="the path of a file, False or None")
    own = "an http_client" if http_client is not None else "a Cookie header" if headers.get("cookie") else ""
    if visit and own:
        raise InvalidInputError(
            f"a visit cannot be used with {own}, which has cookies of its own", hint="leave one of them out"
        )
    return False if own else visit


def _take_visit(
    visit: str | os.PathLike[str] | bool | None,
    page: str,
    clients: OwnClients | HandedInClient,
    folder: Path | None,
    store: Store,
    caller: Caller,
) -> CurrentVisit:
    """The visit that is kept, the one in a file, or none. An http_client has cookies of its own."""
    if isinstance(clients, HandedInClient) or visit is False:
        return CurrentVisit(page, caller=caller)
    if visit is None or visit is True:
        is_wanted, shared = visit is True, store.visits
        return CurrentVisit(page, clients, folder=folder, shared=shared, is_wanted=is_wanted, caller=caller)
    from chatgptt.visits.kept import read_visit  # here: few clients are given a file

    named = read_visit(check_folder("visit", visit), origin(page), made_at=time.time())
    return CurrentVisit(page, clients, visit=named, caller=caller)


def _make_browser(
    options: BrowserOptions | None,
    headers: Mapping[str, str],
    auth: tuple[str, str] | None,
    proxy: str | None,
    folder: Path | None,
    transport: Transport,
    policy: RetryPolicy,
    visit: CurrentVisit,
) -> BrowserOnDemand:
    def make_setup() -> BrowserSetup:
        from chatgptt.browser.setup import BrowserSetup  # here: it loads what only a browser needs
        from chatgptt.browser.visitor import identity_for

        return BrowserSetup(
            options=options,
            folder=folder,
            identity_for=functools.partial(
                identity_for, headers=headers, auth=auth, proxy=proxy, visit=visit
            ),
            policy=policy,
            cookies_for=transport.cookies_for,
            reach_of=lambda page: transport.reach,
            clock=time.time,
            sleep=anyio.sleep,
            visit=visit,
        )

    return BrowserOnDemand(make_setup)


def _make_context(
    transport: Transport,
    policy: RetryPolicy,
    timeouts: Timeouts,
    store: Store,
    browser: BrowserOnDemand,
    strategy: Strategy | None,
    visit: CurrentVisit,
) -> Context:
    reader = PageReader(transport, policy, clock=time.time, sleep=anyio.sleep, visit=visit)
    rungs = (HtmlRung(reader), ScriptRung(reader), EndpointRung(reader), browser)
    return Context(
        transport=transport,
        ladder=Ladder(rungs, store, strategy or "auto", prepare_browser=browser.prepare, visit=visit),
        store=store,
        visit=visit,
        policy=policy,
        timeouts=timeouts,
        sleep=anyio.sleep,
    )


def _open_store(
    store: Store | str | None, state_dir: str | os.PathLike[str] | StateDir | None, folder: Path | None
) -> tuple[Store, Store | None]:
    """The store to use; and again for its end, where it is the client's own."""
    if isinstance(store, Store):
        return store, None
    address = store
    if address is None and isinstance(state_dir, StateDir):
        address = os.environ.get("CHATGPTT_STORE")
    opened: Store = MemoryStore() if folder is None else FileStore(folder)
    if address:
        from chatgptt.tokens.redis_store import RedisStore  # here: most clients need no redis

        opened = RedisStore(address)
    return opened, opened


def _bot_of(row: MessageInput | Mapping[str, object]) -> str:
    """The bot that a row of `ask_many` names, "" where it names none."""
    bot = row.get("bot") if isinstance(row, Mapping) else None
    return "" if bot is None else str(bot)


def _check_bot(bot: str | int | None) -> None:
    check_kind("bot", bot, str, int, None, wanted="the bot's number or name")


def _check_browser(browser: BrowserOptions | None) -> None:
    if browser is not None:
        from chatgptt.browser.shared import BrowserOptions  # here: it loads what only a browser needs

        check_kind("browser", browser, BrowserOptions, wanted="BrowserOptions")


def _read_timeouts(timeout: float | Timeouts | None) -> Timeouts:
    match timeout:
        case None:
            return Timeouts()
        case Timeouts():
            for bound in (timeout.total, timeout.connect, timeout.page, timeout.silence):
                check_seconds(bound)
            return timeout
        case _:
            return Timeouts(total=check_seconds(timeout))


def _folder(state_dir: str | os.PathLike[str] | StateDir | None) -> Path | None:
    if state_dir is None:
        return None
    return default_folder() if isinstance(state_dir, StateDir) else check_folder("state_dir", state_dir)


def _login_digest(
    headers: Mapping[str, str], auth: tuple[str, str] | None, http_client: httpx.AsyncClient | None
) -> str:
    """Tells logged-in visitors from guests and each other: their nonces differ (docs/protocols.md C2)."""
    own = sorted((name.lower(), value) for name, value in headers.items() if name.lower() in CREDENTIALS)
    if http_client is not None:
        own += sorted((cookie.name, cookie.value or "") for cookie in http_client.cookies.jar)
        own += [("authorization", http_client.headers.get("authorization", ""))]
    if not any(value for _, value in own) and auth is None:
        return ""
    return hashlib.sha256(repr((own, auth)).encode()).hexdigest()[:16]
