"""What a running page showed, and whether it is tokens yet. No I/O and no clock: times are handed in.

A value counts when it is plausible (a nonce's form, none of those that are known to be wrong) and stable: the
same for a while, which is short where a script wrote it into the box itself, and longer the weaker the sign.
Elements and scripts are read by the same readers as static pages, from a small page made of copies of the
boxes' elements.

Where a nonce may show, best first: on the box; in the page's own chat requests; in the plugin's script
globals; in the reply of the site's nonce action (docs/protocols.md A6); in other replies of the site's
message endpoint or of the plugin's embed route (A1). Other JSON is not read.

A box counts only if it belongs to the page's own site. A box in another site's frame, or one that names
another site's endpoint, gives no tokens. It is noted with the place where it can be asked.

Reading takes time, and the page decides how much there is to read. So replies are bounded in number and size,
and so is the markup that is read in them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import chain, islice
from urllib.parse import parse_qsl, urlsplit

from chatgptt._errors import ChatBoxNotFoundError
from chatgptt._models import ChatBox
from chatgptt.protocols import wpaicg
from chatgptt.protocols.boxes import choose_box, find_boxes, foreign_sites
from chatgptt.protocols.page import Page, maybe_nonce
from chatgptt.protocols.text import find_objects
from chatgptt.protocols.urls import AJAX_PATH, has_host, is_same_site, origin

__all__ = [
    "Seen",
    "Sightings",
    "Source",
    "blocked_by_consent",
    "hints_at_chat",
    "is_worth_reading",
    "needs_scripts",
]

MAX_REPLY_CHARACTERS = 2**18
"""A reply that carries a nonce is some hundred bytes, one with a bot's configuration and markup 30 kB."""

_MAX_REPLIES = 100
"""How many replies of one visit are read; some pages ask their site every second."""

_MAX_MARKUPS = 5
"""How many pieces of markup are read in a reply, which has one box; each is parsed like a page."""

_MAX_CONSENT_CHARACTERS = 2**20
"""How much of a document is searched for scripts that a consent manager holds back; pages have half of it."""

_MAX_DEPTH = 6
_NONCE_KEYS = frozenset(
    {"nonce", "search_nonce", "_wpnonce", "_ajax_nonce", "chat_nonce", "ajax_nonce", "data-nonce"}
)
_CHAT_ACTIONS = re.compile(r"wpaicg_chat|aipkit_(?:cache_sse_message|frontend_chat|get_conversation)")
_NONCE_ACTION = "aipkit_get_frontend_chat_nonce"
_EMBED_ROUTE = "/aipkit/v1/chatbots/"
_BOX_CLASSES = ("wpaicg-chat-shortcode", "wpaicg-chatbox", "aipkit_chat_container", "aipkit_popup_wrapper")


class Source(IntEnum):
    """Where a nonce showed; the lower, the surer that it is the chat's."""

    BOX = 0
    REQUEST = 1
    GLOBAL = 2
    ACTION = 3
    REPLY = 4


_CALM: dict[Source, float] = {
    Source.BOX: 0.04,  # a few turns of the watching script, and of one that sets a value in two steps
    Source.REQUEST: 0.04,
    Source.GLOBAL: 0.15,  # the box may still get another one
    Source.ACTION: 0.3,
    Source.REPLY: 0.8,  # any plugin may fetch a nonce of its own
}
"""Seconds that a value must stay the same, by where it shows."""

_CALM_LOADING = 0.12
"""While the document is being parsed, scripts to come may replace what is there."""
_CALM_SERVED = 0.15
"""What stood in the page as it was served may be a placeholder that scripts replace."""
_CALM_SERVED_LOADING = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Tokens in the making: a box, its nonce, and the page that shows it."""

    box: ChatBox
    nonce: str
    page: str
    source: Source


@dataclass(slots=True)
class _Frame:
    page: Page
    boxes: tuple[ChatBox, ...]
    foreign_sites: tuple[str, ...]
    nonce: str | None
    globals: Mapping[str, Mapping[str, str]]
    state: str
    is_scripted: bool
    is_main: bool


@dataclass(slots=True, kw_only=True)
class Sightings:
    """Everything that one visit of a page showed.

    Args:
        page: the page, which its last document tells.
        bot: the wanted bot, as for `choose_box`.
        wrong: nonces that are known not to do: placeholders of the static page and rejected ones.
        endpoint: where the caller wants messages to go, "" where the page says it.
        is_static_known: whether the page's markup was read before: what shows now is its scripts' work.
    """

    page: str
    bot: str | None
    wrong: frozenset[str] = frozenset()
    endpoint: str = ""
    is_static_known: bool = True
    _frames: dict[object, _Frame] = field(default_factory=dict)
    _nonces: dict[Source, str] = field(default_factory=dict)
    _embedded: list[tuple[str, ChatBox]] = field(default_factory=list)
    _foreign_routes: dict[str, None] = field(default_factory=dict)
    _replies: int = 0
    _candidate: tuple[str, str, int] | None = None
    _since: float = 0.0
    suspects: set[str] = field(default_factory=set)
    """Nonces that showed and are known to be wrong."""

    @property
    def state(self) -> str:
        """How far the main document is: `loading`, `interactive`, `complete`, or "" before it began."""
        return next((frame.state for frame in self._frames.values() if frame.is_main), "")

    @property
    def is_settling(self) -> bool:
        """Whether there are tokens that only have to stay for a while."""
        return self._candidate is not None

    @property
    def box(self) -> ChatBox | None:
        """The wanted box, with or without a nonce; None where it has not shown."""
        chosen = self._choose_box()
        return None if chosen is None else chosen[0]

    @property
    def boxes(self) -> tuple[ChatBox, ...]:
        """Every box of the page's own site that shows, in all frames."""
        return tuple(box for _, _, box in self._all_boxes())

    @property
    def foreign_pages(self) -> tuple[str, ...]:
        """Pages of other sites that show a box in a frame of this one."""
        own = self._own_frames()
        frames = (frame for frame in self._frames.values() if frame not in own)
        return tuple(dict.fromkeys(frame.page.url for frame in frames if frame.boxes or frame.foreign_sites))

    @property
    def foreign_sites(self) -> tuple[str, ...]:
        """Other sites whose boxes the page itself shows, or fetches to show them."""
        if self.endpoint:
            return ()
        own = (frame.foreign_sites for frame in self._own_frames())
        return tuple(dict.fromkeys((*chain.from_iterable(own), *self._foreign_routes)))

    def frame_showed(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """Takes in what the watching script told; anything else than its own form is passed over."""
        told = _read_told(text)
        if told is None:
            return
        markup, globals_, state, is_scripted = told
        params = globals_.get(wpaicg.PARAMS)
        script = f"<script>var {wpaicg.PARAMS} = {_script_json(params)};</script>" if params else ""
        page = Page(f"<!doctype html><body>{markup}{script}".encode("utf-8", "replace"), url)
        self._frames[frame] = _Frame(
            page=page,
            boxes=find_boxes(page, self.endpoint),
            foreign_sites=foreign_sites(page),
            nonce=wpaicg.find_page_nonce(page),
            globals=globals_,
            state=state,
            is_scripted=is_scripted,
            is_main=is_main,
        )

    def frame_left(self, frame: object) -> None:
        """Forgets a frame that is gone or shows something else now; all of them for None."""
        if frame is None:
            self._frames.clear()
        self._frames.pop(frame, None)

    def request_went(self, url: str, body: str) -> None:
        """Takes in a request that the page itself sent."""
        if not (AJAX_PATH in url and self._is_own(url)):
            return
        fields = _read_query(url) | _read_fields(body)
        if _CHAT_ACTIONS.match(fields.get("action", "")):
            self._note(Source.REQUEST, fields.get("_wpnonce") or fields.get("_ajax_nonce"))

    def reply_came(self, url: str, body: str, request_body: str = "") -> None:
        """Takes in a reply that the page itself received from its own site; what `is_worth_reading` of it."""
        if _EMBED_ROUTE in url and has_host(url) and not self._is_own(url):
            self._foreign_routes[url.partition("/wp-json/")[0] if "/wp-json/" in url else origin(url)] = None
        if not (is_worth_reading(url) and self._is_own(url)):
            return
        self._replies += 1
        if self._replies > _MAX_REPLIES or len(body) > MAX_REPLY_CHARACTERS:
            return
        fields = _read_query(url) | _read_fields(request_body)
        source = Source.ACTION if fields.get("action") == _NONCE_ACTION else Source.REPLY
        found = list(find_objects(body))
        for markup in islice(chain.from_iterable(_find_boxes(one, 0) for one in found), _MAX_MARKUPS):
            self._embed(markup)
        for nonce in chain.from_iterable(_find_nonces(one, 0) for one in found):
            self._note(source, nonce)

    def choose(self, now: float) -> Seen | None:
        """Tokens that are plausible and have been stable for long enough by `now`; None while there are
        none.
        """
        seen, calm = self._best()
        if seen is None:
            self._candidate = None
            return None
        key = (seen.page, seen.nonce, seen.box.bot_id)
        if key != self._candidate:
            self._candidate, self._since = key, now
        return seen if now - self._since >= calm else None

    def least_bad(self) -> Seen | None:
        """Tokens whose nonce is known to be wrong, where nothing better showed: sites do err."""
        wrong, self.wrong = self.wrong, frozenset()
        try:
            return self._best()[0]
        finally:
            self.wrong = wrong

    def _best(self) -> tuple[Seen | None, float]:
        chosen = self._choose_box()
        if chosen is None:
            return None, 0.0
        box, url, frame = chosen
        found = self._nonce_for(box, frame)
        if found is None:
            return None, 0.0
        nonce, source = found
        calm = _CALM[source]
        if self.state not in ("interactive", "complete"):
            calm = max(calm, _CALM_LOADING)
        is_as_served = frame is not None and not (frame.is_scripted or self.is_static_known)
        if is_as_served and source is Source.BOX:
            calm = max(calm, _CALM_SERVED if self.state == "complete" else _CALM_SERVED_LOADING)
        seen = Seen(box=replace(box, nonce=nonce, found_by="browser"), nonce=nonce, page=url, source=source)
        return seen, calm

    def _nonce_for(self, box: ChatBox, frame: _Frame | None) -> tuple[str, Source] | None:
        # Every box of a protocol on a page has the same nonce (docs/protocols.md C2).
        boxes = [box] if frame is None else [box, *(b for b in frame.boxes if b.protocol == box.protocol)]
        for one in boxes:
            if one.nonce is not None and self._is_new(one.nonce):
                return one.nonce, Source.BOX
        if Source.REQUEST in self._nonces:
            return self._nonces[Source.REQUEST], Source.REQUEST
        if box.protocol == "wpaicg":
            frames = [frame] if frame else []
            for one_frame in [*frames, *self._own_frames()]:
                if one_frame.nonce is not None and self._is_new(one_frame.nonce):
                    return one_frame.nonce, Source.GLOBAL
        for one_frame in self._own_frames():
            for name, members in one_frame.globals.items():
                nonce = maybe_nonce(members.get("nonce"))
                if name != wpaicg.PARAMS and nonce is not None and self._is_new(nonce):
                    return nonce, Source.REPLY
        for source in (Source.ACTION, Source.REPLY):
            if source in self._nonces:
                return self._nonces[source], source
        return None

    def _choose_box(self) -> tuple[ChatBox, str, _Frame | None] | None:
        """The wanted box among those of the page itself, then of its site's frames."""
        found = self._all_boxes()
        own = [one for one in found if one[1] is None or one[1].is_main]
        # One with its nonce first: an empty shell may stand beside the frame that has the chat.
        for some in (self._usable(own), self._usable(found), found):
            try:
                box = choose_box(tuple(box for _, _, box in some), self.bot, self.page)
            except ChatBoxNotFoundError:
                continue
            url, frame, _ = next(one for one in some if one[2] is box)
            return box, url, frame
        return None

    def _usable(
        self, found: list[tuple[str, _Frame | None, ChatBox]]
    ) -> list[tuple[str, _Frame | None, ChatBox]]:
        return [one for one in found if one[2].nonce is not None and self._is_new(one[2].nonce)]

    def _all_boxes(self) -> list[tuple[str, _Frame | None, ChatBox]]:
        found: list[tuple[str, _Frame | None, ChatBox]] = [
            (frame.page.url, frame, box) for frame in self._own_frames() for box in frame.boxes
        ]
        shown = {box.bot_id for _, _, box in found}
        return found + [(url, None, box) for url, box in self._embedded if box.bot_id not in shown]

    def _own_frames(self) -> list[_Frame]:
        """The page itself, then the frames of its site."""
        frames = sorted(self._frames.values(), key=lambda frame: not frame.is_main)
        return [frame for frame in frames if frame.is_main or self._is_own(frame.page.url)]

    def _is_own(self, url: str) -> bool:
        return is_same_site(url, self.page) or is_same_site(url, self.endpoint)

    def _embed(self, markup: str) -> None:
        known = {(box.bot_id, box.nonce) for _, box in self._embedded}
        for box in find_boxes(Page(markup.encode("utf-8", "replace"), self.page), self.endpoint):
            if (box.bot_id, box.nonce) not in known and len(self._embedded) < 50:
                self._embedded.insert(0, (self.page, box))

    def _note(self, source: Source, text: object) -> None:
        nonce = maybe_nonce(text)
        if nonce is not None and self._is_new(nonce):
            self._nonces[source] = nonce

    def _is_new(self, nonce: str) -> bool:
        if nonce in self.wrong:
            self.suspects.add(nonce)
            return False
        return True


def is_worth_reading(url: str) -> bool:
    """Whether a reply from there may hold a box or its nonce."""
    return AJAX_PATH in url or _EMBED_ROUTE in url


_MADE_BY_SCRIPT = re.compile(
    r"wpaicg-chatbox|wpaicg-chat-shortcode|aipkit_chat_container|aipkit_popup_wrapper|aipkit-chatbot-container"
)


def needs_scripts(page: Page) -> bool:
    """Whether a page without a box says that scripts make one: a bot's embed, or a script naming boxes.

    The plugin's own files say nothing in 1.x, which puts them on every page of a site (docs/protocols.md W1);
    2.x loads its own only where a bot is.
    """
    return bool(
        page.select('script[data-bot-id], [id^="aipkit-chatbot-container"], [src*="/dist/js/public-main"]')
        or any(_MADE_BY_SCRIPT.search(script) for script in page.scripts)
    )


def hints_at_chat(page: Page) -> bool:
    """Whether it is worth running a page without a box: its scripts, or a frame in it, may show one."""
    return needs_scripts(page) or bool(page.select("iframe[src]"))


_HELD_BACK = 'script[type^="text/plain" i]'
_MENTIONS_HELD_BACK = re.compile(r"type\s*=\s*[\"']?\s*text/plain", re.I)
"""How consent managers hold a script back until the visitor agreed."""


def blocked_by_consent(document: str) -> bool:
    """Whether a page's chat script waits for the visitor to agree to something."""
    document = document[:_MAX_CONSENT_CHARACTERS]
    if not _MENTIONS_HELD_BACK.search(document):
        return False
    page = Page(document.encode("utf-8", "replace"), "about:blank")
    return any(
        re.search(r"wpaicg|aipkit|gpt3-ai-content-generator", (node.html or "")[:50_000])
        for node in page.select(_HELD_BACK)
    )


def _read_told(text: str) -> tuple[str, dict[str, dict[str, str]], str, bool] | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    markup, globals_, state = told.get("html"), told.get("globals"), told.get("state")
    if not isinstance(markup, str) or not isinstance(globals_, dict) or not isinstance(state, str):
        return None
    members = {
        name: {key: value for key, value in of.items() if isinstance(value, str)}
        for name, of in globals_.items()
        if isinstance(of, dict)
    }
    return markup, members, state, told.get("scripted") is True


def _script_json(members: Mapping[str, str]) -> str:
    return json.dumps(dict(members)).replace("<", "\\u003c")


def _read_query(url: str) -> dict[str, str]:
    """The fields of a URL's query; none where it is no URL."""
    try:
        return dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        return {}


def _read_fields(body: str) -> dict[str, str]:
    """The fields of a form, url-encoded or in parts."""
    if "Content-Disposition: form-data" in body[:2000]:
        return dict(re.findall(r'form-data; name="([^"]{1,60})"\r\n\r\n([^\r\n]{0,200})\r\n', body[:200_000]))
    return dict(parse_qsl(body[:200_000]))


def _find_nonces(value: object, depth: int) -> Iterator[str]:
    for key, member in _members(value):
        if isinstance(member, str):
            nonce = maybe_nonce(member)
            if nonce is not None and key in _NONCE_KEYS:
                yield nonce
        elif depth < _MAX_DEPTH:
            yield from _find_nonces(member, depth + 1)


def _find_boxes(value: object, depth: int) -> Iterator[str]:
    """Markup of boxes in a JSON reply: as it stands, or made of a 2.x configuration."""
    if isinstance(value, dict) and "botId" in value and "nonce" in value:
        config = html.escape(_maybe_json(value) or "")
        yield f"<div class='aipkit_chat_container' data-config='{config}'></div>"
    for _, member in _members(value):
        if isinstance(member, str):
            if "<" in member and any(name in member for name in _BOX_CLASSES):
                yield member
        elif depth < _MAX_DEPTH:
            yield from _find_boxes(member, depth + 1)


def _maybe_json(value: object) -> str | None:
    """`value` as JSON; None where it is nested deeper than can be written, which is less than can be read."""
    try:
        return json.dumps(value)
    except RecursionError:
        return None


def _members(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(str(key), member) for key, member in value.items()][:200]
    if isinstance(value, list):
        return [("", member) for member in value[:200]]
    return []
