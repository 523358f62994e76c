"""Recording: one visit by the client itself, with everything that goes over the wire kept on the way.

The client runs as always; only its transport is a tape (see tape.py). So a case holds what the client needs,
in the order in which it needs it. Everything stays in memory until it is scrubbed. A case is given out only
after one replay came to the same outcome.

A page's scripts may have nothing to do with the chat, which can only be guessed. Those scripts are left out,
and put back where the case does not replay without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from chatgptt._models import Strategy
from chatgptt.net.proxies import Proxy
from chatgptt.protocols.urls import is_same_site, page_url, without_credentials
from chatgptt.recordings.case import Ask, Case, CaseError, Exchange, Recording
from chatgptt.recordings.client_calls import LIMITS, make_calls, play
from chatgptt.recordings.scrub import ScrubReport, scrub
from chatgptt.recordings.tape import Tape

MAX_CASE_BYTES = 2**20
"""A page that shows a chat has some 20 kB when trimmed. A case of a megabyte holds something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A case, and the report of its scrubbing.

    Attributes:
        case: the case.
        report: the counts of what was replaced and left out.
    """

    case: Case
    report: ScrubReport


async def record(
    site: str,
    messages: Sequence[str] = (),
    *,
    bot: str | int | None = None,
    strategy: Strategy = "static",
    proxy: str | None = None,
    timeout: float = 240.0,
    faults: Sequence[Exchange | None] = (),
    note: str = "",
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> Recorded:
    """A case of a visit to a page, scrubbed and proven to replay.

    Args:
        site: the page.
        messages: what to ask; none looks for the boxes only, more than one is a conversation.
        bot: the wanted bot, as for `AsyncClient`.
        strategy: as for `AsyncClient`.
        proxy: as for `AsyncClient`.
        timeout: seconds for each message.
        faults: replies in place of the site's to its message requests, in order; None asks the site.
        note: a sentence on what the case is about.
        transport: sends the requests; None makes one. It is closed at the end.
        clock: Unix time in seconds.
        ticks: seconds that only go forward, to measure delays.

    Raises:
        CaseError: where there is nothing to replay, a secret would be left, or the case replays to another
            outcome.
        BrowserError: where the page needs a browser and there is none, or it fails.
        InvalidInputError: for a page, a message or options that cannot work.
    """
    if proxy is not None:
        Proxy(url=proxy).check()
    tape = Tape(transport or httpx.AsyncHTTPTransport(proxy=proxy, limits=LIMITS), list(faults), ticks)
    asks = await make_calls(
        tape,
        site,
        messages,
        bot=bot,
        strategy=strategy,
        timeout=timeout,
        proxy=proxy,
        record_visit=tape.add_browser_loads,
    )
    recording = _recording_of(tape, site, asks, strategy, clock())
    return await _make_case(replace(recording, bot="" if bot is None else str(bot), note=note))


def _recording_of(
    tape: Tape, site: str, asks: tuple[Ask, ...], strategy: Strategy, recorded_at: float
) -> Recording:
    """The recording on a tape.

    Raises:
        CaseError: where the tape has nothing to replay.
    """
    page = without_credentials(page_url(site))
    if tape.failure is not None or not any(one.status or one.by == "client" for one in tape.exchanges):
        outcome = asks[-1].outcome
        raise CaseError(
            f"{page} could not be recorded: {tape.failure or 'nothing came back'}",
            code=None if outcome == "answered" or outcome == "found" else outcome,
            hint="a case is made of replies; look with `chatgptt health-check` why there are none",
        )
    own, elsewhere = _hosts_of(tape.exchanges, page)
    needs_no_browser = strategy == "auto" and not tape.has_browser_loads
    return Recording(
        page=urlunsplit(urlsplit(page)._replace(scheme=tape.scheme)) if tape.scheme else page,
        asks=asks,
        exchanges=tuple(
            replace(exchange, host=exchange.host if exchange.host in elsewhere else "")
            for exchange in tape.exchanges
        ),
        recorded_at=recorded_at,
        hosts=own,
        elsewhere=elsewhere,
        credentials=tuple(dict.fromkeys((*_credentials_in(site), *tape.credentials))),
        strategy="static" if needs_no_browser else strategy,
        rendered=tape.rendered,
    )


async def _make_case(recording: Recording) -> Recorded:
    """The smallest case of a recording that replays."""
    case, report = scrub(recording)
    try:
        await _prove(case)
    except CaseError:
        if not recording.is_run:
            raise
        whole, report = scrub(replace(recording, keeps_scripts=True))
        if whole == case:
            raise
        case = whole
        await _prove(case)
    return Recorded(case=case, report=report)


async def _prove(case: Case) -> None:
    """Replays a case once.

    Raises:
        CaseError: where it is too large, or replays to another outcome.
    """
    size_bytes = sum(len(exchange.body) for exchange in case.exchanges)
    if size_bytes > MAX_CASE_BYTES:
        raise CaseError(
            f"the case would have {size_bytes} bytes; nothing was written",
            hint="record a page that shows little but the chat",
        )
    asks, misses = await play(case)
    if asks != case.asks or misses:
        was, now = (", ".join(map(_in_words, some)) for some in (case.asks, asks))
        raise CaseError(
            f"the case would not replay: it was recorded as {was} and replays as {now}"
            + (f"; not in it: {', '.join(misses)}" if misses else ""),
            hint="record again; if it stays so, tell the project",
        )


def _in_words(ask: Ask) -> str:
    return " ".join(filter(None, (ask.outcome, ask.reason, f"({len(ask.text)} characters)", ask.rung or "")))


def _hosts_of(exchanges: Sequence[Exchange], page: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The hosts of the page's own site, the page's first, and the other hosts that the page loaded from.

    Each host that the client itself got a page from belongs to the site: a redirect led there.
    """
    home = urlsplit(page)
    own = [home.netloc]
    own += [one.host for one in exchanges if one.by == "client" and one.method == "GET" and not one.action]
    loaded = dict.fromkeys(one.host for one in exchanges if one.by == "browser")
    elsewhere = tuple(
        host for host in loaded if host not in own and not is_same_site(f"{home.scheme}://{host}/", page)
    )
    own += [one.host for one in exchanges if one.host not in elsewhere]
    return tuple(dict.fromkeys(own)), elsewhere


def _credentials_in(site: str) -> list[str]:
    parts = urlsplit(page_url(site))
    return [unquote(value) for value in (parts.username, parts.password) if value]
