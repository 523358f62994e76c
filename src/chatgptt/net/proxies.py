"""Which proxy a request takes, and who named it.

The caller may not know of a proxy from the environment, so its errors name the variable. A proxy's login goes
to the proxy alone and is never shown.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from chatgptt._errors import InvalidInputError
from chatgptt.protocols.urls import without_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy, with any login in its URL.

    `source` says where the environment has it from; "" is the caller's.
    """

    url: str = field(repr=False)
    source: str = ""

    def __str__(self) -> str:
        """Its name in messages."""
        shown = f"the proxy {without_credentials(self.url)}"
        return f"{shown} of {self.source}" if self.source else shown

    @property
    def hint(self) -> str:
        """What to do where it fails."""
        if not self.source:
            return "check the proxy's address and login"
        return f"check the address and login in {self.source}, or give another proxy with proxy="

    def check(self) -> None:
        """Refuses a proxy that no request can be sent through.

        Raises:
            InvalidInputError: without the words of httpx, which may quote a password.
        """
        url = self._maybe_read()
        if url is None:
            form = "http://host:port or socks5://host:port"
            where = f" in {self.source}, or give another with proxy=" if self.source else ""
            raise InvalidInputError(f"cannot use {self}", hint=f"give it as {form}{where}")
        if url.scheme.startswith("socks"):
            try:
                import socksio  # noqa: F401 - the extra `socks` brings it
            except ImportError as error:
                raise InvalidInputError(
                    f"{self} needs one more package", hint="pip install 'chatgptt[socks]'"
                ) from error

    def _maybe_read(self) -> httpx.URL | None:
        try:
            url = httpx.Proxy(self.url).url
        except (ValueError, TypeError, httpx.InvalidURL):
            return None
        return url if url.host and (url.port is None or 0 < url.port < 65536) else None


class Proxies:
    """The proxy that the caller named, else those of the environment, read once."""

    def __init__(self, named: str | None) -> None:
        self._named = None if named is None else Proxy(url=named)
        settings = {} if named is not None else getproxies()
        self._by_scheme = {
            # A scheme with one slash is left to be refused: httpx would take it for a host.
            scheme: Proxy(url=url if ":/" in url else f"http://{url}", source=_source_of(f"{scheme}_proxy"))
            for scheme in ("http", "https", "all")
            if (url := settings.get(scheme))
        }

    def find(self, url: str) -> Proxy | None:
        """What a request to `url` is sent through; None for nothing."""
        if self._named is not None or not self._by_scheme:
            return self._named
        parts = urlsplit(url)
        proxy = self._by_scheme.get(parts.scheme) or self._by_scheme.get("all")
        return None if proxy is None or _is_excepted(parts) else proxy

    def check(self) -> None:
        """See `Proxy.check`, for each of them."""
        for proxy in (self._named, *self._by_scheme.values()):
            if proxy is not None:
                proxy.check()


def _is_excepted(parts: SplitResult) -> bool:
    """Whether the environment or the system says that a host is reached without a proxy."""
    host = parts.hostname or ""
    return bool(proxy_bypass(host)) or (parts.port is not None and bool(proxy_bypass(f"{host}:{parts.port}")))


def _source_of(variable: str) -> str:
    """The variable as it is spelled; the lower-case one comes first, as for Python."""
    spellings = [name for name in sorted(os.environ, reverse=True) if name.lower() == variable]
    set_ones = [name for name in spellings if os.environ[name]]
    return f"the environment variable {set_ones[0]}" if set_ones else "the system's settings"
