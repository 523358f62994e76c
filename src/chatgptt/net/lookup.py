"""Looks up the addresses of hosts, in threads of its own.

The system's resolver cannot be stopped. In the event loop's own threads it would delay the end of the loop,
and of the program, for as long as a name server is silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Iterable
from itertools import zip_longest

from chatgptt.protocols.address_spaces import is_address


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, IPv4 and IPv6 by turns.

    Raises:
        OSError: where it has none, or no name server can be asked.
    """
    return [host] if is_address(host) else await _begin_lookup(host, port)


class Lookups:
    """The lookups of one event loop. Requests that need the same host at the same time share one."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def look_up(self, host: str, port: int) -> list[str]:
        """See the function of this name."""
        if is_address(host):
            return [host]
        pending = self._pending.get((host, port))
        if pending is None:
            pending = self._pending[host, port] = _begin_lookup(host, port)
            pending.add_done_callback(lambda _: self._pending.pop((host, port), None))
        await asyncio.wait((pending,))  # a cancelled request leaves the lookup to the others
        return pending.result()


def _begin_lookup(host: str, port: int) -> asyncio.Future[list[str]]:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[str]] = loop.create_future()

    def work() -> None:
        outcome: list[str] | Exception
        try:
            outcome = _addresses(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except UnicodeError:  # a part of it is longer than a name's may be
            outcome = socket.gaierror(socket.EAI_NONAME, "this can be no name")
        except Exception as error:  # noqa: BLE001 - raised where the lookup is awaited
            outcome = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_settle, done, outcome)

    try:
        threading.Thread(target=work, name="chatgptt-lookup", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no thread can be started to look a name up") from error
    return done


def _settle(done: asyncio.Future[list[str]], outcome: list[str] | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, list):
        done.set_result(outcome)
    else:
        done.set_exception(outcome)
        done.exception()  # else asyncio reports a failure that no request waits for any more


def _addresses(found: Iterable[tuple[object, ...]]) -> list[str]:
    families: dict[object, list[str]] = {}
    for family, *_, address in found:
        assert isinstance(address, tuple)
        families.setdefault(family, []).append(str(address[0]))
    turns = zip_longest(*families.values())
    return list(dict.fromkeys(address for turn in turns for address in turn if address is not None))
