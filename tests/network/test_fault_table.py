"""What the client does about a broken network: a fault in each cell, counted at the site behind it.

The rule is the table in docs/errors.md, "What is repeated": a page is asked for again, a message only where it
cannot have been answered. Each cell says what comes out, how often the fault was met, what reached the site,
and how long the call may take.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest
import trustme
from asking import ECHO, client_of
from network.fault_proxy import (
    FAULTS,
    PLACES,
    FaultProxy,
    Place,
    answered,
    reached,
    standing_before,
)

import chatgptt
from chatgptt import ChatGpttError, Reply, RetryPolicy, Timeouts
from chatgptt.demo import serve

SEED = 20240607
"""Of what is random in a fault; each cell draws from its own dice."""

TRIES = 3
POLICY = RetryPolicy(attempts=TRIES, first_wait=0.01, max_wait=0.05, max_retry_after=5.0)
IN_DOUBT = RetryPolicy(
    attempts=TRIES, first_wait=0.01, max_wait=0.05, max_retry_after=5.0, retry_ambiguous=True
)

SILENCE = 0.5
CONNECT = 0.5
PAGE = 0.5
WHOLE = 1.2
"""Limits that are met, in seconds: what goes well beside a fault must stay below them, on a busy machine too."""
PROMPT = 3.0
"""Seconds that all else may take: connections, the policy's own waits, the site's work."""
OVERTIME = 0.5
"""Seconds by which a call may outlive its `timeout` at most."""
DRIPPED = 60.0
"""Seconds that a page or an answer may take one byte at a time: some thousand wake-ups."""
EARLY = 0.02
"""Seconds by which a timer may fire before its time, by the clock that the test reads."""

PATIENT = Timeouts(total=40.0, connect=20.0, page=30.0, silence=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The limits that a call gets, and how long it takes then."""

    at_least: float = 0.0
    at_most: float
    limits: Timeouts = PATIENT


BOUNDS = {
    "at once": Bound(at_most=PROMPT),
    "a silence": Bound(
        at_least=SILENCE, at_most=SILENCE + PROMPT, limits=Timeouts(total=20.0, silence=SILENCE)
    ),
    "3 silences": Bound(
        at_least=TRIES * SILENCE,
        at_most=TRIES * SILENCE + PROMPT,
        limits=Timeouts(total=20.0, silence=SILENCE),
    ),
    "a connect": Bound(
        at_least=CONNECT, at_most=CONNECT + PROMPT, limits=Timeouts(total=20.0, connect=CONNECT)
    ),
    "3 connects": Bound(
        at_least=TRIES * CONNECT,
        at_most=TRIES * CONNECT + PROMPT,
        limits=Timeouts(total=20.0, connect=CONNECT),
    ),
    "a page limit": Bound(at_least=PAGE, at_most=PAGE + PROMPT, limits=Timeouts(total=20.0, page=PAGE)),
    "3 page limits": Bound(
        at_least=TRIES * PAGE, at_most=TRIES * PAGE + PROMPT, limits=Timeouts(total=20.0, page=PAGE)
    ),
    "the timeout": Bound(
        at_least=WHOLE, at_most=WHOLE + OVERTIME, limits=Timeouts(total=WHOLE, silence=10.0)
    ),
    "within the timeout": Bound(at_most=WHOLE, limits=Timeouts(total=WHOLE, silence=10.0)),
    "a drip": Bound(at_most=DRIPPED),
    "0.3 s": Bound(at_least=0.3, at_most=0.3 + PROMPT),
    "0.6 s": Bound(at_least=0.6, at_most=0.6 + PROMPT),
    "1 s": Bound(at_least=1.0, at_most=1.0 + PROMPT),
    "1 to 2 s": Bound(at_least=1.0, at_most=2.0 + PROMPT),
}
"""By name; a date in a header has whole seconds, so that what it asks for is up to a second less."""

PAGES = {"1.x": "wpaicg/", "1.x JSON": "wpaicg/json/", "2.x": "aipkit/"}
PAGES_WITHOUT_NONCE = {"1.x": "wpaicg/no-nonce/", "2.x": "aipkit/empty-nonce/"}
"""What an endpoint is asked for: in 1.x that is another page of the site, found at the second guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of the table. `sees` are the requests that reach the site by place, and what its AI is asked."""

    protocol: str
    place: Place
    fault: str
    times: int
    outcome: str
    struck: int
    sees: tuple[int, int, int, int, int]
    bound: str
    is_in_doubt: bool = False

    @property
    def name(self) -> str:
        how_often = "always" if self.times == ALWAYS else "once" if self.times == 1 else f"{self.times} times"
        rule = ", in doubt" if self.is_in_doubt else ""
        return f"{self.protocol}, {self.place}: {self.fault}, {how_often}{rule}"

    @property
    def carrier(self) -> Place:
        """The request whose reply the fault is done to."""
        return "message" if (self.protocol, self.place) == ("1.x", "stream") else self.place

    @property
    def page(self) -> str:
        return (PAGES_WITHOUT_NONCE if self.place == "endpoint" else PAGES)[self.protocol]


ALWAYS = 99

TABLE = """
# Of `sees`: requests by place, and messages answered; `struck` is how often the fault was done. One reply
# carries 1.x's message and stream: at `message` the fault comes before the first text, at `stream` after it.
#
# protocol | place | fault | times | outcome | struck | page endpoint message stream answered | time
1.x      | page     | delay                                 | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | jitter                                | always | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | drip                                  | always | answer             | 1 | 1 0 1 0 1 | a drip
1.x      | page     | slow drip                             | always | timeout            | 3 | 3 0 0 0 0 | 3 page limits
2.x      | page     | slow drip                             | 1      | answer             | 1 | 2 0 1 1 1 | a page limit
2.x      | page     | slow drip                             | always | timeout            | 3 | 3 0 0 0 0 | 3 page limits
1.x      | page     | held until the client has gone        | 1      | answer             | 1 | 2 0 1 0 1 | a silence
1.x      | page     | cut before the head                   | 1      | answer             | 1 | 2 0 1 0 1 | at once
2.x      | page     | cut before the head                   | always | connect_error      | 3 | 3 0 0 0 0 | at once
2.x      | page     | cut after 1 byte                      | 1      | answer             | 1 | 2 0 1 1 1 | at once
1.x      | page     | cut in the head                       | always | connect_error      | 3 | 3 0 0 0 0 | at once
2.x      | page     | cut after the head                    | 2      | answer             | 2 | 3 0 1 1 1 | at once
1.x      | page     | cut after 40 bytes of the body        | 1      | answer             | 1 | 2 0 1 0 1 | at once
2.x      | page     | cut in the body                       | always | connect_error      | 3 | 3 0 0 0 0 | at once
1.x      | page     | cut before the last byte              | 1      | answer             | 1 | 2 0 1 0 1 | at once
1.x      | page     | cut without a length                  | 1      | no_chat_box        | 1 | 1 0 0 0 0 | at once
2.x      | page     | cut without a length                  | 1      | no_chat_box        | 1 | 1 0 0 0 0 | at once
1.x      | page     | reset before the head                 | 1      | answer             | 1 | 2 0 1 0 1 | at once
1.x      | page     | reset before the head                 | always | connect_error      | 3 | 3 0 0 0 0 | at once
2.x      | page     | reset in the head                     | 1      | answer             | 1 | 2 0 1 1 1 | at once
1.x      | page     | reset after the head                  | 1      | answer             | 1 | 2 0 1 0 1 | at once
2.x      | page     | reset in the body                     | always | connect_error      | 3 | 3 0 0 0 0 | at once
1.x      | page     | silent before the head                | 1      | answer             | 1 | 2 0 1 0 1 | a silence
2.x      | page     | silent in the head                    | 1      | answer             | 1 | 2 0 1 1 1 | a silence
1.x      | page     | silent after the head                 | always | timeout            | 3 | 3 0 0 0 0 | 3 silences
2.x      | page     | silent in the body                    | always | timeout            | 3 | 3 0 0 0 0 | 3 silences
2.x      | page     | silent before the last byte           | 1      | answer             | 1 | 2 0 1 1 1 | a silence
1.x      | page     | half-closed in the body               | 1      | answer             | 1 | 2 0 1 0 1 | at once
1.x      | page     | peer vanished                         | 1      | answer             | 1 | 1 0 1 0 1 | a silence
2.x      | page     | peer vanished                         | always | timeout            | 3 | 0 0 0 0 0 | 3 silences
1.x      | page     | connection closed                     | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | connection reset                      | always | connect_error      | 3 | 0 0 0 0 0 | at once
1.x      | page     | length too long                       | always | connect_error      | 3 | 3 0 0 0 0 | at once
2.x      | page     | length too long, silent               | 1      | answer             | 1 | 2 0 1 1 1 | a silence
1.x      | page     | length too short                      | 1      | no_chat_box        | 1 | 1 0 0 0 0 | at once
2.x      | page     | length 5 too short                    | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | length of nonsense                    | 1      | answer             | 1 | 2 0 1 0 1 | at once
1.x      | page     | chunk of no size                      | 1      | answer             | 1 | 2 0 1 0 1 | at once
2.x      | page     | chunk of no size                      | always | connect_error      | 3 | 3 0 0 0 0 | at once
2.x      | page     | chunk without its line end            | 1      | answer             | 1 | 2 0 1 1 1 | at once
1.x      | page     | chunks without an end                 | always | connect_error      | 3 | 3 0 0 0 0 | at once
2.x      | page     | chunk cut                             | 1      | answer             | 1 | 2 0 1 1 1 | at once
1.x      | page     | handshake cut                         | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | handshake cut                         | always | tls_error          | 3 | 0 0 0 0 0 | at once
1.x      | page     | handshake reset                       | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | handshake cut in the certificate      | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | handshake of garbage                  | always | tls_error          | 3 | 0 0 0 0 0 | at once
2.x      | page     | handshake answered without TLS        | always | tls_error          | 3 | 0 0 0 0 0 | at once
1.x      | page     | handshake without an answer           | 1      | answer             | 1 | 1 0 1 0 1 | a connect
2.x      | page     | handshake without an answer           | always | timeout            | 3 | 0 0 0 0 0 | 3 connects
1.x      | page     | TLS record of garbage                 | 1      | answer             | 1 | 2 0 1 0 1 | at once
2.x      | page     | TLS cut in the body                   | always | connect_error      | 3 | 3 0 0 0 0 | at once
1.x      | page     | TLS cut without a length              | 1      | no_chat_box        | 1 | 1 0 0 0 0 | at once
1.x      | page     | 500                                   | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | 502                                   | 2      | answer             | 2 | 1 0 1 1 1 | at once
1.x      | page     | 502                                   | always | http_error         | 3 | 0 0 0 0 0 | at once
2.x      | page     | 504                                   | always | http_error         | 3 | 0 0 0 0 0 | at once
1.x      | page     | 408                                   | 1      | answer             | 1 | 1 0 1 0 1 | at once
1.x      | page     | 520                                   | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | 521                                   | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | 522                                   | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | 523                                   | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | 524                                   | always | http_error         | 3 | 0 0 0 0 0 | at once
1.x      | page     | answer lost to 502                    | 1      | answer             | 1 | 2 0 1 0 1 | at once
1.x      | page     | 503                                   | always | rate_limited       | 3 | 0 0 0 0 0 | at once
1.x      | page     | 429 after 0 s                         | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | 429 after 0.3 s                       | 2      | answer             | 2 | 1 0 1 1 1 | 0.6 s
1.x      | page     | 429 after 1 s                         | 1      | answer             | 1 | 1 0 1 0 1 | 1 s
1.x      | page     | 503 after 0.3 s                       | 1      | answer             | 1 | 1 0 1 0 1 | 0.3 s
2.x      | page     | 503 after a date to come              | 1      | answer             | 1 | 1 0 1 1 1 | 1 to 2 s
1.x      | page     | 503 after a date gone by              | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | 429 after nonsense                    | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | 429 after -5 s                        | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | 429 after nothing                     | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | page     | 429 after an hour                     | 1      | rate_limited       | 1 | 0 0 0 0 0 | at once
2.x      | page     | 429 after 8 s                         | 1      | rate_limited       | 1 | 0 0 0 0 0 | at once
2.x      | page     | 503 after an age                      | 1      | rate_limited       | 1 | 0 0 0 0 0 | at once
1.x      | page     | 429 after a date in a year            | 1      | rate_limited       | 1 | 0 0 0 0 0 | at once
2.x      | page     | 503 after 4 s                         | 1      | rate_limited       | 1 | 0 0 0 0 0 | within the timeout
1.x      | page     | name unknown                          | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | page     | resolver down                         | always | dns_error          | 3 | 0 0 0 0 0 | at once
1.x      | page     | address refuses                       | 2      | answer             | 2 | 1 0 1 0 1 | at once
2.x      | page     | first of two addresses refuses        | 1      | answer             | 1 | 1 0 1 1 1 | at once

1.x      | endpoint | delay                                 | 2      | answer             | 2 | 1 2 1 0 1 | at once
2.x      | endpoint | jitter                                | always | answer             | 1 | 1 1 1 1 1 | at once
2.x      | endpoint | drip                                  | always | answer             | 1 | 1 1 1 1 1 | a drip
1.x      | endpoint | slow drip                             | always | timeout            | 3 | 1 3 0 0 0 | 3 page limits
2.x      | endpoint | slow drip                             | always | timeout            | 1 | 1 1 0 0 0 | the timeout
1.x      | endpoint | cut before the head                   | 1      | answer             | 1 | 1 3 1 0 1 | at once
2.x      | endpoint | cut before the head                   | always | connect_error      | 3 | 1 3 0 0 0 | at once
2.x      | endpoint | cut in the body                       | 1      | answer             | 1 | 1 2 1 1 1 | at once
1.x      | endpoint | reset after the head                  | 1      | answer             | 1 | 1 3 1 0 1 | at once
2.x      | endpoint | reset in the head                     | 1      | answer             | 1 | 1 2 1 1 1 | at once
2.x      | endpoint | reset after 1 byte                    | 1      | answer             | 1 | 1 2 1 1 1 | at once
1.x      | endpoint | silent before the head                | always | timeout            | 3 | 1 3 0 0 0 | 3 silences
2.x      | endpoint | silent after the head                 | 1      | answer             | 1 | 1 2 1 1 1 | a silence
2.x      | endpoint | length too long                       | 1      | answer             | 1 | 1 2 1 1 1 | at once
2.x      | endpoint | length too short                      | 1      | browser_missing    | 1 | 1 2 0 0 0 | at once
1.x      | endpoint | chunk of no size                      | 1      | answer             | 1 | 1 3 1 0 1 | at once
2.x      | endpoint | chunk without its line end            | always | connect_error      | 3 | 1 3 0 0 0 | at once
2.x      | endpoint | handshake cut                         | 1      | answer             | 1 | 1 1 1 1 1 | at once
1.x      | endpoint | handshake reset                       | always | connect_error      | 3 | 1 0 0 0 0 | at once
2.x      | endpoint | name unknown                          | 2      | answer             | 2 | 1 1 1 1 1 | at once
1.x      | endpoint | resolver down                         | always | dns_error          | 3 | 1 0 0 0 0 | at once
2.x      | endpoint | 502                                   | 1      | answer             | 1 | 1 1 1 1 1 | at once
1.x      | endpoint | 500                                   | always | http_error         | 3 | 1 0 0 0 0 | at once
2.x      | endpoint | 429 after 0.3 s                       | 1      | answer             | 1 | 1 1 1 1 1 | 0.3 s
2.x      | endpoint | 503 after nonsense                    | 1      | answer             | 1 | 1 1 1 1 1 | at once
1.x      | endpoint | 503 after an hour                     | 1      | rate_limited       | 1 | 1 0 0 0 0 | at once
2.x      | endpoint | 429                                   | always | rate_limited       | 3 | 1 0 0 0 0 | at once
1.x      | endpoint | connection reset                      | 1      | answer             | 1 | 1 2 1 0 1 | at once
2.x      | endpoint | peer vanished                         | 1      | answer             | 1 | 1 1 1 1 1 | a silence

1.x      | message  | delay                                 | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | jitter                                | always | answer             | 1 | 1 0 1 1 1 | at once
2.x      | message  | drip                                  | 1      | answer             | 1 | 1 0 1 1 1 | a drip
2.x      | message  | slow drip                             | 1      | timeout            | 1 | 1 0 1 0 0 | the timeout
1.x      | message  | held until the client has gone        | 1      | timeout            | 1 | 1 0 1 0 1 | a silence
2.x      | message  | held until the client has gone        | 1      | timeout            | 1 | 1 0 1 0 0 | a silence
1.x      | message  | cut before the head                   | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | cut before the head                   | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | cut after 1 byte                      | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | cut in the head                       | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | cut after the head                    | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | cut after 40 bytes of the body        | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | cut after 40 bytes of the body        | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | cut before the last byte              | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
2.x      | message  | cut without a length                  | 1      | unreadable_answer  | 1 | 1 0 1 0 0 | at once
1.x      | message  | reset before the head                 | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | reset before the head                 | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | reset in the head                     | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
1.x      | message  | reset after 1 byte                    | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
1.x      | message  | reset after 40 bytes of the body      | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | reset after the head                  | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | silent before the head                | 1      | timeout            | 1 | 1 0 1 0 1 | a silence
2.x      | message  | silent before the head                | 1      | timeout            | 1 | 1 0 1 0 0 | a silence
1.x      | message  | silent after the head                 | 1      | timeout            | 1 | 1 0 1 0 1 | a silence
2.x      | message  | silent after 1 byte                   | 1      | timeout            | 1 | 1 0 1 0 0 | a silence
1.x      | message  | silent after 40 bytes of the body     | 1      | timeout            | 1 | 1 0 1 0 1 | a silence
2.x      | message  | silent in the body                    | 1      | timeout            | 1 | 1 0 1 0 0 | a silence
2.x      | message  | half-closed in the body               | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | peer vanished                         | 1      | timeout            | 1 | 1 0 0 0 0 | a silence
2.x      | message  | peer vanished                         | 1      | timeout            | 1 | 1 0 0 0 0 | a silence
1.x      | message  | connection closed                     | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | connection closed                     | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | message  | connection reset                      | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | connection reset                      | 1      | answer             | 1 | 1 0 1 1 1 | at once
2.x      | message  | length too long                       | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
2.x      | message  | length too short                      | 1      | unreadable_answer  | 1 | 1 0 1 0 0 | at once
1.x      | message  | length of nonsense                    | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
2.x      | message  | chunk of no size                      | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
2.x      | message  | chunk without its line end            | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
2.x      | message  | chunks without an end                 | 1      | connect_error      | 1 | 1 0 1 0 0 | at once
1.x      | message  | handshake cut                         | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | handshake cut                         | 2      | answer             | 2 | 1 0 1 1 1 | at once
1.x      | message  | handshake reset                       | always | connect_error      | 3 | 1 0 0 0 0 | at once
2.x      | message  | handshake of garbage                  | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | message  | handshake cut in the certificate      | 1      | answer             | 1 | 1 0 1 0 1 | at once
1.x      | message  | handshake without an answer           | 1      | answer             | 1 | 1 0 1 0 1 | a connect
2.x      | message  | handshake without an answer           | always | timeout            | 3 | 1 0 0 0 0 | 3 connects
2.x      | message  | TLS record of garbage                 | 1      | tls_error          | 1 | 1 0 1 0 0 | at once
1.x      | message  | 500                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 500                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 502                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 504                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 408                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 520                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 521                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 522                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 523                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 524                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | answer lost to 502                    | 1      | http_error         | 1 | 1 0 1 0 1 | at once
2.x      | message  | answer lost to 504                    | 1      | http_error         | 1 | 1 0 1 0 0 | at once
1.x      | message  | 503                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 503                                   | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 429                                   | always | rate_limited       | 3 | 1 0 0 0 0 | at once
2.x      | message  | 429                                   | 2      | answer             | 2 | 1 0 1 1 1 | at once
1.x      | message  | 429 after 0 s                         | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | 503 after 0 s                         | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 429 after 0.3 s                       | 2      | answer             | 2 | 1 0 1 0 1 | 0.6 s
2.x      | message  | 503 after 1 s                         | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 429 after 1 s                         | 1      | answer             | 1 | 1 0 1 1 1 | 1 s
1.x      | message  | 503 after a date to come              | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 429 after a date gone by              | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | message  | 429 after nonsense                    | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | 503 after nothing                     | 1      | http_error         | 1 | 1 0 0 0 0 | at once
2.x      | message  | 429 after -5 s                        | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | message  | 429 after an age                      | 1      | rate_limited       | 1 | 1 0 0 0 0 | at once
2.x      | message  | 429 after an hour                     | 1      | rate_limited       | 1 | 1 0 0 0 0 | at once
1.x      | message  | 503 after 8 s                         | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 503 after a date in a year            | 1      | http_error         | 1 | 1 0 0 0 0 | at once
1.x      | message  | 429 after 4 s                         | 1      | rate_limited       | 1 | 1 0 0 0 0 | within the timeout
1.x      | message  | name unknown                          | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | message  | name unknown                          | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | message  | resolver down                         | always | dns_error          | 3 | 1 0 0 0 0 | at once
2.x      | message  | address refuses                       | 2      | answer             | 2 | 1 0 1 1 1 | at once
1.x      | message  | address refuses                       | always | connect_error      | 3 | 1 0 0 0 0 | at once

1.x JSON | message  | drip                                  | 1      | answer             | 1 | 1 0 1 0 1 | a drip
1.x JSON | message  | length too long                       | 1      | answer             | 1 | 1 0 1 0 1 | at once
1.x JSON | message  | length too long, silent               | 1      | answer             | 1 | 1 0 1 0 1 | a silence
1.x JSON | message  | chunks without an end                 | 1      | answer             | 1 | 1 0 1 0 1 | at once
1.x JSON | message  | cut in the body                       | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
1.x JSON | message  | cut without a length                  | 1      | unreadable_answer  | 1 | 1 0 1 0 1 | at once
1.x JSON | message  | reset before the last byte            | 1      | connect_error      | 1 | 1 0 1 0 1 | at once
1.x JSON | message  | silent in the body                    | 1      | timeout            | 1 | 1 0 1 0 1 | a silence
1.x JSON | message  | answer lost to 502                    | 1      | http_error         | 1 | 1 0 1 0 1 | at once

1.x      | stream   | jitter                                | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | stream   | delay                                 | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | stream   | drip                                  | 1      | answer             | 1 | 1 0 1 0 1 | a drip
2.x      | stream   | drip                                  | 1      | answer             | 1 | 1 0 1 1 1 | a drip
1.x      | stream   | slow drip                             | 1      | timeout            | 1 | 1 0 1 0 1 | the timeout
1.x      | stream   | slow drip in the body                 | 1      | stream_interrupted | 1 | 1 0 1 0 1 | the timeout
2.x      | stream   | slow drip                             | 1      | timeout            | 1 | 1 0 1 1 1 | the timeout
2.x      | stream   | slow drip in the body                 | 1      | stream_interrupted | 1 | 1 0 1 1 1 | the timeout
2.x      | stream   | held until the client has gone        | 1      | timeout            | 1 | 1 0 1 1 1 | a silence
2.x      | stream   | cut before the head                   | 1      | connect_error      | 1 | 1 0 1 1 1 | at once
2.x      | stream   | cut in the head                       | 1      | connect_error      | 1 | 1 0 1 1 1 | at once
2.x      | stream   | cut after 40 bytes of the body        | 1      | connect_error      | 1 | 1 0 1 1 1 | at once
1.x      | stream   | cut in the body                       | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | cut in the body                       | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | cut before the last byte              | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | stream   | cut before the last byte              | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | stream   | cut without a length                  | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | cut without a length                  | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
2.x      | stream   | reset before the head                 | 1      | connect_error      | 1 | 1 0 1 1 1 | at once
2.x      | stream   | reset after the head                  | 1      | connect_error      | 1 | 1 0 1 1 1 | at once
2.x      | stream   | reset after 40 bytes of the body      | 1      | connect_error      | 1 | 1 0 1 1 1 | at once
1.x      | stream   | reset in the body                     | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | reset in the body                     | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | silent in the body                    | 1      | stream_interrupted | 1 | 1 0 1 0 1 | a silence
1.x      | stream   | silent before the last byte           | 1      | answer             | 1 | 1 0 1 0 1 | a silence
2.x      | stream   | silent in the body                    | 1      | stream_interrupted | 1 | 1 0 1 1 1 | a silence
2.x      | stream   | silent before the head                | 1      | timeout            | 1 | 1 0 1 1 1 | a silence
1.x      | stream   | half-closed in the body               | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | half-closed in the body               | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | length too long                       | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | stream   | length too long, silent               | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | stream   | length too short                      | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | length too short                      | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | chunk of no size                      | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | chunk of no size                      | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | chunk without its line end            | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | chunk without its line end            | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | chunks without an end                 | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | stream   | chunks without an end                 | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | stream   | chunk cut                             | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | chunk cut                             | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | TLS record of garbage                 | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | TLS record of garbage                 | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
1.x      | stream   | TLS record of garbage behind the body | 1      | answer             | 1 | 1 0 1 0 1 | at once
2.x      | stream   | TLS record of garbage behind the body | 1      | answer             | 1 | 1 0 1 1 1 | at once
1.x      | stream   | TLS cut in the body                   | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | TLS cut without a length              | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
2.x      | stream   | handshake cut                         | 1      | answer             | 1 | 1 0 2 1 1 | at once
2.x      | stream   | handshake without an answer           | 1      | answer             | 1 | 1 0 2 1 1 | a connect
2.x      | stream   | name unknown                          | 1      | answer             | 1 | 1 0 2 1 1 | at once
2.x      | stream   | address refuses                       | always | connect_error      | 3 | 1 0 3 0 0 | at once
2.x      | stream   | connection closed                     | 1      | answer             | 1 | 1 0 1 1 1 | at once
2.x      | stream   | peer vanished                         | 1      | timeout            | 1 | 1 0 1 0 0 | a silence
2.x      | stream   | 500                                   | 1      | http_error         | 1 | 1 0 1 0 0 | at once
2.x      | stream   | 502                                   | 1      | http_error         | 1 | 1 0 1 0 0 | at once
2.x      | stream   | 524                                   | 1      | http_error         | 1 | 1 0 1 0 0 | at once
2.x      | stream   | answer lost to 502                    | 1      | http_error         | 1 | 1 0 1 1 1 | at once
2.x      | stream   | 503                                   | 1      | http_error         | 1 | 1 0 1 0 0 | at once
2.x      | stream   | 429                                   | always | rate_limited       | 3 | 1 0 3 0 0 | at once
2.x      | stream   | 429 after 0.3 s                       | 1      | answer             | 1 | 1 0 2 1 1 | 0.3 s
2.x      | stream   | 503 after -5 s                        | 1      | http_error         | 1 | 1 0 1 0 0 | at once
2.x      | stream   | 503 after an hour                     | 1      | http_error         | 1 | 1 0 1 0 0 | at once
2.x      | stream   | 429 after a date to come              | 1      | answer             | 1 | 1 0 2 1 1 | 1 to 2 s
"""

TABLE_IN_DOUBT = """
# the same with RetryPolicy(retry_ambiguous=True)
1.x      | message  | reset before the head                 | 1      | answer             | 1 | 1 0 2 0 2 | at once
1.x      | message  | reset before the head                 | always | connect_error      | 3 | 1 0 3 0 3 | at once
2.x      | message  | cut in the head                       | 1      | answer             | 1 | 1 0 2 1 1 | at once
1.x      | message  | silent after the head                 | 1      | answer             | 1 | 1 0 2 0 2 | a silence
1.x      | message  | held until the client has gone        | 1      | answer             | 1 | 1 0 2 0 2 | a silence
2.x      | message  | 502                                   | 2      | answer             | 2 | 1 0 1 1 1 | at once
1.x      | message  | answer lost to 504                    | 1      | answer             | 1 | 1 0 2 0 2 | at once
2.x      | stream   | reset before the head                 | 1      | answer             | 1 | 1 0 2 2 2 | at once
2.x      | stream   | cut after 40 bytes of the body        | 1      | answer             | 1 | 1 0 2 2 2 | at once
2.x      | stream   | answer lost to 502                    | always | http_error         | 3 | 1 0 3 3 3 | at once
2.x      | stream   | peer vanished                         | 1      | answer             | 1 | 1 0 2 1 1 | a silence
1.x      | stream   | cut in the body                       | 1      | stream_interrupted | 1 | 1 0 1 0 1 | at once
2.x      | stream   | reset in the body                     | 1      | stream_interrupted | 1 | 1 0 1 1 1 | at once
2.x      | stream   | silent in the body                    | 1      | stream_interrupted | 1 | 1 0 1 1 1 | a silence
1.x      | message  | 429 after an hour                     | 1      | rate_limited       | 1 | 1 0 0 0 0 | at once
"""


def read_table(text: str, *, is_in_doubt: bool = False) -> list[Cell]:
    return [
        read_row(line, is_in_doubt=is_in_doubt)
        for line in text.splitlines()
        if line and not line.startswith("#")
    ]


def read_row(line: str, *, is_in_doubt: bool) -> Cell:
    protocol, place, fault, times, outcome, struck, sees, bound = (cell.strip() for cell in line.split("|"))
    assert protocol in PAGES, line
    assert fault in FAULTS, line
    assert bound in BOUNDS, line
    page, endpoint, message, stream, asked = map(int, sees.split())
    return Cell(
        protocol=protocol,
        place=next(known for known in PLACES if known == place),
        fault=fault,
        times=ALWAYS if times == "always" else int(times),
        outcome=outcome,
        struck=int(struck),
        sees=(page, endpoint, message, stream, asked),
        bound=bound,
        is_in_doubt=is_in_doubt,
    )


CELLS = [*read_table(TABLE), *read_table(TABLE_IN_DOUBT, is_in_doubt=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a cell."""

    result: Reply | ChatGpttError
    struck: int
    reached: Counter[Place]
    answered: int
    elapsed: float

    @property
    def sees(self) -> tuple[int, int, int, int, int]:
        page, endpoint, message, stream = (self.reached[place] for place in PLACES)
        return page, endpoint, message, stream, self.answered


SEEN: dict[str, Seen | BaseException] = {}
"""By the name of the cell; each is run once."""

AT_ONCE = 4
"""Cells under way at the same time: nearly all that they do is to wait."""


async def run_all(cells: Iterable[Cell], tls: ssl.SSLContext) -> None:
    """Runs those that have not been run yet, each with a site, a proxy, a name and a client of its own."""
    missing = [cell for cell in cells if cell.name not in SEEN]
    proxies: dict[str, FaultProxy] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def run(name: str, cell: Cell) -> Seen:
        async with turn:
            return await seen_in(cell, name, proxies, tls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolver(proxies))
        found = await asyncio.gather(
            *(run(f"cell-{number}.test", cell) for number, cell in enumerate(missing)), return_exceptions=True
        )
    SEEN.update(zip((cell.name for cell in missing), found, strict=True))


async def seen_in(cell: Cell, name: str, proxies: dict[str, FaultProxy], tls: ssl.SSLContext) -> Seen:
    policy = IN_DOUBT if cell.is_in_doubt else POLICY
    with serve() as site:
        async with standing_before(
            site,
            fault=cell.fault,
            place=cell.place,
            carrier=cell.carrier,
            times=cell.times,
            seed=SEED,
            name=name,
            tls=tls,
        ) as proxy:
            proxies[name] = proxy
            limits = BOUNDS[cell.bound].limits
            async with client_of(f"{proxy.url}/{cell.page}", retry=policy, timeout=limits) as client:
                result: Reply | ChatGpttError
                began = time.monotonic()
                try:
                    result = await client.ask("Hello")
                except ChatGpttError as error:
                    result = error
                elapsed = time.monotonic() - began
            await proxy.until_idle()
            return Seen(
                result=result,
                struck=proxy.struck,
                reached=reached(site),
                answered=answered(site),
                elapsed=elapsed,
            )


def resolver(proxies: Mapping[str, FaultProxy]) -> object:
    """Asks each proxy for the addresses of its name, and the machine for all others."""
    really = socket.getaddrinfo

    def resolve(host: str | bytes | None, port: str | int | None, *args: int, **named: int) -> object:
        proxy = proxies.get(host.decode() if isinstance(host, bytes) else host or "")
        if proxy is None:
            return really(host, port, *args, **named)
        return [
            found for address in proxy.resolve() for found in really(address, port, type=socket.SOCK_STREAM)
        ]

    return resolve


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What the proxy shows as a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


CLASSES: dict[str, type[ChatGpttError]] = {
    "dns_error": chatgptt.TransportError,
    "connect_error": chatgptt.TransportError,
    "tls_error": chatgptt.TransportError,
    "timeout": chatgptt.TransportError,
    "http_error": chatgptt.PageError,
    "rate_limited": chatgptt.RateLimitedError,
    "browser_missing": chatgptt.BrowserError,
    "no_chat_box": chatgptt.ChatBoxNotFoundError,
    "unreadable_answer": chatgptt.AnswerError,
    "stream_interrupted": chatgptt.StreamInterruptedError,
}
ANSWER = f"{ECHO}Hello"


def test_every_fault_is_done_somewhere_and_every_limit_met() -> None:
    assert {cell.fault for cell in CELLS} == set(FAULTS)
    assert {cell.bound for cell in CELLS} == set(BOUNDS)
    assert len({cell.name for cell in CELLS}) == len(CELLS)


@pytest.fixture
def selected(request: pytest.FixtureRequest) -> list[Cell]:
    """The cells of all tests that are to run: the first of these runs them all."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    parameters = [item.callspec.params.get("cell") for item in items if hasattr(item, "callspec")]
    return [cell for cell in parameters if isinstance(cell, Cell)]


@pytest.mark.anyio
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_a_fault_ends_as_its_row_says(cell: Cell, selected: list[Cell], tls: ssl.SSLContext) -> None:
    await run_all(selected, tls)
    seen = SEEN[cell.name]
    if isinstance(seen, BaseException):
        raise seen
    match seen.result:
        case Reply(text=text):
            assert (cell.outcome, text) == ("answer", ANSWER)
        case error:
            assert error.code == cell.outcome, error
            assert type(error) is CLASSES[cell.outcome]
            assert error.hint
            assert ANSWER.startswith(error.partial_text)
            assert bool(error.partial_text) == (error.code == "stream_interrupted")
    assert (seen.struck, seen.sees) == (cell.struck, cell.sees)
    bound = BOUNDS[cell.bound]
    assert bound.at_least - EARLY <= seen.elapsed <= bound.at_most


@pytest.mark.anyio
async def test_no_message_is_answered_twice_in_the_whole_table(
    tls: ssl.SSLContext, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_all(CELLS, tls)
    found = {name: seen for name, seen in SEEN.items() if isinstance(seen, Seen)}
    assert found.keys() == {cell.name for cell in CELLS}, "a cell was not counted"
    for is_in_doubt in (False, True):
        cells = [cell for cell in CELLS if cell.is_in_doubt == is_in_doubt]
        doubles = sum(max(0, found[cell.name].answered - 1) for cell in cells)
        with capsys.disabled():
            print(f"\n{'repeated in doubt' if is_in_doubt else 'by the rule'}: {doubles} doubles, ", end="")
            print(totals([found[cell.name] for cell in cells]))
        assert doubles == sum(max(0, cell.sees[-1] - 1) for cell in cells)
        assert (doubles > 0) == is_in_doubt


def totals(seen: list[Seen]) -> str:
    requests = sum((one.reached for one in seen), Counter[Place]())
    answers = sum(isinstance(one.result, Reply) for one in seen)
    return (
        f"{len(seen)} cells, seed {SEED}, {sum(one.struck for one in seen)} faults; "
        f"{answers} answers and {len(seen) - answers} errors; the sites saw "
        f"{', '.join(f'{requests[place]} {place}' for place in PLACES)} requests and answered "
        f"{sum(one.answered for one in seen)} messages; the slowest call took "
        f"{max(one.elapsed for one in seen):.1f} s"
    )
