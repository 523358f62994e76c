"""How the endpoint is run: where it listens, who may use it, and how many questions it sends at once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chatgptt._errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What a server is told at its start.

    Attributes:
        host: the address to listen on.
        port: 0 takes a free one.
        api_key: what clients have to send as `Authorization: Bearer`; "" asks for none.
        origins: of web pages whose scripts may use the endpoint.
        hosts: names of this machine that clients may use, beside `localhost` and the address itself.
        concurrency: how many questions a site gets at once.
        queue: how many more may wait for each site.
        comment_every: seconds between comments in a stream without text: proxies end a silent connection.
    """

    host: str = "127.0.0.1"
    port: int = 8780
    api_key: str = field(default="", repr=False)
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    concurrency: int = 4
    queue: int = 32
    comment_every: float = 15.0

    def check(self) -> None:
        """Refuses what cannot work, and an endpoint for other machines that anyone could use.

        Raises:
            InvalidInputError: with what to change.
        """
        if not self.api_key and not is_loopback(self.host):
            raise InvalidInputError(
                f"without an API key, every machine that reaches {self.host} would spend the visitor's quota",
                hint="set CHATGPTT_API_KEY, or listen on 127.0.0.1",
            )
        if not self.api_key.isascii() or not self.api_key.isprintable() or " " in self.api_key:
            raise InvalidInputError("the API key cannot be sent in a header", hint="use ASCII without blanks")
        for origin in self.origins:
            parts = urlsplit(origin)
            if not parts.scheme or not parts.netloc or parts.path or parts.query:
                raise InvalidInputError(
                    f"{origin!r} is not the origin of a page",
                    hint="give scheme and host: https://app.example",
                )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    address = find_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def find_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
