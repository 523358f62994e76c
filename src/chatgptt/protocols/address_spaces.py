"""The space of an address: this machine, a private network, or the public Internet.

A page decides where its visitor connects: by redirects, by addresses in its markup, and by names that its
owner lets resolve to any address. A page of the public Internet may not lead to a private
network, and neither of the two to this machine. This module judges addresses; the caller looks up names.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from enum import IntEnum


class Space(IntEnum):
    """How far out an address lies."""

    LOOPBACK = 0
    PRIVATE = 1
    PUBLIC = 2


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name; an IPv6 one without its brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@functools.lru_cache(maxsize=64)  # few processes ask more sites at a time; any other address costs 2 to 8 us
def space_of(address: str) -> Space:
    """The space of an IP address; of an address in a form that is unknown, the innermost."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Space.LOOPBACK
    if ip.is_loopback:
        return Space.LOOPBACK
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if inner is None and isinstance(ip, ipaddress.IPv6Address) and any(ip in net for net in _WITH_IPV4):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    ip = inner or ip
    if ip.is_loopback or ip.is_unspecified:
        return Space.LOOPBACK
    return Space.PUBLIC if ip.is_global and not ip.is_multicast else Space.PRIVATE


_WITH_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""NAT64, and the old form of IPv4 in IPv6; both end in the IPv4 address."""


def space_of_name(host: str) -> Space:
    """The space of a host by its name alone, for use behind a proxy, which looks names up itself.

    Every spelling of an address that a resolver takes (`127.1`, `0x7f000001`, `017700000001`) is an address.
    """
    name = host.strip("[]").rstrip(".").lower()
    if ":" in name:
        return space_of(name)
    if re.fullmatch(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}", name):
        return space_of(_as_dotted(name))
    is_inner = name in ("", "localhost") or name.endswith((".localhost", ".local", ".internal", ".lan"))
    return Space.LOOPBACK if is_inner else Space.PUBLIC


def _as_dotted(name: str) -> str:
    """An IPv4 address as `inet_aton` reads it; "" for numbers that make no address."""
    try:
        *high, low = [_number(part) for part in name.split(".")]
        value = int.from_bytes(bytes(high)) << (32 - 8 * len(high)) | low
    except ValueError:
        return ""
    return str(ipaddress.IPv4Address(value)) if low >> (32 - 8 * len(high)) == 0 else ""


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)
