"""The sockets below httpx: each wait on one ends with the call, and each one is closed whatever happens.

httpcore opens connections through a backend that it can be given. This one

- looks names up in threads that nothing waits for: the system's resolver cannot be stopped, and the event
  loop's own threads would hold up its end, and the program's, for as long as a name server is silent;
- ends each read and write with the call that waits for it, at no cost: a timer is there anyway;
- closes what was opened for a request that failed or was cancelled on the way, during a TLS or proxy
  handshake say, where httpcore lets go of the socket or keeps a connection that will never stand;
- ends everything when the client is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from itertools import zip_longest
from typing import TypeVar

import anyio
import httpcore

from chatgptt._errors import InvalidInputError
from chatgptt.net.deadline import bounded
from chatgptt.net.loops import call_in_child
from chatgptt.net.reach import way_taken
from chatgptt.protocols.addresses import is_address

__all__ = ["Network", "first_that_connects", "look_up"]

_Value = TypeVar("_Value")

_HEAD_START = 0.25
"""Seconds that one address has before the next one is tried beside it (RFC 8305, section 5)."""

SocketOption = httpcore.SOCKET_OPTION

_opened: ContextVar[list[_Stream] | None] = ContextVar("opened", default=None)


class Network(httpcore.AsyncNetworkBackend):
    """The sockets of one client in one event loop."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._lookups: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        self._connecting: set[anyio.CancelScope] = set()
        self._live: set[_Stream] = set()
        self.is_closed = False
        _networks.add(self)

    async def attempt(self, send: Callable[[], Awaitable[_Value]]) -> _Value:
        """The outcome of sending one request; what was opened for one that comes to nothing is closed."""
        opened: list[_Stream] = []
        token = _opened.set(opened)
        try:
            return await send()
        except BaseException:
            with anyio.CancelScope(shield=True):
                for stream in opened:
                    await stream.aclose()
            raise
        finally:
            _opened.reset(token)

    async def close(self) -> None:
        """Ends what is open or about to be."""
        self.is_closed = True
        for scope in list(self._connecting):
            scope.cancel()
        interruption: BaseException | None = None
        for stream in list(self._live):
            try:
                await stream.aclose()
            except BaseException as error:  # noqa: BLE001 - it comes out when no other stream is left open for it
                interruption = error
        if interruption is not None:
            raise interruption

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore.AsyncNetworkBackend."""
        options = None if socket_options is None else list(socket_options)

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._inner.connect_tcp(address, port, None, local_address, options)

        way = way_taken.get()
        with anyio.CancelScope() as scope:
            self._connecting.add(scope)
            try:
                if not self.is_closed:
                    with anyio.fail_after(timeout):
                        find = (
                            self._addresses(host, port)
                            if way is None
                            else way.find(host, port, self._addresses)
                        )
                        inner = await first_that_connects(connect, await find, close=_close)
                        stream = _Stream(inner, self)
                    self._live.add(stream)
                    opened = _opened.get()
                    if opened is not None:
                        opened.append(stream)
                    peer = stream.get_extra_info("server_addr")  # none where it has been reset already
                    if way is not None and isinstance(peer, tuple):
                        way.check(host, str(peer[0]))
                    if not self.is_closed:  # else `close` was over before the stream was there
                        return stream
            except TimeoutError as error:
                raise httpcore.ConnectTimeout from error
            except OSError as error:
                raise httpcore.ConnectError(str(error)) from error
            finally:
                self._connecting.discard(scope)
        raise _closed_meanwhile()

    async def sleep(self, seconds: float) -> None:
        """See httpcore.AsyncNetworkBackend."""
        await self._inner.sleep(seconds)

    def detach(self) -> None:
        """Closes this process's ends of all sockets, and nothing else: they are those of the parent process.

        Otherwise a server would not see that the parent closed its own.
        """
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in self._live:
            raw = stream.get_extra_info("socket")
            number = raw.fileno() if hasattr(raw, "fileno") else -1
            if number >= 0:
                os.dup2(nothing, number, inheritable=False)  # its objects still believe that they have one
        os.close(nothing)

    def let_go(self, stream: _Stream) -> None:
        """A stream is closed."""
        self._live.discard(stream)

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host. All who ask for it at a time wait for one lookup."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return await look_up(host, port)
        if is_address(host):
            return [host]
        pending = self._lookups.get((host, port))
        if pending is None or pending.get_loop() is not loop:
            pending = self._lookups[host, port] = _begin_lookup(loop, host, port)
            pending.add_done_callback(lambda _: self._lookups.pop((host, port), None))
        await asyncio.wait((pending,))  # a cancelled caller leaves the lookup to the others
        return pending.result()


_networks: weakref.WeakSet[Network] = weakref.WeakSet()


def _detach_all() -> None:
    for network in _networks:
        network.detach()


call_in_child(_detach_all)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection; `below` is the one that a connection with TLS was made of."""

    def __init__(
        self, inner: httpcore.AsyncNetworkStream, network: Network, below: _Stream | None = None
    ) -> None:
        self._inner = inner
        self._network = network
        self._below = below
        self._may_hold_more = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = await self._inner.read(max_bytes, bounded(timeout))
        except httpcore.ReadError:
            self._check_open()
            raise
        self._may_hold_more = len(data) == max_bytes
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._inner.write(buffer, bounded(timeout))
        except httpcore.WriteError:
            self._check_open()
            raise

    async def aclose(self) -> None:
        self._network.let_go(self)
        try:
            await self._inner.aclose()
        finally:
            if self._below is not None:
                await self._below.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except anyio.ClosedResourceError as error:
            self._check_open()
            raise httpcore.ConnectError("the connection was closed") from error
        return _Stream(inner, self._network, below=self)

    def get_extra_info(self, info: str) -> object:
        if info == "is_readable" and (self._may_hold_more or self._holds_decrypted()):
            return True  # httpcore asks the system alone, and not what was taken from it before
        return self._inner.get_extra_info(info)

    def _holds_decrypted(self) -> bool:
        tls = self._inner.get_extra_info("ssl_object")
        if not isinstance(tls, ssl.SSLObject):
            return False
        try:
            tls.read(1)  # an idle connection with anything to read is not used again
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:  # the other side ended it
            pass
        return True

    def _check_open(self) -> None:
        """Whether it broke or was closed by ourselves, the socket tells in no clear words."""
        if self._network.is_closed:
            raise _closed_meanwhile()


def _closed_meanwhile() -> InvalidInputError:
    return InvalidInputError(
        "the client was closed while a call was under way", hint="close it after the last call"
    )


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, the families by turns.

    Raises:
        OSError: where it has none, or no server can be asked.
    """
    if is_address(host):
        return [host]
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # under another event loop
        return _addresses(await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return await _begin_lookup(loop, host, port)


def _begin_lookup(loop: asyncio.AbstractEventLoop, host: str, port: int) -> asyncio.Future[list[str]]:
    done: asyncio.Future[list[str]] = loop.create_future()
    done.add_done_callback(_take_note)

    def work() -> None:
        try:
            found = _addresses(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except UnicodeError:  # a part of it is longer than a name's may be
            settle(_fail, socket.gaierror(socket.EAI_NONAME, "this can be no name"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for the one who waits
            settle(_fail, error)
        else:
            settle(_succeed, found)

    def settle(how: Callable[[asyncio.Future[list[str]], _Value], None], outcome: _Value) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(how, done, outcome)

    try:
        threading.Thread(target=work, name="chatgptt-lookup", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no thread can be started to look a name up") from error
    return done


def _succeed(done: asyncio.Future[list[str]], found: list[str]) -> None:
    if not done.done():
        done.set_result(found)


def _fail(done: asyncio.Future[list[str]], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


def _take_note(done: asyncio.Future[list[str]]) -> None:
    """A lookup may fail after its last caller has left."""
    if not done.cancelled():
        done.exception()


def _addresses(found: Iterable[tuple[object, ...]]) -> list[str]:
    families: dict[object, list[str]] = {}
    for family, *_, address in found:
        assert isinstance(address, tuple)
        families.setdefault(family, []).append(str(address[0]))
    turns = zip_longest(*families.values())
    return list(dict.fromkeys(address for turn in turns for address in turn if address is not None))


async def first_that_connects(
    connect: Callable[[str], Awaitable[_Value]],
    addresses: list[str],
    *,
    close: Callable[[_Value], Awaitable[None]],
) -> _Value:
    """A connection to whichever address answers first, each tried a moment after the one before it.

    Raises:
        OSError: where none answers.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    found: list[_Value] = []
    errors: list[Exception] = []

    async def attempt(address: str, ended: anyio.Event) -> None:
        try:
            found.append(await connect(address))
            tasks.cancel_scope.cancel()
        except (httpcore.ConnectError, httpcore.ConnectTimeout, OSError) as error:
            errors.append(error)
        finally:
            ended.set()

    async def close_all(some: list[_Value]) -> None:
        with anyio.CancelScope(shield=True):
            for one in some:
                await close(one)

    try:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                ended = anyio.Event()
                tasks.start_soon(attempt, address, ended)
                with anyio.move_on_after(_HEAD_START):
                    await ended.wait()
    except BaseException:
        await close_all(found)
        raise
    await close_all(found[1:])
    if not found:
        raise ConnectionError("no address answers") from ExceptionGroup("each address", errors)
    return found[0]


async def _close(stream: httpcore.AsyncNetworkStream) -> None:
    await stream.aclose()
