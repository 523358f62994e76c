"""When a request is repeated, and how long that waits.

The rule behind the table (docs/errors.md): a page may be fetched again after any passing failure; a message
only where the site cannot have seen it, since a second copy may be answered, logged and billed. tenacity
does the waiting, with full jitter, within the attempts and within the deadline of the whole call.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from chatgptt._arguments import check_kind
from chatgptt._errors import (
    ChallengeError,
    ChatGpttError,
    InvalidInputError,
    PageError,
    RateLimitedError,
    RefusedError,
    StreamInterruptedError,
    TransportError,
)

if TYPE_CHECKING:
    import tenacity

_log = logging.getLogger("chatgptt.retry")
_progress = logging.getLogger("chatgptt.progress")
_Result = TypeVar("_Result")

AMBIGUOUS_STATUSES = frozenset({408, 500, 502, 503, 504, *range(520, 525)})
"""The site's server, or a proxy of it such as Cloudflare (520 to 524) or Varnish (503), failed at an unknown
moment; a Retry-After says nothing about that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a request is repeated. Seconds throughout.

    Attributes:
        attempts: tries in all, 1 for none again.
        first_wait: the upper bound of the first wait; each later one doubles it. The wait itself is
            random below it.
        max_wait: the upper bound of any wait of our own choosing.
        max_retry_after: the longest Retry-After that is waited for; a site that asks for more is
            reported at once.
        retry_ambiguous: whether a message is repeated even where the site may have answered it already.
        repeats_busy: whether a 429 that names no time is repeated.

    Raises:
        InvalidInputError: for fewer than 1 attempt, and for a wait below 0.
    """

    attempts: int = 3
    first_wait: float = 0.5
    max_wait: float = 10.0
    max_retry_after: float = 60.0
    retry_ambiguous: bool = False
    repeats_busy: bool = True

    def __post_init__(self) -> None:
        check_kind("attempts", self.attempts, int, wanted="a whole number")
        for name in ("first_wait", "max_wait", "max_retry_after"):
            check_kind(name, getattr(self, name), int, float, wanted="a number of seconds")
        waits = (self.first_wait, self.max_wait, self.max_retry_after)
        if self.attempts < 1 or not all(wait >= 0 for wait in waits):
            raise InvalidInputError(
                "a retry policy needs at least 1 attempt and waits that are not negative",
                hint="RetryPolicy(attempts=1) never repeats",
            )


def is_repeatable(error: BaseException, *, is_message: bool, policy: RetryPolicy) -> bool:
    """Whether the request that ended in `error` may be sent again, by the table in docs/errors.md."""
    if isinstance(error, ChatGpttError) and (error.retry_after or 0.0) > policy.max_retry_after:
        return False
    match error:
        case RateLimitedError(retry_after=None):
            return policy.repeats_busy
        case RateLimitedError() | TransportError(is_sent=False):
            return True
        case StreamInterruptedError():
            return False
        case _:
            return is_ambiguous(error) and (policy.retry_ambiguous or not is_message)


def is_ambiguous(error: BaseException) -> bool:
    """Whether the site may have answered the request that ended in `error`, without a whole answer here."""
    match error:
        case TransportError(is_sent=is_sent):
            return is_sent
        case PageError(is_block=is_block, status=status):
            return not is_block and status in AMBIGUOUS_STATUSES
        case _:
            return isinstance(error, StreamInterruptedError)


def pause_after(error: ChatGpttError, attempts: int, policy: RetryPolicy) -> float:
    """Seconds after an error for which a site wants no message from any client; 0.0 where it set no pause.

    A site that names no time gets the longest wait that this attempt's repeat may have, and ten times as
    much where the visitor's quota is used up. So does one with a 503: WordPress's maintenance mode asks for
    600 s whatever it takes (docs/protocols.md C1), and a gateway does not know.
    """
    match error:
        case ChallengeError():  # a person may pass it the next moment
            return 0.0
        case ChatGpttError() if error.retry_after is not None and error.status != 503:
            return error.retry_after
        case RateLimitedError():
            return min(policy.first_wait * 2.0 ** max(attempts - 1, 0), policy.max_wait)
        case RefusedError(reason="quota"):
            return min(10 * policy.first_wait, policy.max_wait)
        case _:
            return 0.0


async def retry(
    send: Callable[[], Awaitable[_Result]],
    *,
    is_message: bool,
    policy: RetryPolicy,
    remaining: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> _Result:
    """The result of `send`, called again as the policy allows; the last error where it never succeeds.

    `remaining` gives the seconds until the call's deadline. No wait reaches beyond it.
    """
    try:
        return await send()
    except ChatGpttError as error:
        if not is_repeatable(error, is_message=is_message, policy=policy):
            raise
        failed = error
    async for attempt in _repeats(is_message, policy, remaining, sleep):
        with attempt:
            if attempt.retry_state.attempt_number == 1:
                raise failed
            _progress.debug("trying again")
            return await send()
    raise AssertionError("the last attempt neither returned nor raised")


def _repeats(
    is_message: bool,
    policy: RetryPolicy,
    remaining: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> tenacity.AsyncRetrying:
    import tenacity  # here: most requests succeed at once, and a program starts sooner without it

    jitter = tenacity.wait_random_exponential(multiplier=policy.first_wait, max=policy.max_wait)

    def wait(state: tenacity.RetryCallState) -> float:
        error = _error_of(state)
        retry_after = error.retry_after if error else None
        # A little over what the site asked for: it counts in whole seconds.
        return jitter(state) if retry_after is None else retry_after + min(0.25, jitter(state))

    def stop(state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= policy.attempts or state.upcoming_sleep >= remaining()

    def log(state: tenacity.RetryCallState) -> None:
        words = "waiting %.2f s before attempt %d of %d: %s"
        _log.info(words, state.upcoming_sleep, state.attempt_number + 1, policy.attempts, _error_of(state))
        error = _error_of(state)
        reason = "the site asked" if error and error.retry_after else "the request failed"
        _progress.debug("waiting %.0f s, since %s", state.upcoming_sleep, reason)

    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(
            lambda error: is_repeatable(error, is_message=is_message, policy=policy)
        ),
        wait=wait,
        stop=stop,
        before_sleep=log,
        sleep=sleep,
        reraise=True,
    )


def _error_of(state: tenacity.RetryCallState) -> ChatGpttError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, ChatGpttError) else None
