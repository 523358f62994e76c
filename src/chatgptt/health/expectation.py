"""Whether an answer matches the caller's pattern, in a process of its own.

The site writes the text, and some patterns take years for some texts: `(a+)+$` for sixty a's and a b.
Python's `re` cannot be stopped, and no other thread runs while it matches. A process can be ended; it costs
some 20 ms.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import anyio.to_thread

from chatgptt._errors import InvalidInputError

MOST_CHARACTERS = 2**20
"""Of an answer's beginning. No chat's answer is as long."""

TIMEOUT = 5.0
"""Seconds, the start of the process included; a sane pattern takes milliseconds for the longest answer."""

_CODE = """
import json, re, sys
pattern, text = json.load(sys.stdin)
print(re.search(pattern, text) is not None)
"""


def check_pattern(pattern: str) -> None:
    """Refuses a pattern that is no regular expression.

    Raises:
        InvalidInputError: for such a pattern.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidInputError(
            f"the expected answer is no regular expression: {error}", hint="mend the pattern"
        ) from error


async def is_match(pattern: str, text: str) -> bool:
    """Whether a pattern matches somewhere in a text.

    Raises:
        InvalidInputError: where matching takes too long, or no process can be started.
    """
    return await anyio.to_thread.run_sync(_search, pattern, text[:MOST_CHARACTERS], abandon_on_cancel=True)


def _search(pattern: str, text: str) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - Python itself, and the code above
            [sys.executable, "-I", "-S", "-c", _CODE],
            input=json.dumps([pattern, text]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise InvalidInputError(
            f"the pattern {pattern!r} takes more than {TIMEOUT:g} s for this answer",
            hint="write it without a repeat inside of a repeat, such as (a+)+",
        ) from None
    except (OSError, subprocess.CalledProcessError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it ended with {error.returncode}"
        raise InvalidInputError(
            f"the process that looks for {pattern!r} failed: {why}",
            hint="check without --expect, or on a machine that can start another process",
        ) from error
    return done.stdout.strip() == b"True"
