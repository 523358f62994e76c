"""Decides which addresses the pages of a site may lead to. Sockets and browser of a client share one `Reach`.

A page decides where its visitor connects: by redirects, addresses in its markup, scripts, and names that
resolve to whatever their owner likes. The rule: a page may lead outward and not inward, no further in than
the address of its own site. The rule applies to the addresses that connections are made to. So a name is
looked up once, for the judgement and for the connection.

A replayed case stands in for sites of the net with a few ports of this machine. Its pages lead to those ports
alone; its server names them in a header of each reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from chatgptt._errors import PageError
from chatgptt.net.deadline import Deadline
from chatgptt.protocols.address_spaces import Space, space_of, space_of_name
from chatgptt.protocols.urls import origin, without_credentials

REPLAY_PORTS = "x-chatgptt-replay-ports"
"""The header by which a replayed case names the ports of loopback that belong to it."""

_REPLAY_ADDRESS = "127.0.0.1"
_REPLAY_HOSTS = (_REPLAY_ADDRESS, "localhost")

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, for a port; OSError where it has none."""


class OutOfReachError(Exception):
    """A page leads further in than where its site was found, or out of a replay."""

    def __init__(self, *, is_replay: bool = False) -> None:
        super().__init__()
        self.is_replay = is_replay

    def error(self, url: str) -> PageError:
        """The error for a page that leads to `url`."""
        what = (
            "no part of the replayed case"
            if self.is_replay
            else "further inside this network than the site itself"
        )
        return PageError(
            f"the site leads to {origin(url)}, which is {what}",
            hint="no page may lead there; if you want to ask that address, give it as the page",
            url=without_credentials(url),
        )


class Reach:
    """Where the pages of `home`, a host, may lead. The hosts that the caller `named` may be anywhere."""

    def __init__(self, home: str, named: Iterable[str] = ()) -> None:
        self._home = home
        self._named = frozenset(named) - {home}
        self._space: Space | None = None
        self._replay_ports: frozenset[int] | None = None

    def check_name(self, host: str, port: int) -> None:
        """By what a host says by itself: all there is where a proxy looks names up.

        Raises:
            OutOfReachError: where it lies further in than home.
        """
        self._check_replay(host, port)
        is_free = host == self._home or host in self._named
        if not is_free and space_of_name(host) < space_of_name(self._home):
            raise OutOfReachError

    async def find_addresses(self, host: str, port: int, look_up: Lookup) -> list[str]:
        """The addresses of a host that may be connected to.

        Raises:
            OutOfReachError: where there is none.
            OSError: where it has no address at all.
        """
        self._check_replay(host, port)
        addresses = await look_up(host, port)
        if host == self._home:
            allowed = [one for one in addresses if self._space is None or space_of(one) >= self._space]
        elif host in self._named:
            return addresses
        else:
            home = await self._find_space(look_up)
            allowed = addresses if min(map(space_of, addresses), default=home) >= home else []
        if self._replay_ports is not None:
            allowed = [one for one in allowed if one == _REPLAY_ADDRESS]
        if not allowed:
            raise OutOfReachError
        return allowed

    def check_connection(self, host: str, address: str) -> None:
        """Judges a connection that stands. Those to home say where the site was found.

        Raises:
            OutOfReachError: where it may not be used.
        """
        space = space_of(address)
        if host in self._named:
            return
        if self._space is not None and space < self._space:
            raise OutOfReachError
        if host == self._home:
            self._space = space

    def note_reply(self, host: str, headers: Mapping[str, str]) -> None:
        """Takes in the head of a reply: from home, on this machine, it may be that of a replay."""
        ports = headers.get(REPLAY_PORTS)
        if ports is not None and self.may_be_replay and host == self._home:
            # The server's own header comes first. The others are from the case, and so from its author.
            own = ports.partition(",")[0].split()
            self._replay_ports = frozenset(int(port) for port in own if port.isdecimal())

    @property
    def may_be_replay(self) -> bool:
        """Whether a reply from home has yet to say that this is a replayed case."""
        is_here = Space.LOOPBACK in (self._space, space_of_name(self._home))
        return is_here and self._replay_ports is None

    def _check_replay(self, host: str, port: int) -> None:
        ports = self._replay_ports
        if ports is not None and host not in self._named and not (host in _REPLAY_HOSTS and port in ports):
            raise OutOfReachError(is_replay=True)

    async def _find_space(self, look_up: Lookup) -> Space:
        if self._space is None:
            try:
                homes = await look_up(self._home, 0)
            except OSError:  # connecting fails in the same way, with an error
                homes = []
            self._space = max(map(space_of, homes), default=Space.PUBLIC)
        return self._space


class Destination(NamedTuple):
    """Where one request goes: to its own host and port, within `reach`, and perhaps through a proxy.

    No wait for its reply goes on beyond the deadline.
    """

    deadline: Deadline
    reach: Reach
    host: str
    port: int

    async def find_addresses(self, host: str, port: int, look_up: Lookup) -> list[str]:
        """See `Reach.find_addresses`; a proxy may be anywhere."""
        is_own = host == self.host
        return await (self.reach.find_addresses(host, port, look_up) if is_own else look_up(host, port))

    def check_connection(self, host: str, address: str) -> None:
        """See `Reach.check_connection`; a proxy may be anywhere."""
        if host == self.host:
            self.reach.check_connection(host, address)
