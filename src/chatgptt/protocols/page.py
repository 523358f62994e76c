"""A page, parsed once: its elements, its scripts however an optimiser wrapped them, its site.

It trusts the parser alone. No pattern runs over the page's text: markup quoted in a comment, a
`<textarea>`, a `<template>` or a script is no element, and what sits in `<noscript>` is not what a
visitor gets. Scripts are read as text and never run.

Bounds keep a hostile page from costing more than it is worth: what lies beyond `MAX_PAGE_BYTES`, nests
deeper than `MAX_DEPTH`, or would cost the parser more than `_MAX_EFFORT` or `_MAX_TREE_BYTES`, is cut off and
the page says so (`is_cut`). What it would cost is estimated before it is parsed, since the parser cannot be
stopped; the estimate errs on the side of more.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain, islice
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from chatgptt.protocols.text import read_object
from chatgptt.protocols.urls import (
    AJAX_PATH,
    has_host,
    is_same_host,
    is_same_site,
    origin,
    without_credentials,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_NAME_CHARACTERS",
    "MAX_PAGE_BYTES",
    "Page",
    "has_class",
    "maybe_nonce",
    "read_assigned_object",
]

MAX_PAGE_BYTES = 8 * 2**20
"""A page that shows a chat box is some 20 kB to 500 kB; reading stops here."""

MAX_DEPTH = 5_000
"""Browsers stop nesting at 512. The parser's time grows with the square of the depth from here on."""

MAX_ELEMENTS = 200
"""A page shows a handful of boxes; a page with thousands is hostile."""

MAX_NAME_CHARACTERS = 200
"""Of a bot's name, which people give it."""

_MAX_GUESSES = 3
"""How many places are tried for an endpoint that the page does not name."""

_MAX_ASSIGNMENTS = 20
"""How many assignments to one name are read in a page; its own scripts have one."""

_MAX_SCRIPTS = 2_000
"""How many scripts of a page are looked at; crowded ones have a hundred."""

_MAX_DATA_URI_CHARACTERS = 300_000
"""What WordPress prints into a page as a script is some kilobytes."""

_MAX_TITLE_CHARACTERS = 2_000

_MAX_CLASSES_CHARACTERS = 100_000
"""Of one element; a crowded one has some hundred."""

_MAX_SHAPES = 20_000
"""How many shapes of drawings are taken to close themselves; if all of them nest, parsing takes a second."""

_MAX_EFFORT = 200_000_000
"""Steps of the parser up the tree, some 4 ns each; a page of 500 kB without tricks needs some 10 million."""

_TAG_EFFORT = 600
"""What a tag costs in such steps at worst, a link in an open link, to the parser and to the estimate."""

_REOPENING_EFFORT = 200
"""What an element that is opened again costs in such steps: some 100 ns."""

_MAX_TREE_BYTES = 48 * 2**20
"""What the parser's tree may take beside the page's text; 8 MB of ordinary markup take some 30 MB."""

# What each thing takes of that, measured with selectolax 1.0.
_ELEMENT_BYTES = 180
_TEXT_BYTES = 130
_COMMENT_BYTES = 150
_ATTRIBUTE_BYTES = 200
_REOPENING_BYTES = 450

_MAX_ERRORS = 1_500_000
"""The parser notes every error in 18 bytes: of a page of nothing but `<`, each."""

_MAY_BE_WRONG = b"\0<&\"'=`/"
"""The tokenizer's errors are at these; in ordinary markup one byte in ten is one of them."""

_BLOCK_BYTES = 2**18

_MAX_ATTRIBUTES = 200
"""A chat box has about 70 (docs/protocols.md W1). The parser compares each with all others of its element."""

_MAX_OPTIONS = 10_000
_MAX_ROOTS = 20
"""`<html>` and `<body>` tags: each one's attributes are compared with those of all others."""

_SMALL_BYTES = 80_000
_SMALL_OPENINGS = 6_000
"""Below this size and this many openings only elements that the parser opens again can make a page costly."""

_NONCE = re.compile(r"[0-9a-f]{10}")
_PLACEHOLDERS = frozenset({"0123456789", "1234567890", "abcdef0123", "0a1b2c3d4e"})

_TAG = re.compile(
    rb"<!--|<[!?][^>]*|</[^a-zA-Z>][^>]*|"
    rb"<(/?)([a-zA-Z][^\s/>]*)"
    rb"((?:[\s/]+|[^\s/>][^\s/>=]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"'][^\s>]*)?)?){0,1000}+)"
)
"""The beginning of a comment, or a tag with its attributes, as HTML's tokenizer reads them; nothing in it can
fail late. It stops behind `_MAX_ATTRIBUTES`, since no other thread runs while a pattern is matched."""

_ATTRIBUTE = re.compile(rb"[^\s/>][^\s/>=]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"'][^\s>]*)?)?")
_LEFT_OPEN = re.compile(
    rb"<(a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])"
    rb"(?!(?:[^<>\"']|\"[^<>\"]*\"|'[^<>']*')*+>[^<]*+</\1>)",
    re.I,
)
"""A formatting element that does not plainly end after a piece of text."""

_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
"""Elements that are opened again after a block that was closed around them."""

_WALLS = frozenset(
    b"applet annotation-xml button caption desc foreignobject math marquee object select svg table td "
    b"template th".split()
)
"""What an end tag inside of it may not close what was opened outside of it."""

_CELLS = frozenset({b"td", b"th"})
_STRANGE = frozenset(b"math select svg template".split())
"""In these, what looks like a script may be none, and what looks closed may be open."""

_RAW = {
    name: re.compile(rb"</" + name + rb"(?=[\s/>])", re.I)
    for name in b"iframe noembed noframes script style textarea title xmp".split()
}
_NEVER_NESTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "  # void
    b"p li dd dt tr tbody thead tfoot option html head body".split()  # closed by what follows
)
_SHAPES = frozenset(b"circle ellipse image line path polygon polyline rect stop use".split())
"""SVG elements that pages full of icons write as `<path .../>`, in thousands."""

_INERT = frozenset({"noscript", "template", "noembed", "iframe"})
_MEMBER = re.compile(r"""(?<!\w)["']?([A-Za-z_]\w{0,60}+)["']?\s*+:\s*+(?:"([^"]*)"|'([^']*)')""")
_ASSIGNED = re.compile(r"\s{0,1000}+=\s{0,1000}+(?=\{)")
_PART_OF_NAME = re.compile(r"\w")
_DATA_URI = re.compile(r"data:(?:text|application)/(?:x-)?(?:java|ecma)script[^,]{0,60},", re.I)


def has_class(attributes: Mapping[str, str | None], name: str) -> bool:
    """Whether an element with these attributes is of a class; it may be of millions."""
    classes = (attributes.get("class") or "")[:_MAX_CLASSES_CHARACTERS]
    return re.search(rf"(?<!\S){re.escape(name)}(?!\S)", classes) is not None


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
        if len(html) > MAX_PAGE_BYTES:
            html, is_cut = html[:MAX_PAGE_BYTES], True
        end = _affordable_bytes(html)
        self.url = url
        self.size_bytes = len(html)
        self.is_cut = is_cut or end < len(html)
        self._beginning = html[: 64 * 1024]
        self._tree = LexborHTMLParser(html[:end] if end < len(html) else html)

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
        return "" if node is None else " ".join(node.text()[:_MAX_TITLE_CHARACTERS].split())[:200]

    @cached_property
    def scripts(self) -> tuple[str, ...]:
        """The text of every script, in order: inline of any `type`, or in a `data:` URI of any attribute.

        Optimisers keep a script from running by a made-up `type`, move its `src` to another
        attribute, or turn its text into a `data:` URI (docs/protocols.md C3).
        """
        texts: list[str] = []
        for node in self._tree.css("script")[:_MAX_SCRIPTS]:
            texts += (
                _decode_data_uri(value)
                for value in node.attributes.values()
                if value and _DATA_URI.match(value)
            )
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
        for node in self._tree.css("script")[:_MAX_SCRIPTS]:
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

        Args:
            header: the reply's `Refresh` header, which says the same as the element of that name.
        """
        nodes = self.select('meta[http-equiv="refresh" i]')
        for content in (header, *(node.attributes.get("content") or "" for node in nodes)):
            found = _REFRESH.fullmatch(content[:_MAX_ADDRESS_CHARACTERS])
            if found is None:
                continue
            url = self.absolute(found[3].partition(found[2])[0] if found[2] else found[4] or "").partition(
                "#"
            )[0]
            return (float(found[1]), without_credentials(url)) if has_host(url) else None
        return None

    def absolute(self, url: str) -> str:
        """`url` resolved against the page's address; "" where that gives no address."""
        try:
            return urljoin(self.url, url.strip())
        except ValueError:
            return ""

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Where WordPress may be installed, with a final slash, likeliest first; the origin at last.

        Each is a path of the page's own host: assets may lie on a CDN's host (docs/protocols.md C6).
        """
        paths = [*self._asset_roots(_CORE), *self._asset_roots(_PLUGIN)]
        for selector, attribute, mark in _LINKED_ROOTS:
            for node in self._tree.css(selector)[:MAX_ELEMENTS]:
                paths += self._maybe_root(node.attributes.get(attribute) or "", mark)
        for node in self._tree.css(f'div[data-url]:not([data-url*="{_ENDPOINT}"])')[:MAX_ELEMENTS]:
            paths += self._folders_of(node.attributes.get("data-url") or "")
        paths += self._folders_of(self.url)
        site = origin(self.url)
        return tuple(dict.fromkeys(f"{site}{path}/" for path in (*paths, "")))

    @property
    def root(self) -> str:
        """Where WordPress is most likely installed."""
        return self.roots[0]

    @cached_property
    def home(self) -> str:
        """The site's front page: WordPress may be installed elsewhere (docs/protocols.md C6)."""
        for node in self._tree.css('link[rel="https://api.w.org/"]')[:MAX_ELEMENTS]:
            for path in self._maybe_root(node.attributes.get("href") or "", _REST):
                return f"{origin(self.url)}{path}/"
        return self.root

    @cached_property
    def guessed_ajax_urls(self) -> tuple[str, ...]:
        """Where the message endpoint may be if the page does not name it for the chat, likeliest first.

        Scripts of other plugins name the same one.
        """
        guesses = [*self._mentioned_ajax_urls(), *(f"{root}{AJAX_PATH}" for root in self.roots)]
        return tuple(dict.fromkeys(guesses))[:_MAX_GUESSES]

    @property
    def own_ajax_url(self) -> str:
        """The likeliest guess at the site's own message endpoint."""
        return self.guessed_ajax_urls[0]

    def ajax_url(self, named: object) -> str:
        """Where to post: the address that the page's scripts name, else the likeliest guess.

        It is "" where they name one on another site: the box belongs there, and nothing of it is posted here.
        The scheme follows the page's, as a browser would not post from https to http.
        """
        if self.is_foreign(named):
            return ""
        return self._maybe_own(named) or self.own_ajax_url

    def ajax_guesses(self, named: object) -> tuple[str, ...]:
        """All guesses at the endpoint where `ajax_url` is one of them; empty where the page names it."""
        return () if self._maybe_own(named) else self.guessed_ajax_urls

    def is_foreign(self, named: object) -> bool:
        """Whether what the page names is an address on another site; nothing is ever posted there."""
        url = self.absolute(named) if isinstance(named, str) and named else ""
        return has_host(url) and not is_same_site(url, self.url)

    def _maybe_own(self, named: object) -> str:
        url = self.absolute(named) if isinstance(named, str) and named else ""
        return self._as_served(url) if is_same_site(url, self.url) else ""

    def _asset_roots(self, mark: re.Pattern[str]) -> Iterator[str]:
        """Paths before `mark` in addresses of scripts and styles, whatever attribute they were moved to."""
        for node in self._tree.css("script, link")[:_MAX_SCRIPTS]:
            for value in node.attributes.values():
                if value and "/wp-" in value[:_MAX_ADDRESS_CHARACTERS]:
                    yield from self._maybe_root(value, mark)

    def _maybe_root(self, value: str, mark: re.Pattern[str]) -> Iterator[str]:
        url = self.absolute(value) if len(value) <= _MAX_ADDRESS_CHARACTERS else ""
        if not is_same_host(url, self.url):
            return
        parts = urlsplit(url)
        found = mark.search(f"{parts.path}?{parts.query}")
        # A cache's copies lie below its own folder and hold the whole path once more.
        if found and not _COPIES.search(found[1]):
            yield found[1].rstrip("/")

    def _folders_of(self, value: str) -> Iterator[str]:
        """The folders on the way to a page, the outermost first: no sign, but they can be tried."""
        url = self.absolute(value) if len(value) <= _MAX_ADDRESS_CHARACTERS else ""
        if is_same_host(url, self.url):
            names = [name for name in urlsplit(url).path.split("/") if name][:_MAX_GUESSES]
            yield from ("".join(f"/{name}" for name in names[:count]) for count in range(len(names) + 1))

    def _mentioned_ajax_urls(self) -> Iterator[str]:
        """Endpoints on the page's own host that the theme or other plugins name."""
        nodes = self._tree.css(f'[data-url*="{_ENDPOINT}"]')[:MAX_ELEMENTS]
        named = chain(
            (node.attributes.get("data-url") or "" for node in nodes),
            islice(chain.from_iterable(map(_named_endpoints, self.scripts)), _MAX_ASSIGNMENTS),
        )
        for address in named:
            url = self.absolute(address) if 0 < len(address) <= _MAX_ADDRESS_CHARACTERS else ""
            if is_same_host(url, self.url):
                yield self._as_served(url)

    def find_script_object(self, name: str) -> dict[str, str]:
        """The string members of the object literal that a script assigns to `name`; empty where none does.

        A minifier may have taken the quotes off the keys, so that it is no JSON any more.
        """
        return _first_with_members(chain.from_iterable(_assigned(script, name) for script in self.scripts))

    @cached_property
    def plugin_version(self) -> str:
        """The chat plugin's version where an asset's address tells it, else "" (docs/protocols.md W8, A8)."""
        for node in self._tree.css(_VERSION_MARKS)[:MAX_ELEMENTS]:
            attributes = node.attributes
            found = re.search(
                r"[?&]ver=(\d{1,9}(?:\.\d{1,9}){1,5})", attributes.get("src") or attributes.get("href") or ""
            )
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

_VERSION_MARKS = "#wp-ai-content-generator-js, #wp-ai-content-generator-css, #aipkit-public-main-js"


def _is_inert(node: LexborNode) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.tag in _INERT:
            return True
        parent = parent.parent
    return False


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
    return _first_with_members(_assigned(script, name))


def _named_endpoints(script: str) -> Iterator[str]:
    """The addresses of endpoints that a script names, slashes unescaped; "" for a name without an address."""
    start = script.find(_ENDPOINT)
    while start >= 0:
        found = _NAMED_ENDPOINT.search(script[max(0, start - 500) : start + 250])
        yield found[1].replace("\\", "") if found else ""
        start = script.find(_ENDPOINT, start + 250)


def _assigned(script: str, name: str) -> Iterator[str]:
    """The beginnings of the object literals that `script` assigns to `name`."""
    start = script.find(name)  # some twenty times as fast as a pattern, and no other thread runs meanwhile
    while start >= 0:
        end = start + len(name)
        found = None if _PART_OF_NAME.fullmatch(script[start - 1 : start]) else _ASSIGNED.match(script, end)
        if found is not None:
            yield script[found.end() : found.end() + 100_000]
        start = script.find(name, end)


def _first_with_members(literals: Iterator[str]) -> dict[str, str]:
    return next(filter(None, map(_read_members, islice(literals, _MAX_ASSIGNMENTS))), {})


def _read_members(literal: str) -> dict[str, str]:
    found = read_object(literal)
    if found is not None:
        return {key: value for key, value in found.items() if isinstance(value, str)}
    members: dict[str, str] = {}
    for key, double, single in _MEMBER.findall(literal[:20_000]):
        members.setdefault(key, (double or single).replace("\\/", "/"))
    return members


def _affordable_bytes(html: bytes) -> int:
    """How much of `html` the parser can read at a price that is known; its length for an ordinary page."""
    tags = html.count(b"<")
    if len(html) < _SMALL_BYTES and tags - html.count(b"</") <= _SMALL_OPENINGS:
        bound = _MAX_TREE_BYTES // _REOPENING_BYTES
        if tags * tags < bound or tags * len(_LEFT_OPEN.findall(html)) < bound:
            return len(html)
    return _Estimate().read(html, _tolerable_bytes(html))


def _tolerable_bytes(html: bytes) -> int:
    """How much of `html` the parser can read without noting more than `_MAX_ERRORS`."""
    errors = 0
    for start in range(0, len(html), _BLOCK_BYTES):
        block = html[start : start + _BLOCK_BYTES]
        errors += len(block) - len(block.translate(None, _MAY_BE_WRONG))
        if errors > _MAX_ERRORS:
            return start
    return len(html)


def _count_of_attributes(attributes: bytes) -> int:
    """How many attributes a tag has; beyond `_MAX_ATTRIBUTES` just that it has more."""
    if len(attributes) < 1000:
        return len(_ATTRIBUTE.findall(attributes))
    return sum(1 for _ in islice(_ATTRIBUTE.finditer(attributes), _MAX_ATTRIBUTES + 1))


class _Estimate:
    """What the parser will hold open, tag by tag.

    What a wall encloses is kept apart, in `levels`: an end tag inside of it closes nothing outside.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.formatting = 0
        self.effort = 0
        self.tree_bytes = 0
        self.counts = {b"html": 0, b"body": 0, b"option": 0, b"shape": 0}
        self.levels: list[tuple[bytes, dict[bytes, int]]] = [(b"", {})]
        self.marks: dict[bytes, int] = {}
        self.strange = 0

    def read(self, html: bytes, end: int) -> int:
        """The offset of the tag that is too much; `end` where none is before it."""
        position = 0
        while found := _TAG.search(html, position, end):
            if position + 1 < found.start():  # more than the tag's own end
                self.tree_bytes += _TEXT_BYTES
            position = found.end()
            if found[2]:
                name = found[2].lower()
                attributes = _count_of_attributes(found[3])
                self.tree_bytes += _ATTRIBUTE_BYTES * attributes
                if attributes > _MAX_ATTRIBUTES:
                    return found.start()
                if found[1]:
                    self._close(name)
                elif not self._can_open(name, found[3]):
                    return found.start()
                elif name in _RAW and not self.strange:
                    last = _RAW[name].search(html, position, end)
                    position = end if last is None else last.end()
                    self.tree_bytes += _TEXT_BYTES
                self.tree_bytes += _ELEMENT_BYTES if not found[1] else 0
                self.effort += _TAG_EFFORT + self.depth + _REOPENING_EFFORT * self.formatting
                self.tree_bytes += _REOPENING_BYTES * self.formatting
            else:
                self.tree_bytes += _COMMENT_BYTES
                if found[0] == b"<!--":  # its own dashes may be those of its end
                    ends = (self._find(b"-->", html, position - 2), self._find(b"--!>", html, position))
                    position = min(*ends, end)
            if self.effort > _MAX_EFFORT or self.tree_bytes > _MAX_TREE_BYTES or self.depth > MAX_DEPTH:
                return found.start()
        return end

    def _find(self, mark: bytes, html: bytes, start: int) -> int:
        """Where the next mark ends; it is looked for once, however many comments end with the other one."""
        if self.marks.get(mark, 0) < start + len(mark):
            found = html.find(mark, start)
            self.marks[mark] = (len(html) if found < 0 else found) + len(mark)
        return self.marks[mark]

    def _can_open(self, name: bytes, attributes: bytes) -> bool:
        if name in (b"html", b"body", b"option"):
            self.counts[name] += 1
            if self.counts[name] > (_MAX_OPTIONS if name == b"option" else _MAX_ROOTS):
                return False
        if name in _NEVER_NESTED or (name in _RAW and not self.strange):
            return True
        if name in _SHAPES and self.counts[b"shape"] < _MAX_SHAPES:
            self.counts[b"shape"] += 1
            return True
        if name in _CELLS and self.levels[-1][0] in _CELLS:
            return True  # a cell closes the one before it
        if name in _WALLS:
            if name not in (b"svg", b"math") or not attributes.endswith(b"/"):
                self.levels.append((name, {}))
                self.strange += name in _STRANGE
                self.depth += 1
            return True
        level = self.levels[-1][1]
        if name == b"a" and level.get(name) and not self.strange:
            return True  # a link closes the one before it
        level[name] = level.get(name, 0) + 1
        self.depth += 1
        self.formatting += name in _FORMATTING
        return True

    def _close(self, name: bytes) -> None:
        if name == b"table" and self.levels[-1][0] in _CELLS and self.levels[-2][0] == name:
            self._close(self.levels[-1][0])
        wall, level = self.levels[-1]
        if name == wall:
            self.levels.pop()
            self.strange -= name in _STRANGE
            self.depth -= 1 + sum(level.values())
        elif level.get(name) and not (self.strange and name in _FORMATTING):
            level[name] -= 1
            self.depth -= 1
            self.formatting -= name in _FORMATTING
