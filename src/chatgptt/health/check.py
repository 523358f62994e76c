"""One check: the steps of one cold `ask`, by the client's own code.

The ladder reads the page and acquires the tokens, without the store, and the message is sent as every message
is. So a check costs what an `ask` costs, and fails where an `ask` fails. At most one message is sent that the
site may have answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from chatgptt._errors import (
    BrowserError,
    ChatBoxNotFoundError,
    ChatGpttError,
    InvalidInputError,
    RateLimitedError,
    RefusedError,
    TokensNotFoundError,
    TransportError,
)
from chatgptt._models import ChatBox, Level, Question, Reply, ReplyHead, Rung
from chatgptt._stream import AsyncReplyStream, Context
from chatgptt.health.connection_times import Connection, ConnectionTimes
from chatgptt.health.error_phases import own_fault, phase_before_tokens, phase_of_message
from chatgptt.health.expectation import is_match
from chatgptt.health.plan import Plan
from chatgptt.health.report import (
    PHASES,
    HealthReport,
    Phase,
    PhaseName,
    Verdict,
    first_failing,
    iso,
    not_checked,
    passed,
    skipped,
)
from chatgptt.net.deadline import Deadline, in_time
from chatgptt.tokens.acquisition import Acquired, Acquisition, PageFacts, Wanted
from chatgptt.tokens.store import MAX_AGE

_DAY = 86_400.0

_CACHE_HEADERS = ("x-cache", "cf-cache-status", "x-litespeed-cache", "x-cache-status", "x-proxy-cache", "age")


async def check(context: Context, wanted: Wanted, plan: Plan, *, clock: Callable[[], float]) -> HealthReport:
    """Checks one page. The report holds every failure. `clock` gives Unix time in seconds.

    Raises:
        InvalidInputError: for a person's visit that cannot be used.
    """
    checked_at, deadline = clock(), Deadline(plan.timeout)
    try:
        await in_time(context.visit.look(), deadline, doing="the visit was read", url=wanted.page)
    except TransportError as error:  # the store of shared visits is away, and nothing was sent to the site
        report = not_checked(
            wanted.page, error, checked_at=checked_at, level=plan.level, bot=wanted.bot or ""
        )
        return replace(report, elapsed=deadline.elapsed())
    wanted = wanted._replace(identity=context.visit.name)
    checkup = _Checkup(context, wanted, plan, checked_at, deadline)
    acquired = await checkup.acquire()
    if acquired is not None and plan.level == "full":
        await checkup.ask(acquired)
    return checkup.report()


class _Checkup:
    """A check under way."""

    def __init__(
        self, context: Context, wanted: Wanted, plan: Plan, checked_at: float, deadline: Deadline
    ) -> None:
        self._context = context
        self._wanted = wanted
        self._plan = plan
        self._checked_at = checked_at
        self._deadline = deadline
        self._times = ConnectionTimes(wanted.page, self._deadline.elapsed)
        self._facts = PageFacts()
        self._began: dict[Rung, float] = {}
        self._phases: dict[PhaseName, Phase] = {}
        self._error: ChatGpttError | None = None
        self._acquired: Acquired | None = None

    def _progress(self, rung: Rung, facts: PageFacts) -> None:
        self._began.setdefault(rung, self._deadline.elapsed())
        self._facts = facts

    # The page, its box and its tokens

    async def acquire(self) -> Acquired | None:
        """The tokens; None where the check ends before them, by its level or by a failure."""
        ladder = self._context.ladder
        acquisition = Acquisition(
            wanted=self._wanted, deadline=self._deadline, trace=self._times, on_progress=self._progress
        )
        try:
            if self._plan.level == "page":
                await ladder.read_page(acquisition)
            else:
                self._acquired = await ladder.acquire_anew(acquisition)
        except ChatGpttError as error:
            self._error = error
        self._note_looking(self._deadline.elapsed())
        return self._acquired

    def _note_looking(self, ended: float) -> None:
        """Adds the phases up to the tokens that were reached."""
        failed = (
            None if self._error is None else phase_before_tokens(self._error, self._facts, self._times.last)
        )
        for phase in (*self._connecting(), self._page(), self._box(ended), self._tokens(ended)):
            if phase.name == failed:
                before = sum(done.elapsed or 0.0 for done in self._phases.values())
                self._fail(phase.name, ended - before)
                return
            self._phases[phase.name] = phase

    def _connecting(self) -> tuple[Phase, Phase, Phase]:
        connection = self._times.last
        if connection is not None:
            return _dns(connection), _tcp(connection), self._tls(connection)
        # The browser makes its own connections.
        why = "not seen from here" if self._facts.head is None else "an open connection was used again"
        return skipped("dns", why), skipped("tcp", why), skipped("tls", why)

    def _tls(self, connection: Connection) -> Phase:
        if connection.tls is None:
            return skipped("tls", "the page is served over plain http")
        ends = connection.certificate_expires_at
        if ends is None:
            return passed("tls", connection.tls, f"{connection.tls_version}, certificate not checked")
        days = (ends - self._checked_at) / _DAY
        detail = f"{connection.tls_version}, certificate ends in {days:.1f} days ({iso(ends)[:10]})"
        phase = passed("tls", connection.tls, detail)
        if days >= self._plan.cert_days:
            return phase
        return phase.as_warning("certificate_expiring", "the site's owner has to renew the certificate")

    def _page(self) -> Phase:
        head, page = self._facts.head, self._facts.page
        if head is None or page is None:
            return skipped("page", "read by the browser")
        setup = self._times.last.setup if self._times.last is not None else 0.0
        size = f"{page.size_bytes / 1000:.0f} kB" + (" (cut off)" if page.is_cut else "")
        seen = [f"HTTP {head.status}", size]
        if head.redirects:
            count = "1 redirect" if head.redirects == 1 else f"{head.redirects} redirects"
            seen.append(f"{count} to {head.url}")
        seen += [f"{name}: {head.headers[name][:60]}" for name in _CACHE_HEADERS if name in head.headers]
        phase = passed("page", (self._times.body_at or setup) - setup, ", ".join(seen))
        if _age(head) < MAX_AGE:
            return phase
        more = "the page comes from a cache and is older than its tokens are sure to live"
        return phase.as_warning("stale_cache", _STALE_HINT, more)

    def _box(self, ended: float) -> Phase:
        box = self._found_box
        if box is None:
            return skipped("box", "shown by scripts only")
        elapsed = None if self._times.body_at is None else self._tokens_began(ended) - self._times.body_at
        named = f" ({box.name})" if box.name else ""
        detail = f"{box.protocol}, {box.kind} box of bot {box.bot_id}{named}"
        if box.plugin_version:
            detail += f", plugin {box.plugin_version}"
        boxes = self._facts.boxes
        if len(boxes) > 1:
            others = ", ".join(f"{other.bot_id} ({other.name or other.kind})" for other in boxes[:10])
            detail += f"; {len(boxes)} boxes: {others}"
        phase = passed("box", elapsed, detail)
        peers = {other.bot_id for other in boxes if other.kind == box.kind}
        if len(peers) < 2 or self._wanted.bot is not None:
            return phase
        hint = "the page has several bots of this kind; name the one to check with bot="
        return phase.as_warning("several_bots", hint)

    def _tokens(self, ended: float) -> Phase:
        acquired = self._acquired
        if acquired is None:
            return self._left_out("tokens")
        rung = acquired.tokens.rung
        began = self._began.get(rung, 0.0) if self._facts.head is None else self._tokens_began(ended)
        seen = "; ".join(f"{finding.rung}: {finding.saw}" for finding in acquired.findings)
        return passed("tokens", ended - began, f"from {rung}" + (f" ({seen})" if seen else ""))

    def _tokens_began(self, ended: float) -> float:
        """When the first rung beyond the page itself was tried; the page's own attributes take no time."""
        return min((at for rung, at in self._began.items() if rung != "html"), default=ended)

    # The message and its answer

    async def ask(self, acquired: Acquired) -> None:
        """Sends the message and reads the answer."""
        began = self._deadline.elapsed()
        policy = replace(self._context.policy, retry_ambiguous=False)
        stream = AsyncReplyStream(
            self._context._replace(policy=policy),
            wanted=self._wanted,
            question=lambda tokens: Question(text=self._plan.message, conversation_id=str(uuid.uuid4())),
            timeout=max(self._deadline.remaining(), 0.001),
            first=acquired,
        )
        try:
            async with stream:
                reply: Reply | None = await stream.drain()
        except ChatGpttError as error:
            reply, self._error = None, error
        ended = self._deadline.elapsed() - began
        await self._note_asking(stream, ended, reply)
        if stream.has_renewed and self._phases["message"].status == "pass":
            detail = f"from {acquired.tokens.rung}, which the site rejected; newer ones did"
            tokens = replace(self._phases["tokens"], detail=detail)
            self._phases["tokens"] = tokens.as_warning("stale_cache", _STALE_HINT)

    async def _note_asking(self, stream: AsyncReplyStream, ended: float, reply: Reply | None) -> None:
        accepted, first = stream.accepted_at, stream.first_text_at
        failed = None if self._error is None else phase_of_message(self._error, accepted, first)
        if failed == "message" or accepted is None:
            self._fail("message", ended)
            return
        attempt = f" at attempt {reply.attempts}" if reply is not None and reply.attempts > 1 else ""
        self._phases["message"] = passed("message", accepted, f"accepted{attempt}")
        if failed == "first_text" or first is None:
            self._fail("first_text", ended)
            return
        self._phases["first_text"] = passed("first_text", first, "counted from sending the message")
        if reply is None:
            self._fail("answer", ended - first)
        else:
            await self._note_answer(reply, ended - first)

    async def _note_answer(self, reply: Reply, elapsed: float) -> None:
        expect = self._plan.expect
        try:
            is_expected = expect is None or await is_match(expect, reply.text)
        except InvalidInputError as error:
            self._error = error
            self._fail("answer", elapsed)
            return
        detail = f"{len(reply.text)} characters, {'streamed' if reply.is_streamed else 'in one piece'}"
        if is_expected:
            matches = "" if expect is None else f", matches {expect!r}"
            self._phases["answer"] = passed("answer", elapsed, f"{detail}{matches}")
            return
        self._phases["answer"] = Phase(
            name="answer",
            status="fail",
            elapsed=elapsed,
            detail=f"{detail}, does not match {expect!r}: {' '.join(reply.text.split())[:100]!r}",
            code="unexpected_answer",
            hint="look at what the bot answers now, with: chatgptt ask",
        )

    # The outcome

    def _fail(self, name: PhaseName, elapsed: float) -> None:
        """Adds the phase that the error of the check belongs to."""
        error = self._error
        assert error is not None
        detail = error.message
        if isinstance(error, RefusedError):
            detail = f"refused ({error.reason}): {detail}"
        elif isinstance(error, RateLimitedError) and error.retry_after is not None:
            detail = f"{detail}; it asks to wait {error.retry_after:g} s"
        if isinstance(error, ChatBoxNotFoundError | TokensNotFoundError | BrowserError) and error.findings:
            detail += f" ({'; '.join(f'{finding.rung}: {finding.saw}' for finding in error.findings)})"
        self._phases[name] = Phase(
            name=name,
            status="fail",
            elapsed=max(0.0, elapsed),
            detail=detail,
            code=error.code,
            hint=error.hint,
        )

    def _left_out(self, name: PhaseName) -> Phase:
        is_beyond = PHASES.index(name) > PHASES.index(_LAST_PHASE[self._plan.level])
        return skipped(name, f"not part of level {self._plan.level}" if is_beyond else "not reached")

    @property
    def _found_box(self) -> ChatBox | None:
        return self._acquired.tokens.box if self._acquired is not None else self._facts.box

    def report(self) -> HealthReport:
        """The report of all phases."""
        elapsed = self._deadline.elapsed()
        phases = [self._phases.get(name) or self._left_out(name) for name in PHASES]
        if first_failing(phases) is None and self._plan.warn is not None and elapsed > self._plan.warn:
            _mark_slowest(phases, elapsed, self._plan.warn)
        failing = first_failing(phases)
        fault = own_fault(self._error, self._times.last) if self._error is not None else ""
        verdict: Verdict = "ok"
        summary = f"{_DONE[self._plan.level]}, in {elapsed:.2f} s"
        if failing is not None:
            verdict = "warning" if failing.status == "warn" else "unknown" if fault else "critical"
            summary = f"{failing.name}: {failing.detail}" + (f" ({fault})" if fault else "")
        box, connection = self._found_box, self._times.last
        return HealthReport(
            site=self._wanted.page,
            verdict=verdict,
            code=failing.code if failing is not None else None,
            summary=summary,
            hint=failing.hint if failing is not None else "",
            checked_at=self._checked_at,
            elapsed=elapsed,
            phases=tuple(phases),
            level=self._plan.level,
            bot=self._wanted.bot or "",
            protocol=box.protocol if box is not None else None,
            rung=self._acquired.tokens.rung if self._acquired is not None else None,
            certificate_expires_at=connection.certificate_expires_at if connection is not None else None,
        )


_STALE_HINT = (
    "a page cache keeps pages for longer than their tokens live; its lifetime should be below 10 hours"
)
_DONE: dict[Level, str] = {
    "page": "the page and its chat box are there",
    "tokens": "the tokens are there",
    "full": "answered",
}
_LAST_PHASE: dict[Level, PhaseName] = {"page": "box", "tokens": "tokens", "full": "answer"}


def _dns(connection: Connection) -> Phase:
    if connection.is_proxy:
        return skipped("dns", "the proxy looks the name up")
    if connection.lookup is None:
        return skipped("dns", f"{connection.host} is an address")
    found = ", ".join(connection.addresses[:4])
    return passed("dns", connection.lookup, f"{connection.host} is {found}")


def _tcp(connection: Connection) -> Phase:
    proxy = "the proxy " if connection.is_proxy else ""
    peer = f"{connection.peer or connection.host} port {connection.port}"
    return passed("tcp", connection.tcp, f"connected to {proxy}{peer}")


def _age(head: ReplyHead) -> float:
    """Seconds that the page was in caches, by their headers."""
    value = head.headers.get("age", "").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 12 else 0.0


def _mark_slowest(phases: list[Phase], elapsed: float, limit: float) -> None:
    """Turns the slowest phase into a warning that the check as a whole took too long."""
    place = max(range(len(phases)), key=lambda index: (phases[index].elapsed or 0.0, index))
    more = f"the check took {elapsed:.2f} s, more than {limit:g} s, most of it here"
    hint = "the site is slow; see which phase takes the time"
    phases[place] = phases[place].as_warning("slow", hint, more)
