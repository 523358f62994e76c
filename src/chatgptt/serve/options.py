"""How the endpoint is run: where it listens, who may use it, and how many questions it sends at once."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from chatgptt._errors import InvalidInputError

_ORIGIN = re.compile(
    r"(?!http://.*:80$|https://.*:443$)[a-z][a-z\d+.-]*://(\[[\da-f:.]+\]|[a-z\d._-]+)(:[1-9]\d*)?", re.ASCII
)
"""As a browser writes it in `Origin`: in lower case, without the scheme's usual port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How a server is to run.

    Attributes:
        host: the address to listen on.
        port: 0 takes a free one.
        api_key: what clients have to send as `Authorization: Bearer`; "" asks for none.
        origins: of web pages whose scripts may use the endpoint.
        hosts: names of this machine that clients may use, beside `localhost` and the address itself.
        concurrency: how many questions a site gets at once.
        queue: how many more may wait for each site.
        comment_every: seconds between comments in a stream without text: proxies end a silent connection.
        check_every: seconds for which a report about the health of the pages is kept.
    """

    host: str = "127.0.0.1"
    port: int = 8780
    api_key: str = field(default="", repr=False)
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    concurrency: int = 4
    queue: int = 32
    comment_every: float = 15.0
    check_every: float = 10.0

    def check(self) -> None:
        """Refuses what cannot work, and an endpoint for other machines that anyone could use.

        Raises:
            InvalidInputError: with what to change.
        """
        if not self.host:
            raise InvalidInputError(
                "the address to listen on is empty", hint="0.0.0.0 or :: listens on all addresses"
            )
        if not self.api_key and not is_loopback(self.host):
            raise InvalidInputError(
                f"without an API key, every machine that reaches {self.host} would spend the visitor's quota",
                hint="set CHATGPTT_API_KEY, or listen on 127.0.0.1",
            )
        if not self.api_key.isascii() or not self.api_key.isprintable() or " " in self.api_key:
            raise InvalidInputError("the API key cannot be sent in a header", hint="use ASCII without blanks")
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise InvalidInputError(
                    f"{origin!r} is not the origin of a page",
                    hint="give scheme and host in lower case, and a port that is not the usual one: "
                    "https://app.example",
                )
        for host in self.hosts:
            if not host or _host_in_header(host) != host.lower():
                raise InvalidInputError(
                    f"{host!r} is not a name of a machine",
                    hint="give the name alone, without scheme and port: chat.example",
                )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    address = find_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def host_of(header: str) -> str:
    """The name or address of a Host header, in lower case, without port or brackets; "" for other text."""
    found = re.fullmatch(r"(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d*)?", header.lower(), re.ASCII)
    return "" if found is None else found[1] or found[2]


def _host_in_header(host: str) -> str:
    """What `host_of` reads where a client writes this host into its header."""
    address = find_address(host)
    return host_of(f"[{host}]" if address is not None and address.version == 6 else host)


def find_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
