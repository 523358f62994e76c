"""Drift: the differences between a case and a new recording of the same page, in words. Pure.

It compares what the client relies on: the protocol, the boxes with their attributes, the rung of the tokens,
the form of the replies, the outcome. It does not compare texts, nonces and chunks, which differ from day to
day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from chatgptt._models import ChatBox
from chatgptt.protocols.sse import EventDecoder
from chatgptt.protocols.text import find_objects, loads
from chatgptt.recordings.case import Ask, Case, Exchange

_MOST_DEPTH = 6


def find_drift(before: Case, now: Case) -> list[str]:
    """The differences, a sentence each; empty where none matters."""
    return [
        *_protocol(before, now),
        *_boxes(before.boxes, now.boxes),
        *(f"after the page's scripts: {one}" for one in _boxes(before.rendered_boxes, now.rendered_boxes)),
        *_asks(before, now),
        *_replies(before, now),
    ]


def _protocol(before: Case, now: Case) -> Iterator[str]:
    if all(case.boxes or case.rendered_boxes for case in (before, now)):
        yield from _changed("the site speaks another protocol", before.protocol, now.protocol)
        yield from _changed("the plugin's version", before.plugin_version, now.plugin_version)
    was, is_ = before.served, now.served
    if was is not None and is_ is not None and was.status != is_.status:
        yield f"the page answers with HTTP {is_.status}, before with {was.status}"


def _changed(what: str, before: object, now: object) -> Iterator[str]:
    if before != now:
        yield f"{what}: {_text(before)} before, {_text(now)} now"


def _boxes(before: tuple[ChatBox, ...], now: tuple[ChatBox, ...]) -> Iterator[str]:
    old, new = _by_place(before), _by_place(now)
    for place in dict.fromkeys((*old, *new)):
        if place not in new:
            yield f"the {_describe(old[place])} is gone"
        elif place not in old:
            yield f"there is a new box: the {_describe(new[place])}"
    for place, box in old.items():
        if place in new:
            yield from _attributes(box, new[place])


def _by_place(boxes: tuple[ChatBox, ...]) -> dict[tuple[str, str, int, int], ChatBox]:
    """Boxes by protocol, kind and bot, and by their order where these are equal."""
    found: dict[tuple[str, str, int, int], ChatBox] = {}
    for box in boxes:
        turn = sum(1 for place in found if place[:3] == (box.protocol, box.kind, box.bot_id))
        found[box.protocol, box.kind, box.bot_id, turn] = box
    return found


def _describe(box: ChatBox) -> str:
    return f"{box.kind} box of bot {box.bot_id} ({box.protocol})"


def _attributes(old: ChatBox, new: ChatBox) -> Iterator[str]:
    name = _describe(old)
    if (old.nonce is None) != (new.nonce is None):
        yield f"the {name} shows {'no usable nonce any more' if new.nonce is None else 'its nonce now'}"
    if (old.consent == "") != (new.consent == ""):
        yield f"the {name} asks for {'consent now' if new.consent else 'no consent any more'}"
    for words, attribute in _ATTRIBUTES.items():
        yield from _changed(f"the {name} {words}", getattr(old, attribute), getattr(new, attribute))


_ATTRIBUTES = {
    "posts to": "ajax_url",
    "stands in the post": "post_id",
    "is called": "name",
    "sends back the page": "page_url",
    "expects a stream": "is_streaming",
    "takes so many history entries": "memory_limit",
    "has the image commands": "image_triggers",
}
"""Attributes of a box, by the words for each."""


def _asks(before: Case, now: Case) -> Iterator[str]:
    for number, (old, new) in enumerate(zip_longest(before.asks, now.asks), 1):
        which = "the call" if len(before.asks) == 1 else f"message {number}"
        if old is None or new is None:
            yield f"{which} was {'not recorded before' if old is None else 'not made now'}"
            continue
        if _outcome(old) != _outcome(new):
            yield f"{which} comes to {_outcome(new)}, before to {_outcome(old)}"
        elif old.rung != new.rung:
            yield f"the tokens for {which} come from {_text(new.rung)}, before from {_text(old.rung)}"
        if old.outcome == new.outcome == "answered" and old.is_streamed != new.is_streamed:
            yield f"the answer to {which} {'is a stream now' if new.is_streamed else 'is no stream any more'}"


def _outcome(ask: Ask) -> str:
    return " ".join(filter(None, (ask.outcome, ask.reason)))


def _text(value: object) -> str:
    match value:
        case None | "" | ():
            return "none"
        case tuple():
            return ", ".join(value)
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


# The form of replies


def _replies(before: Case, now: Case) -> Iterator[str]:
    old, new = _by_action(before), _by_action(now)
    for action in sorted(old.keys() | new.keys()):
        if action not in new:
            yield f"the request {action} is not made any more"
        elif action not in old:
            yield f"there is a new request: {action}"
        else:
            yield from _forms(action, old[action], new[action])


def _by_action(case: Case) -> dict[str, list[Exchange]]:
    found: dict[str, list[Exchange]] = {}
    for exchange in case.exchanges:
        if exchange.action and exchange.by == "client":  # the page's other requests do not matter
            found.setdefault(exchange.action, []).append(exchange)
    return found


def _forms(action: str, old: list[Exchange], new: list[Exchange]) -> Iterator[str]:
    was, is_ = ([one.status for one in some] for some in (old, new))
    if was != is_:
        yield f"{action} is answered with HTTP {_join(is_)}, before with {_join(was)}"
    kinds_before, kinds_now = ({one.media_type for one in some} for some in (old, new))
    if kinds_before != kinds_now:
        kinds = f"as {_join(sorted(kinds_now))}, before as {_join(sorted(kinds_before))}"
        yield f"{action} is answered {kinds}"
        return  # the parts of another kind cannot be compared
    parts_before, parts_now = (set().union(*map(_parts, some)) for some in (old, new))
    if gone := parts_before - parts_now:
        yield f"the reply to {action} lacks: {_join(sorted(gone))}"
    if fresh := parts_now - parts_before:
        yield f"the reply to {action} has in addition: {_join(sorted(fresh))}"
    ended, ends = ([one.ending for one in some] for some in (old, new))
    if set(ended) != set(ends):
        yield f"the reply to {action} is {_join(ends)}, before {_join(ended)}"


def _join(values: Iterable[str | int]) -> str:
    return ", ".join(dict.fromkeys(map(str, values))) or "nothing"


def _parts(exchange: Exchange) -> set[str]:
    """The events of a stream and the keys of its JSON, without their values."""
    text = exchange.body.decode("utf-8", "replace")
    if exchange.media_type != "text/event-stream":
        return {path for found in find_objects(text) for path in _paths(found, "", 0)}
    decoder = EventDecoder()
    events = [*decoder.receive(exchange.body), *decoder.end()]
    found: set[str] = set()
    for event in events:
        name = f"event {event.name or 'message'}"
        value = loads(event.data)
        found |= {f"{name}: {path}" for path in _paths(value, "", 0)} or {f"{name}: {_data_form(event.data)}"}
    return found | ({"lines that are no event"} if decoder.stray.strip() else set())


def _data_form(data: str) -> str:
    return data if re.fullmatch(r"\[[A-Z]{2,20}\]", data) else "text" if data else "nothing"


def _paths(value: object, path: str, depth: int) -> set[str]:
    if depth > _MOST_DEPTH:
        return {path}
    match value:
        case dict():
            return {
                one
                for key, member in value.items()
                for one in _paths(member, f"{path}.{key}".strip("."), depth + 1)
            }
        case list():
            return {one for member in value for one in _paths(member, f"{path}[]", depth + 1)} or {path}
        case _:
            return {path} if path else set()
