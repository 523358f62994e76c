"""The store in Redis: what many machines know of sites. The only module that imports redis.

A site has two keys. One holds our ids: the first process that writes it decides, and it never expires. The
other holds all else as a file of `FileStore` would, and expires when the last nonce in it is worthless. A
change is made under WATCH, so that of two writers at once the second one sees what the first one wrote. A
third key holds the visit of a person who has shared it.

Redis is a help, never a condition: while it is away, memory serves, and that is logged once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from chatgptt._errors import InvalidInputError
from chatgptt.net.loops import PerLoop
from chatgptt.state.folder import NotOursError
from chatgptt.tokens.records import NONCE_LIFE, Change, SiteRecord, apply, decode, encode
from chatgptt.tokens.store import Store
from chatgptt.visits.shared import SharedVisits

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

_log = logging.getLogger("chatgptt.store")

_PATIENCE = 2.0
"""Seconds for a connection, and for a reply: Redis takes less than a millisecond."""

_PAUSE = 5.0
"""Seconds without a try after one that failed, since each message would wait for another."""

_VISIT_LIFE = 30 * 24 * 3600
"""Seconds for which a shared visit stays after its last use."""


class RedisStore(Store):
    """A store that all processes with the same Redis database share, on as many machines as wanted.

    Ids, nonces and the cookies of pages lie in it in the clear: give it a password, and `rediss://` on a
    network that others share.

    Args:
        url: `redis://` or `rediss://`, as `redis://:password@host:6379/0`.
        clock: Unix time in seconds.

    Raises:
        InvalidInputError: for an address that cannot be one, and where redis-py is not installed.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._place = check_address(url)
        from redis import RedisError

        self._failures = (RedisError, OSError, NotOursError)
        self._url = url
        self._clients = PerLoop(self._connect)
        self._is_away = False
        self._next_try = 0.0

    def __repr__(self) -> str:
        return f"RedisStore({self._place})"

    async def exchange(self, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        """What Redis knows of a site, with the change; what this process knows while it is away."""
        if time.monotonic() < self._next_try:
            return ours
        try:
            record = await self._exchange(site, ours, change)
        except self._failures as error:
            self._next_try = time.monotonic() + _PAUSE
            if not self._is_away:
                _log.warning("the store at %s cannot be used, working on from memory: %s", self._place, error)
            self._is_away = True
            return ours
        if self._is_away:
            _log.info("the store at %s can be used again", self._place)
            self._is_away = False
        return record

    @property
    def visits(self) -> SharedVisits:
        """The visits that people have shared here."""
        return SharedVisits(self._read_visit, self._change_visit)

    async def _read_visit(self, site: str) -> bytes | None:
        away = f"the visit cannot be read from the store at {self._place}"
        if time.monotonic() < self._next_try:
            raise ConnectionError(away)
        try:
            async with self._clients.get().pipeline(transaction=False) as pipe:
                pipe.get(_visit_key(site))
                pipe.expire(_visit_key(site), _VISIT_LIFE)
                found = (await pipe.execute())[0]
        except self._failures as error:
            self._next_try = time.monotonic() + _PAUSE
            raise ConnectionError(away) from error
        return found if isinstance(found, bytes) else None

    async def _change_visit(self, site: str, change: Callable[[bytes | None], bytes | None]) -> None:
        key = _visit_key(site)

        async def swap(pipe: Pipeline) -> None:
            found = await pipe.get(key)
            old = found if isinstance(found, bytes) else None
            new = change(old)
            pipe.multi()  # type: ignore[no-untyped-call]
            if new is None:
                pipe.delete(key)
            elif new != old:
                pipe.set(key, new, ex=_VISIT_LIFE)

        try:
            await self._clients.get().transaction(swap, key)
        except self._failures as error:
            message = f"the visit cannot be shared at {self._place}: {error}"
            raise InvalidInputError(message, hint="see that Redis runs, and check CHATGPTT_STORE") from error

    async def close(self) -> None:
        """Closes the connections of the event loop that is running."""
        client = self._clients.maybe_get()
        if client is not None:
            await client.aclose()

    def _connect(self) -> Redis:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        return Redis.from_url(
            self._url,
            socket_connect_timeout=_PATIENCE,
            socket_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 1),  # a connection may have ended since its last use
        )

    async def _exchange(self, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        client, keys = self._clients.get(), (f"chatgptt:{site}:visitor", f"chatgptt:{site}:record")
        if change.is_empty:
            theirs = _read(site, await client.mget(keys))
            if theirs is not None:
                return theirs

        async def swap(pipe: Pipeline) -> SiteRecord:
            merged = apply(_read(site, await pipe.mget(keys)) or ours, change, self._clock())
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.set(keys[0], encode(site, SiteRecord(visitor=merged.visitor)), nx=True)
            pipe.set(keys[1], encode(site, merged), ex=int(NONCE_LIFE))
            return merged

        merged: SiteRecord = await client.transaction(swap, *keys, value_from_callable=True)
        return merged


def _visit_key(site: str) -> str:
    return f"chatgptt:{site}:visit"


def check_address(url: object) -> str:
    """The host and port of an address of Redis.

    Raises:
        InvalidInputError: for an address that cannot be one, and where redis-py is not installed.
    """
    try:
        from redis import Redis, RedisError
    except ImportError as error:
        raise InvalidInputError("Redis needs redis-py", hint="pip install 'chatgptt[redis]'") from error
    try:
        if not isinstance(url, str) or not url.startswith(("redis://", "rediss://")):
            raise ValueError
        with Redis.from_url(url) as client:
            connection = client.connection_pool.make_connection()
            if connection.encoder.decode(connection.encoder.encode("a")) != b"a":
                raise ValueError  # `decode_responses` and `encoding` change what is written and read
            return f"{connection.host}:{connection.port}"
    except (ValueError, TypeError, AttributeError, LookupError, RedisError):
        # Without the cause: its words may hold a part of the address, and so the password.
        raise InvalidInputError(
            "this is no address of Redis", hint="give it as redis://:password@host:6379/0"
        ) from None


def _read(site: str, values: list[bytes | str | None]) -> SiteRecord | None:
    """The record in the two keys; None where our ids are not known there."""
    visitor, record = (decode(value, site) if isinstance(value, bytes) else None for value in values)
    if visitor is None or record is None:
        return visitor
    return replace(record, visitor=visitor.visitor)
