"""What a running page has shown, and whether that makes tokens. No I/O and no clock: times are arguments.

Two conditions make a nonce good enough. It is plausible: it has a nonce's form and is not known to be wrong.
And it is stable: it has stayed the same for a while. The while is short where a script wrote the nonce into
the box itself, and longer for weaker signs.

A nonce may show in these places, the surest first: on the box; in the page's own chat requests; in the
plugin's script globals; in the reply of the site's nonce action (docs/protocols.md A6); in other replies of
the site's message endpoint or of the plugin's embed route (A1). Other JSON is not read.

The boxes' elements are copied into a small page, and the readers for static pages read that page.

A box counts only if it belongs to the page's own site. A box in another site's frame, or with another site's
endpoint, gives no tokens. Its place is noted, so that the error can name it.

All pages are read in one thread, so the number and size of the replies that are read have a limit.
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
from chatgptt._models import ChatBox, PluginGeneration
from chatgptt.protocols.box_choice import choose_box, find_boxes, foreign_sites
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.page import Page, maybe_nonce
from chatgptt.protocols.text import find_objects
from chatgptt.protocols.urls import AJAX_PATH, has_host, is_same_site, origin

MAX_REPLY_CHARACTERS = 2**18
"""A reply that carries a nonce is some hundred bytes, one with a bot's configuration and markup 30 kB."""

_MAX_REPLIES = 100
"""How many replies of one visit are read; some pages ask their site every second."""

_MAX_MARKUPS = 5
"""How many pieces of markup are read in a reply, which has one box; each is parsed like a page."""

_NONCE_KEYS = frozenset(
    {"nonce", "search_nonce", "_wpnonce", "_ajax_nonce", "chat_nonce", "ajax_nonce", "data-nonce"}
)
_PARAMS = tuple(protocol.PARAMS for protocol in PROTOCOLS.values() if protocol.PARAMS)
"""The plugin's own script objects, which hold the chat's nonce."""

_CHAT_ACTIONS = re.compile(r"wpaicg_chat|aipkit_(?:cache_sse_message|frontend_chat|get_conversation)")
_NONCE_ACTION = "aipkit_get_frontend_chat_nonce"
_EMBED_ROUTE = "/aipkit/v1/chatbots/"
BOX_CLASSES = ("wpaicg-chat-shortcode", "wpaicg-chatbox", "aipkit_chat_container", "aipkit_popup_wrapper")


class NonceSource(IntEnum):
    """Where a nonce showed; the lower, the surer that it is the chat's."""

    BOX = 0
    REQUEST = 1
    GLOBAL = 2
    ACTION = 3
    REPLY = 4


_STABLE_FOR: dict[NonceSource, float] = {
    NonceSource.BOX: 0.04,  # some turns of the watching script, and of one that sets a value in two steps
    NonceSource.REQUEST: 0.04,
    NonceSource.GLOBAL: 0.15,  # the box may still get another one
    NonceSource.ACTION: 0.3,
    NonceSource.REPLY: 0.8,  # any plugin may fetch a nonce of its own
}
"""Seconds that a nonce must stay the same, by where it shows."""

_STABLE_WHILE_LOADING = 0.12
"""While the document is being parsed, scripts to come may replace the nonce."""
_STABLE_AS_SERVED = 0.15
"""A nonce of the page as it was served may be a placeholder that scripts replace."""
_STABLE_AS_SERVED_WHILE_LOADING = 0.5
_STABLE_WITH_WRONG_ENDPOINT = 1.0
"""From when the page is loaded, while its scripts name no other endpoint than those that were tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may become tokens: a box, its nonce, and the page that shows it."""

    box: ChatBox
    nonce: str
    page: str


@dataclass(frozen=True, slots=True)
class _Frame:
    page: Page
    boxes: tuple[ChatBox, ...]
    foreign_sites: tuple[str, ...]
    nonces: Mapping[PluginGeneration, str | None]
    globals: Mapping[str, Mapping[str, str]]
    state: str
    is_scripted: bool
    is_main: bool


@dataclass(frozen=True, slots=True)
class _ShownBox:
    """A box, the URL of the page that shows it, and its frame; the box of a reply has no frame."""

    box: ChatBox
    url: str
    frame: _Frame | None = None


@dataclass(slots=True, kw_only=True)
class PageObservations:
    """What one visit of a page has shown until now.

    Args:
        page: the URL of the page's present document.
        bot: the wanted bot, as for `choose_box`.
        wrong: nonces that are known to be wrong: placeholders of the static page, and rejected ones.
        endpoint: where the caller wants messages to go, "" where the page says it.
        wrong_endpoints: guesses at it that were tried.
        is_static_known: whether the page's markup was read before, so that what shows now is made by scripts.
    """

    page: str
    bot: str | None
    wrong: frozenset[str] = frozenset()
    endpoint: str = ""
    wrong_endpoints: frozenset[str] = frozenset()
    is_static_known: bool = True
    wrong_shown: set[str] = field(default_factory=set)
    """Nonces that showed and are known to be wrong."""
    _frames: dict[object, _Frame] = field(default_factory=dict)
    _nonces: dict[NonceSource, str] = field(default_factory=dict)
    _boxes_of_replies: list[_ShownBox] = field(default_factory=list)
    _foreign_routes: dict[str, None] = field(default_factory=dict)
    _replies: int = 0
    _candidate: tuple[str, str, int] | None = None
    _since: float = 0.0

    @property
    def state(self) -> str:
        """How far the main document is: `loading`, `interactive`, `complete`, or "" before it began."""
        return next((frame.state for frame in self._frames.values() if frame.is_main), "")

    @property
    def is_settling(self) -> bool:
        """Whether there is a candidate that only has to stay the same for a while."""
        return self._candidate is not None

    @property
    def box(self) -> ChatBox | None:
        """The wanted box, with or without a nonce; None where it has not shown."""
        chosen = self._choose_box()
        return None if chosen is None else chosen.box

    @property
    def boxes(self) -> tuple[ChatBox, ...]:
        """Every box of the page's own site that shows, in all frames."""
        return tuple(shown.box for shown in self._all_boxes())

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

    def observe_frame(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """Takes in a report of the watching script (watch.js); anything in another form is ignored."""
        try:
            report = json.loads(text)
            members = report["globals"]
            scripts = "".join(
                f"<script>var {name} = {_script_json(members[name])};</script>"
                for name in _PARAMS
                if members.get(name)
            )
            page = Page(f"<!doctype html><body>{report['html']}{scripts}".encode("utf-8", "replace"), url)
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        self._frames[frame] = _Frame(
            page=page,
            boxes=find_boxes(page, self.endpoint),
            foreign_sites=foreign_sites(page),
            nonces={name: protocol.find_page_nonce(page) for name, protocol in PROTOCOLS.items()},
            globals=members,
            state=report["state"],
            is_scripted=report["scripted"],
            is_main=is_main,
        )

    def forget_frame(self, frame: object) -> None:
        """Forgets a frame that is gone or has another document now; None stands for all frames."""
        if frame is None:
            self._frames.clear()
        self._frames.pop(frame, None)

    def observe_request(self, url: str, body: str) -> None:
        """Takes in a request that the page itself sent."""
        if not (AJAX_PATH in url and self._is_own(url)):
            return
        fields = _read_query(url) | _read_form(body)
        if _CHAT_ACTIONS.match(fields.get("action", "")):
            self._add_nonce(NonceSource.REQUEST, fields.get("_wpnonce") or fields.get("_ajax_nonce"))

    def observe_reply(self, url: str, body: str, request_body: str = "") -> None:
        """Takes in a reply that the page's scripts received from a place where tokens may come from."""
        if _EMBED_ROUTE in url and has_host(url) and not self._is_own(url):
            self._foreign_routes[url.partition("/wp-json/")[0] if "/wp-json/" in url else origin(url)] = None
        if not (may_hold_tokens(url) and self._is_own(url)):
            return
        self._replies += 1
        if self._replies > _MAX_REPLIES or len(body) > MAX_REPLY_CHARACTERS:
            return
        fields = _read_query(url) | _read_form(request_body)
        source = NonceSource.ACTION if fields.get("action") == _NONCE_ACTION else NonceSource.REPLY
        members = [member for value in find_objects(body) for member in _members_of(value)]
        for markup in islice((found for _, value in members for found in _find_markup(value)), _MAX_MARKUPS):
            self._add_boxes(markup)
        for key, value in members:
            if key in _NONCE_KEYS:
                self._add_nonce(source, value)

    def choose_candidate(self, now: float) -> Candidate | None:
        """A plausible candidate that has been stable for long enough by `now`; None where there is none."""
        candidate, stable_for = self._best_candidate()
        if candidate is None:
            self._candidate = None
            return None
        key = (candidate.page, candidate.nonce, candidate.box.bot_id)
        if key != self._candidate:
            self._candidate, self._since = key, now
        return candidate if now - self._since >= stable_for else None

    def least_bad_candidate(self) -> Candidate | None:
        """A candidate whose nonce is known to be wrong, where no better one showed: sites do err."""
        wrong, self.wrong = self.wrong, frozenset()
        try:
            return self._best_candidate()[0]
        finally:
            self.wrong = wrong

    def _best_candidate(self) -> tuple[Candidate | None, float]:
        """The best candidate of this moment, and for how many seconds it has to be stable."""
        shown = self._choose_box()
        found = None if shown is None else self._nonce_for(shown)
        if shown is None or found is None:
            return None, 0.0
        nonce, source = found
        frame, is_parsed = shown.frame, self.state in ("interactive", "complete")
        stable_for = max(_STABLE_FOR[source], 0.0 if is_parsed else _STABLE_WHILE_LOADING)
        is_as_served = frame is not None and not (frame.is_scripted or self.is_static_known)
        if is_as_served and source is NonceSource.BOX:
            is_loaded = self.state == "complete"
            stable_for = max(stable_for, _STABLE_AS_SERVED if is_loaded else _STABLE_AS_SERVED_WHILE_LOADING)
        if shown.box.ajax_url in self.wrong_endpoints:
            if self.state != "complete":
                return None, 0.0
            stable_for = _STABLE_WITH_WRONG_ENDPOINT
        box = replace(shown.box, nonce=nonce, found_by="browser")
        return Candidate(box=box, nonce=nonce, page=shown.url), stable_for

    def _nonce_for(self, shown: _ShownBox) -> tuple[str, NonceSource] | None:
        for nonce, source in self._nonces_for(shown.box, shown.frame):
            if nonce is not None and self._is_plausible(nonce):
                return nonce, source
        return None

    def _nonces_for(self, box: ChatBox, frame: _Frame | None) -> Iterator[tuple[str | None, NonceSource]]:
        """Every nonce that may be the box's, the surest first."""
        yield box.nonce, NonceSource.BOX
        # Every box of a protocol on a page has the same nonce (docs/protocols.md C2).
        for other in frame.boxes if frame is not None else ():
            if other.protocol == box.protocol:
                yield other.nonce, NonceSource.BOX
        yield self._nonces.get(NonceSource.REQUEST), NonceSource.REQUEST
        own = self._own_frames()
        for one in [*([frame] if frame else []), *own]:
            yield one.nonces[box.protocol], NonceSource.GLOBAL
        for one in own:
            for name, members in one.globals.items():
                if name not in _PARAMS:
                    yield maybe_nonce(members.get("nonce")), NonceSource.REPLY
        for source in (NonceSource.ACTION, NonceSource.REPLY):
            yield self._nonces.get(source), source

    def _choose_box(self) -> _ShownBox | None:
        """The wanted box among those of the page itself, then of its site's frames."""
        shown = self._all_boxes()
        own = [one for one in shown if one.frame is None or one.frame.is_main]
        # One with its nonce first: an empty shell may stand beside the frame that has the chat.
        for some in (self._with_nonce(own), self._with_nonce(shown), shown):
            try:
                box = choose_box(tuple(one.box for one in some), self.bot, self.page)
            except ChatBoxNotFoundError:
                continue
            return next(one for one in some if one.box is box)
        return None

    def _with_nonce(self, shown: list[_ShownBox]) -> list[_ShownBox]:
        return [one for one in shown if one.box.nonce is not None and self._is_plausible(one.box.nonce)]

    def _all_boxes(self) -> list[_ShownBox]:
        shown = [_ShownBox(box, frame.page.url, frame) for frame in self._own_frames() for box in frame.boxes]
        bots = {one.box.bot_id for one in shown}
        return shown + [one for one in self._boxes_of_replies if one.box.bot_id not in bots]

    def _own_frames(self) -> list[_Frame]:
        """The page itself, then the frames of its site."""
        frames = sorted(self._frames.values(), key=lambda frame: not frame.is_main)
        return [frame for frame in frames if frame.is_main or self._is_own(frame.page.url)]

    def _is_own(self, url: str) -> bool:
        return is_same_site(url, self.page) or is_same_site(url, self.endpoint)

    def _add_boxes(self, markup: str) -> None:
        known = {(one.box.bot_id, one.box.nonce) for one in self._boxes_of_replies}
        for box in find_boxes(Page(markup.encode("utf-8", "replace"), self.page), self.endpoint):
            if (box.bot_id, box.nonce) not in known:
                self._boxes_of_replies.insert(0, _ShownBox(box, self.page))

    def _add_nonce(self, source: NonceSource, text: object) -> None:
        nonce = maybe_nonce(text)
        if nonce is not None and self._is_plausible(nonce):
            self._nonces[source] = nonce

    def _is_plausible(self, nonce: str) -> bool:
        if nonce in self.wrong:
            self.wrong_shown.add(nonce)
            return False
        return True


def may_hold_tokens(url: str) -> bool:
    """Whether a reply from there may hold a box or its nonce."""
    return AJAX_PATH in url or _EMBED_ROUTE in url


def _script_json(members: Mapping[str, str]) -> str:
    return json.dumps(dict(members)).replace("<", "\\u003c")


def _read_query(url: str) -> dict[str, str]:
    """The fields of a URL's query; none where it is no URL."""
    try:
        return dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        return {}


def _read_form(body: str) -> dict[str, str]:
    """The fields of a form, url-encoded or in parts."""
    if "Content-Disposition: form-data" in body[:2000]:
        return dict(re.findall(r'form-data; name="([^"]{1,60})"\r\n\r\n([^\r\n]{0,200})\r\n', body[:200_000]))
    return dict(parse_qsl(body[:200_000]))


def _members_of(value: object) -> Iterator[tuple[str, object]]:
    """A JSON value and everything in it, each with its key, "" where it has none."""
    pending: list[tuple[str, object]] = [("", value)]
    while pending:
        key, value = pending.pop()
        yield key, value
        if isinstance(value, dict):
            pending += reversed(value.items())
        elif isinstance(value, list):
            pending += (("", member) for member in reversed(value))


def _find_markup(value: object) -> Iterator[str]:
    """Markup of boxes in a member of a reply: as it stands, or made of a 2.x configuration."""
    if isinstance(value, str):
        if "<" in value and any(name in value for name in BOX_CLASSES):
            yield value
    elif isinstance(value, dict) and "botId" in value and "nonce" in value:
        config = html.escape(json.dumps(value))
        yield f"<div class='aipkit_chat_container' data-config='{config}'></div>"
