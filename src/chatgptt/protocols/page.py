"""A page, parsed once: its elements, its scripts however an optimiser wrapped them, its site.

It trusts the parser alone. No pattern looks for a box in the page's text: markup quoted in a comment, a
`<textarea>`, a `<template>` or a script is no element, and what sits in `<noscript>` is not what a
visitor gets. Scripts are read as text and never run.

What lies beyond the bounds of `page_bounds`, or is nested deeper than `_MAX_DEPTH`, is not read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES, bounded_bytes, without_formatting
from chatgptt.protocols.text import read_object
from chatgptt.protocols.urls import (
    AJAX_PATH,
    has_host,
    is_same_host,
    is_same_site,
    origin,
    without_credentials,
)

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_MAX_DEPTH = 5_000
"""Browsers stop nesting at 512."""

MAX_ELEMENTS = 200
"""A page shows a handful of boxes; a page with thousands is hostile."""

MAX_NAME_CHARACTERS = 200
"""Of a bot's name, which people give it."""

_MAX_GUESSES = 3
"""How many places are tried for an endpoint that the page does not name."""

_MAX_ASSIGNMENTS = 20
"""How many assignments to one name are read in a script; the plugin's own has one."""

_MAX_DATA_URI_CHARACTERS = 300_000
"""What WordPress prints into a page as a script is some kilobytes; decoding takes eighty times the memory."""

_NONCE = re.compile(r"[0-9a-f]{10}")
_PLACEHOLDERS = frozenset({"0123456789", "1234567890", "abcdef0123", "0a1b2c3d4e"})

_INERT = frozenset({"noscript", "template", "noembed", "iframe"})
_MEMBER = re.compile(r"""(?<!\w)["']?([A-Za-z_]\w{0,60}+)["']?\s*+:\s*+(?:"([^"]*)"|'([^']*)')""")
_ASSIGNED = re.compile(r"\s{0,1000}+=\s{0,1000}+(?=\{)")
_PART_OF_NAME = re.compile(r"\w")
_DATA_URI = re.compile(r"data:(?:text|application)/(?:x-)?(?:java|ecma)script[^,]{0,60},", re.I)


def has_class(attributes: Mapping[str, str | None], name: str) -> bool:
    """Whether an element with these attributes is of a class."""
    return name in (attributes.get("class") or "").split()


def maybe_nonce(text: object) -> str | None:
    """`text` if it can be a nonce: 10 lower-case hex digits and no placeholder (docs/protocols.md C2)."""
    if not isinstance(text, str) or not _NONCE.fullmatch(text):
        return None
    return None if len(set(text)) == 1 or text in _PLACEHOLDERS else text


class Page:
    """One HTML page.

    Args:
        html: its bytes; anything is accepted, invalid UTF-8 included.
        url: where it was served, after redirects; relative addresses resolve against it.
        is_cut: whether `html` is only the page's beginning.
    """

    def __init__(self, html: bytes, url: str, *, is_cut: bool = False) -> None:
        # Here, since a question whose tokens are kept parses no page.
        from selectolax.lexbor import LexborHTMLParser

        end = bounded_bytes(html)
        self.url = url
        self.size_bytes = min(len(html), MAX_PAGE_BYTES)
        self.is_cut = is_cut or end < len(html)
        self._beginning = html[: 64 * 1024]
        self._tree = LexborHTMLParser(without_formatting(html[:end]))

    def select(self, selector: str) -> list[LexborNode]:
        """The live elements that match a CSS selector, in document order, `MAX_ELEMENTS` at most."""
        return [node for node in self._tree.css(selector)[:MAX_ELEMENTS] if not _is_inert(node)]

    @property
    def beginning(self) -> str:
        """Its first 64 kB as text: enough to tell what it is if it is no chat page."""
        return self._beginning.decode("utf-8", "replace")

    @cached_property
    def title(self) -> str:
        """The text of `<title>`, white space folded, at most 200 characters."""
        node = self._tree.css_first("title")
        return "" if node is None else " ".join(node.text().split(maxsplit=200)[:200])[:200]

    @cached_property
    def scripts(self) -> tuple[str, ...]:
        """The text of every script, in order: inline of any `type`, or in a `data:` URI of any attribute.

        Optimisers keep a script from running by a made-up `type`, move its `src` to another
        attribute, or turn its text into a `data:` URI (docs/protocols.md C3).
        """
        texts: list[str] = []
        for node in self._tree.tags("script"):
            for value in node.attributes.values():
                if value and _DATA_URI.match(value):
                    texts.append(_decode_data_uri(value))
            text = node.text()
            if text and not text.isspace():
                texts.append(text)
        return tuple(texts)

    @cached_property
    def combined_scripts(self) -> tuple[str, ...]:
        """Addresses of this site's scripts that an optimiser may have put inline scripts into.

        Caches live outside of WordPress's and the plugins' own folders; those hold no per-site data.
        """
        found: dict[str, None] = {}
        for node in self._tree.tags("script"):
            for value in node.attributes.values():
                if not value or ".js" not in value or "\n" in value:
                    continue
                url = self.absolute(value)
                is_static = re.search(r"/wp-(?:includes|admin)/|/wp-content/(?:plugins|themes)/", url)
                if not is_static and is_same_site(url, self.url):
                    found[url] = None
        return tuple(found)

    def refresh(self, header: str = "") -> tuple[float, str] | None:
        """After how many seconds the page leads on by itself, and where to; None where it does not.

        The reply's header `Refresh` says the same as the element of that name.
        """
        nodes = self.select('meta[http-equiv="refresh" i]')
        for content in (header, *(node.attributes.get("content") or "" for node in nodes)):
            found = _REFRESH.fullmatch(content[:_MAX_ADDRESS_CHARACTERS])
            if found is None:
                continue
            target = found[3].partition(found[2])[0] if found[2] else found[4] or ""
            url = self.absolute(target).partition("#")[0]
            return (float(found[1]), without_credentials(url)) if has_host(url) else None
        return None

    def absolute(self, url: str) -> str:
        """`url` resolved against the page's address; "" where that gives no address."""
        url = url.strip()
        try:
            return urlsplit(url).geturl() if has_host(url) else urljoin(self.url, url)
        except ValueError:
            return ""

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Where WordPress may be installed, with a final slash, likeliest first; the origin at last.

        Each is a path of the page's own host: assets may lie on a CDN's host (docs/protocols.md C6).
        """
        paths = [*self._asset_roots(_CORE), *self._asset_roots(_PLUGIN)]
        for selector, attribute, mark in _LINKED_ROOTS:
            for node in self._tree.css(selector):
                paths += self._maybe_root(node.attributes.get(attribute) or "", mark)
        for node in self._tree.css(f'div[data-url]:not([data-url*="{_ENDPOINT}"])'):
            paths += self._folders_of(node.attributes.get("data-url") or "")
        paths += self._folders_of(self.url)
        site = origin(self.url)
        return tuple(dict.fromkeys(f"{site}{path}/" for path in (*paths, "")))

    @cached_property
    def home(self) -> str:
        """The site's front page: WordPress may be installed elsewhere (docs/protocols.md C6)."""
        for node in self._tree.css('link[rel="https://api.w.org/"]'):
            for path in self._maybe_root(node.attributes.get("href") or "", _REST):
                return f"{origin(self.url)}{path}/"
        return self.roots[0]

    @cached_property
    def guessed_ajax_urls(self) -> tuple[str, ...]:
        """Where the message endpoint may be if the page does not name it for the chat, likeliest first.

        Scripts of other plugins name the same one.
        """
        guesses = [*self._mentioned_ajax_urls(), *(f"{root}{AJAX_PATH}" for root in self.roots)]
        return tuple(dict.fromkeys(guesses))[:_MAX_GUESSES]

    def ajax_url(self, named: object) -> str:
        """Where to post: the address that the page's scripts name, else the likeliest guess.

        It is "" where they name one on another site: the box belongs there, and nothing of it is posted here.
        The scheme follows the page's, as a browser would not post from https to http.
        """
        url = self._named_endpoint(named)
        return self.guessed_ajax_urls[0] if url is None else url

    def ajax_guesses(self, named: object) -> tuple[str, ...]:
        """All guesses at the endpoint where `ajax_url` is one of them; empty where the page names it."""
        return () if self._named_endpoint(named) else self.guessed_ajax_urls

    def is_foreign(self, named: object) -> bool:
        """Whether what the page names is an address on another site; nothing is ever posted there."""
        return self._named_endpoint(named) == ""

    def _named_endpoint(self, named: object) -> str | None:
        """The address that the page names: "" for one on another site, None where it names none."""
        if not isinstance(named, str) or not named:
            return None
        url = self.absolute(named)
        if is_same_site(url, self.url):
            return self._as_served(url)
        return "" if has_host(url) else None

    def _own_address(self, value: str) -> str:
        """`value` resolved where that is an address on the page's own host, else ""."""
        url = self.absolute(value) if 0 < len(value) <= _MAX_ADDRESS_CHARACTERS else ""
        return url if is_same_host(url, self.url) else ""

    def _asset_roots(self, mark: re.Pattern[str]) -> Iterator[str]:
        """Paths before `mark` in addresses of scripts and styles, whatever attribute they were moved to."""
        for node in self._tree.css("script, link"):
            for value in node.attributes.values():
                if value and "/wp-" in value[:_MAX_ADDRESS_CHARACTERS]:
                    yield from self._maybe_root(value, mark)

    def _maybe_root(self, value: str, mark: re.Pattern[str]) -> Iterator[str]:
        parts = urlsplit(self._own_address(value))
        found = mark.search(f"{parts.path}?{parts.query}")
        # A cache's copies lie below its own folder and hold the whole path once more.
        if found and not _COPIES.search(found[1]):
            yield found[1].rstrip("/")

    def _folders_of(self, value: str) -> Iterator[str]:
        """The folders on the way to a page, the outermost first: no sign, but they can be tried."""
        url = self._own_address(value)
        if url:
            names = [name for name in urlsplit(url).path.split("/") if name][:_MAX_GUESSES]
            yield from ("".join(f"/{name}" for name in names[:count]) for count in range(len(names) + 1))

    def _mentioned_ajax_urls(self) -> Iterator[str]:
        """Endpoints on the page's own host that the theme or other plugins name."""
        nodes = self._tree.css(f'[data-url*="{_ENDPOINT}"]')
        named = chain(
            (node.attributes.get("data-url") or "" for node in nodes),
            islice(chain.from_iterable(map(_named_endpoints, self.scripts)), _MAX_ASSIGNMENTS),
        )
        yield from (self._as_served(url) for url in map(self._own_address, named) if url)

    def find_script_object(self, name: str) -> dict[str, str]:
        """The string members of the object literal that a script assigns to `name`; empty where none does.

        A minifier may have taken the quotes off the keys, so that it is no JSON any more.
        """
        objects = (read_assigned_object(script, name) for script in self.scripts if name in script)
        return next(filter(None, objects), {})

    @cached_property
    def plugin_version(self) -> str:
        """The chat plugin's version where an asset's address tells it, else "" (docs/protocols.md W8, A8)."""
        for node in chain(self._tree.tags("link"), self._tree.tags("script")):
            if node.id in _VERSIONED:
                attributes = node.attributes
                found = _VERSION.search(attributes.get("src") or attributes.get("href") or "")
                if found:
                    return found[1]
        return ""

    def _as_served(self, url: str) -> str:
        url = without_credentials(url)
        return (
            f"https:{url.removeprefix('http:')}"
            if self.url.startswith("https:") and url.startswith("http:")
            else url
        )


_MAX_ADDRESS_CHARACTERS = 2_000
"""As long as servers take an address to be."""

_REFRESH = re.compile(
    r"\s*+(\d{1,6})(?:\.[\d.]*+)?(?:\s*+[;,]|(?=\s)|$)\s*+(?:url\s*+=\s*+)?(?:([\"'])(.*)|([^\"'].*))?",
    re.I | re.S,
)
"""As browsers read it: a delay, and an address with or without `url=` and quotes."""

_ENDPOINT = "admin-ajax.php"

_NAMED_ENDPOINT = re.compile(
    r"ajax_?url[\\\"']{0,3}\s{0,9}[:=]\s{0,9}\\?[\"']([^\"'<>\s]{0,400}?admin-ajax\.php[^\"'<>\s\\]{0,200})",
    re.I,
)
"""An `ajaxurl` of a theme or a plugin, in a script or in JSON."""

_CORE = re.compile(r"^([^?]*?)/wp-includes/")
_PLUGIN = re.compile(r"^([^?]*?)/wp-content/plugins/gpt3-ai-content-generator(?:-premium)?/")
_REST = re.compile(r"^([^?]*?)(?:/index\.php)?/(?:wp-json(?:/|\?)|(?:index\.php)?\?rest_route=)")

_LINKED_ROOTS = (
    ('link[rel="EditURI"]', "href", re.compile(r"^([^?]*?)/xmlrpc\.php")),
    ('link[rel="https://api.w.org/"]', "href", _REST),
)
"""The first tells site_url and may be taken out; the second tells home_url, which mostly is the same."""

_COPIES = re.compile(r"/(?:wp-content|cache|uploads)(?:/|$)")

_VERSION = re.compile(r"[?&]ver=(\d{1,9}(?:\.\d{1,9}){1,5})")
_VERSIONED = ("wp-ai-content-generator-js", "wp-ai-content-generator-css", "aipkit-public-main-js")
"""Ids of the plugin's own assets, whose addresses have its version."""


def _is_inert(node: LexborNode) -> bool:
    """Whether a visitor gets none of it: it is in an inert element, or nested deeper than any box."""
    parent = node.parent
    for _ in range(_MAX_DEPTH):
        if parent is None:
            return False
        if parent.tag in _INERT:
            return True
        parent = parent.parent
    return True


def _decode_data_uri(uri: str) -> str:
    head, _, payload = uri.partition(",")
    if len(payload) > _MAX_DATA_URI_CHARACTERS:
        return ""
    data = unquote_to_bytes(payload.strip())
    if head.lower().rstrip().endswith(";base64"):
        try:
            data = base64.b64decode(data + b"==")  # too much padding is no error, too little is
        except ValueError:
            return ""
    return data.decode("utf-8", "replace")


def read_assigned_object(script: str, name: str) -> dict[str, str]:
    """The string members of the object literal that `script` assigns to `name`; empty where it does not."""
    members: dict[str, str] = {}
    assignments = 0
    start = script.find(name)  # some twenty times as fast as a pattern, and no other thread runs meanwhile
    while start >= 0 and not members and assignments < _MAX_ASSIGNMENTS:
        end = start + len(name)
        found = None if _PART_OF_NAME.fullmatch(script[start - 1 : start]) else _ASSIGNED.match(script, end)
        if found is not None:
            assignments += 1
            members = _read_members(script[found.end() : found.end() + 100_000])
        start = script.find(name, end)
    return members


def _named_endpoints(script: str) -> Iterator[str]:
    """The addresses of endpoints that a script names, slashes unescaped; "" for a name without an address."""
    start = script.find(_ENDPOINT)
    while start >= 0:
        found = _NAMED_ENDPOINT.search(script[max(0, start - 500) : start + 250])
        yield found[1].replace("\\", "") if found else ""
        start = script.find(_ENDPOINT, start + 250)


def _read_members(literal: str) -> dict[str, str]:
    found = read_object(literal)
    if found is not None:
        return {key: value for key, value in found.items() if isinstance(value, str)}
    members: dict[str, str] = {}
    for key, double, single in _MEMBER.findall(literal[:20_000]):
        members.setdefault(key, (double or single).replace("\\/", "/"))
    return members
