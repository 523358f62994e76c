"""WordPress nonces, computed and checked.

A nonce is a keyed hash of the number of the current half-day, an action and a user id. It is accepted in its
half-day and in the next one, so it is good for 12 to 24 hours. All guests have the user id 0, so at one time
all get the same nonce. (docs/protocols.md C2)
"""

from __future__ import annotations

import hashlib
import hmac
import math

TICK = 43_200.0
"""Seconds of half a nonce's life; the boundaries are noon and midnight UTC."""

GUEST = "0"
"""The user id of a logged-out visitor."""


class Nonces:
    """Makes and checks the nonces of one installation. Each installation has its own key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, action: str, *, at: float, user: str = GUEST) -> str:
        """10 hexadecimal digits. They are good until the end of the half-day after that of `at`."""
        text = f"{math.ceil(at / TICK)}|{action}|{user}"
        # WordPress takes these 10 digits of its hash: those before the last two.
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[-12:-2]

    def is_good(self, nonce: str, action: str, *, at: float, user: str = GUEST) -> bool:
        """Whether `nonce` was made for this action and user in this half-day or the one before."""
        return any(nonce == self.make(action, at=time, user=user) for time in (at, at - TICK))
