"""The site of a soak run, in a process of its own: plays each question's fault and counts what it took on.

    python -m soak.chat_site

prints its address, and serves until its input is closed. One page shows a box of each generation. `/tally`
hands out what was counted since it was last asked, and forgets it: a run of an hour must not fill this side.

A nonce that is rejected is rejected for all: the site has a new one from then on, and whoever is under way
with the old one must renew as well. A question is turned away for its nonce once at most and has to come back
with another, so that what becomes of it does not hang on the moment of the next change.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
import sys
from urllib.parse import parse_qsl, urlsplit

from faults import AIPKIT_PAGE, AJAX, CHUNKED, WPAICG_PAGE, Connection, Got, Server, chunk, reply, serving
from soak.questions import FINE, Fault, Step, read_question
from soak.tally import PATH, Counts, Tally, write_tally
from wire import (
    DONE,
    FINISH,
    FINISHED,
    START,
    chunks,
    deltas,
    dump,
    failure,
    refusal,
    typed,
)

_LOST = "Message not found in cache or it was used already."
_JSON = "application/json; charset=UTF-8"
_STREAM = "text/event-stream; charset=utf-8"
_WORDPRESS = {"Expires": "Wed, 11 Jan 1984 05:00:00 GMT", "X-Robots-Tag": "noindex"}


class ChatSite:
    """Answers every request, of both generations."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(5)
        self._questions: dict[int, Counts] = {}
        self._rejected: dict[int, str] = {}
        """The nonce that each question was turned away for."""
        self._kept: dict[str, str] = {}
        """Texts handed in by the first request of 2.x, under the key that the second one gives."""
        self._under_way = 0
        self._most = 0
        self.server: Server | None = None

    async def answer(self, connection: Connection, got: Got) -> bool | None:
        if got.path == PATH:
            await connection.send(reply(write_tally(self._tally()), kind=_JSON))
            return True
        if got.path != AJAX:
            page = WPAICG_PAGE.format(nonce=self._nonce) + AIPKIT_PAGE.format(nonce=self._nonce)
            await connection.send(reply(page))
            return True
        self._under_way += 1
        self._most = max(self._most, self._under_way)
        try:
            return await self._answer_message(connection, got)
        finally:
            self._under_way -= 1

    def _tally(self) -> Tally:
        assert self.server is not None
        self.server.got.clear()
        questions, self._questions, self._rejected = self._questions, {}, {}
        return Tally(
            most=self._most,
            unfetched=len(self._kept),
            connections=self.server.open_connections - 1,  # but for the one that asks
            questions=questions,
        )

    async def _answer_message(self, connection: Connection, got: Got) -> bool | None:
        fields = got.fields | dict(parse_qsl(urlsplit(got.target).query))
        step: Step
        match fields["action"]:
            case "aipkit_get_frontend_chat_nonce":
                await connection.send(_json({"success": True, "data": {"nonce": self._nonce}}))
                return True
            case "wpaicg_chat_shortcode_message":
                step, nonce, text = "message", fields["_wpnonce"], fields["message"]
            case "aipkit_cache_sse_message":
                step, nonce, text = "upload", fields["_ajax_nonce"], fields["message"]
            case action:
                assert action == "aipkit_frontend_chat_stream", action
                step, nonce = "stream", fields["_ajax_nonce"]
                text = self._kept.pop(fields["cache_key"], "")  # good once (docs/protocols.md A3)
                if not text:
                    await connection.send(_stream(failure(_LOST)))
                    return True
        number, fault = read_question(text)
        fault = fault if fault.step == step else FINE
        counts = self._questions.setdefault(number, Counts())
        if step != "stream":
            counts.tries += 1
        if self._is_rejected(number, nonce, fault):
            counts.rejected += 1
            await connection.send(_rejection(step))
        elif (busy := _maybe_busy(fault, counts)) is not None:
            await connection.send(busy)
        elif fault.name == "lost message" and not counts.lost:
            counts.lost += 1
            await connection.send(_stream(failure(_LOST)))
        elif step == "upload" and not fault.code:
            key = f"aipkit_sse_{secrets.token_hex(16)}"
            self._kept[key] = text
            await connection.send(_json({"success": True, "data": {"cache_key": key}}))
        else:
            counts.taken += 1
            return await _play(connection, number, fault, step, text)
        return True

    def _is_rejected(self, number: int, nonce: str, fault: Fault) -> bool:
        if number in self._rejected:
            return nonce == self._rejected[number]
        if fault.name == "rejected nonce":
            self._nonce = secrets.token_hex(5)
        if nonce == self._nonce:
            return False
        self._rejected[number] = nonce
        return True


def _maybe_busy(fault: Fault, counts: Counts) -> bytes | None:
    """The refusal of a site that is busy the first time, or whenever it is asked."""
    is_for_ever = fault.name == "busy for ever"
    if not (is_for_ever or fault.name.startswith("HTTP 429")) or (counts.put_off and not is_for_ever):
        return None
    counts.put_off += 1
    seconds = re.search(r"for (\d) s", fault.name)
    return reply("<title>Busy</title>", status=429, headers={"Retry-After": seconds[1]} if seconds else None)


def _rejection(step: Step) -> bytes:
    match step:
        case "message":
            return reply("The link you followed has expired.", status=403, headers=_WORDPRESS)
        case "upload":
            return reply(refusal("nonce_failure_cache_sse", "Security check failed."), status=403, kind=_JSON)
        case "stream":
            return _stream(failure("Security check failed."))


def _json(value: object) -> bytes:
    return reply(dump(value), kind=_JSON)


def _stream(body: bytes) -> bytes:
    return reply(body, kind=_STREAM)


async def _play(connection: Connection, number: int, fault: Fault, step: Step, text: str) -> bool | None:
    """The answer, or what the fault makes of it; True keeps the connection."""
    dice = random.Random(number)
    answer = f"You asked: {text}"
    pieces = re.findall(r"\s*\S+", answer)
    beginning = _said(step, *pieces[: len(pieces) // 2])
    whole = _said(step, *pieces) + _END[step]
    match fault.name:
        case "reset before the head":
            connection.reset()
        case "closed before the head":
            pass
        case "reset after the head":
            await connection.send(CHUNKED)
            connection.reset()
        case "silence before the head":
            await connection.until_closed()
        case "silence after some text":
            await connection.send(CHUNKED + chunk(beginning))
            await connection.until_closed()
        case "reset after some text":
            await connection.send(CHUNKED + chunk(beginning))
            await asyncio.sleep(2.0)  # else the reset may overtake the text, which a busy client reads late
            connection.reset()
        case "cut after some text":
            await connection.send(CHUNKED + chunk(beginning) + chunk(b""))
            return True
        case "shorter than it says":
            await connection.send(_stream(whole)[: -len(_END[step]) - 1])
        case "challenge":
            await connection.send(
                reply("<title>Just a moment...</title>", status=403, headers={"cf-mitigated": "challenge"})
            )
            return True
        case "garbage":
            await connection.send(reply(dice.randbytes(dice.randint(20, 20_000)), kind=_JSON))
            return True
        case "empty":
            await connection.send(reply(b"", kind=_JSON))
            return True
        case "refusal" | "provider" | "provider in words":
            await connection.send(_no(fault, step, number))
            return True
        case "slow":
            await connection.send(CHUNKED)
            for start in range(0, len(whole), 200):
                await connection.send(chunk(whole[start : start + 200]))
                await asyncio.sleep(_WAIT)
            await connection.send(chunk(b""))
            return True
        case "garbage behind the end":
            await connection.send(_stream(whole + b"\n\n<p>There has been a critical error.</p>\n"))
            return True
        case name if (status := re.fullmatch(r"HTTP (\d+)", name)) and fault.code:
            await connection.send(reply("<title>Sorry</title>", status=int(status[1])))
            return True
        case _:
            await connection.send(CHUNKED + chunk(beginning))
            await asyncio.sleep(dice.uniform(0.2, 0.8))  # so that many are under way here too
            await connection.send(chunk(whole[len(beginning) :]) + chunk(b""))
            return True
    return None


_WAIT = 0.05
"""Seconds between the pieces of an answer."""

_END: dict[Step, bytes] = {"message": FINISH + DONE, "upload": b"", "stream": FINISHED}


def _said(step: Step, *pieces: str) -> bytes:
    return chunks(*pieces) if step == "message" else START + deltas(*pieces)


def _no(fault: Fault, step: Step, number: int) -> bytes:
    """The site's own words, or those of the AI service behind it, with the question's number in them."""
    is_refusal = fault.name == "refusal"
    words = f"Your quota is used up with question {number} ."
    if not is_refusal:
        words = f"API error: the model dropped question {number} of yours."
    match step:
        case "message" if fault.name == "provider in words":
            return _stream(typed(words))
        case "message":
            flag = {"tokenLimitReached": True} if is_refusal else {"greeting_message": "You help."}
            return _json({"status": "error", "msg": words, **flag})
        case "upload":
            return reply(refusal("quota_exceeded", words), status=400, kind=_JSON)
        case "stream":
            return _stream(failure(words, quota_notice=True) if is_refusal else START + failure(words))


async def serve() -> None:
    """Serves until standard input is closed."""
    site = ChatSite()
    async with serving(site.answer) as server:
        site.server = server
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve())
