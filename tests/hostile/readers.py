"""Everything that reads foreign bytes, as functions from bytes to what came of them.

A reader gives values or an error of the project, and no text in either holds half a surrogate pair: `read` says
so by failing. The tests of this folder and the fuzzer take the readers from here.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from wire import AJAX, PAGE, head

from chatgptt._errors import ChatGpttError
from chatgptt._models import ChatBox, Question, ReplyEnding, ReplyHead, Request, Turn
from chatgptt.browser.observations import PageObservations
from chatgptt.browser.page_hints import hints_at_chat, needs_scripts, waits_for_consent
from chatgptt.protocols import aipkit, wpaicg
from chatgptt.protocols.box_choice import choose_box, find_boxes, foreign_sites
from chatgptt.protocols.page import Page, read_assigned_object
from chatgptt.protocols.prompt import check_message, fold, read_turns
from chatgptt.protocols.reply_errors import maybe_retry_after, read_failure, said, words_of
from chatgptt.protocols.sse import EventDecoder
from chatgptt.protocols.text import find_objects, is_html, lines_of, loads, read_object, unescape
from chatgptt.protocols.urls import has_host, is_same_site, origin, page_url, without_credentials
from chatgptt.protocols.walls import maybe_wall
from chatgptt.recordings import read_case

STATUSES = (200, 400, 403, 404, 429, 500, 503, 302)
PIECES = (2**16, 1, 7, 1000)
"""Into pieces of how many bytes a reply is cut."""


def read(reader: Callable[[bytes], object], data: bytes) -> object:
    """What a reader makes of `data`: its values, or the fields of the error."""
    try:
        found = reader(data)
    except ChatGpttError as error:
        found = error.as_dict()
    check_texts(found)
    return found


def check_texts(value: object) -> None:
    """Fails where a text in `value`, however deep, holds half a surrogate pair."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            one.encode()
        elif isinstance(one, Mapping):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            todo += one
        elif dataclasses.is_dataclass(one):
            todo += [getattr(one, field.name) for field in dataclasses.fields(one)]
        elif isinstance(one, ChatGpttError):
            todo.append(one.as_dict())


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _wide_text(data: bytes) -> str:
    """As a browser hands text over: with halves of surrogate pairs in it."""
    return data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")


def read_reply(
    protocol: str, reply_head: ReplyHead, pieces: Iterable[bytes]
) -> tuple[list[str], list[str], ReplyEnding]:
    """A reply, as the client reads it."""
    kinds: Mapping[str, type[wpaicg.ReplyReader] | type[aipkit.ReplyReader]] = {
        "wpaicg": wpaicg.ReplyReader,
        "aipkit": aipkit.ReplyReader,
    }
    reader = kinds[protocol](reply_head)
    texts: list[str] = []
    for piece in pieces:
        texts += reader.receive(piece)
        if reader.is_finished:
            break
    rest, ending = reader.end()
    assert "".join([*texts, *rest]) == reader.text
    return texts, rest, ending


def _cut(data: bytes) -> tuple[ReplyHead, bytes, int]:
    """The first two bytes say the status and how the rest is cut, as the fuzzer likes it."""
    first, second = (*data[:2], 0, 0)[:2]
    kind = ("stream", "json", "html")[second // 16 % 3]
    return head(kind, STATUSES[first % len(STATUSES)]), data[2:], PIECES[second % len(PIECES)]


def read_wpaicg(data: bytes) -> object:
    reply_head, body, size = _cut(data)
    return read_reply("wpaicg", reply_head, pieces_of(body, size))


def read_aipkit(data: bytes) -> object:
    reply_head, body, size = _cut(data)
    return read_reply("aipkit", reply_head, pieces_of(body, size))


def read_upload(data: bytes) -> object:
    reply_head, body, _ = _cut(data)
    nonce = aipkit.maybe_fresh_nonce(reply_head, _text(body))
    return nonce, aipkit.read_cache_key(reply_head, _text(body))


def read_events(data: bytes) -> object:
    _, body, size = _cut(data)
    decoder = EventDecoder()
    events = [event for piece in pieces_of(body, size) for event in decoder.receive(piece)]
    return [*events, *decoder.end()], decoder.stray


def read_failures(data: bytes) -> object:
    reply_head, body, _ = _cut(data)
    value, _, text = _text(body).partition("\n")
    headers = {**reply_head.headers, "retry-after": value, "cf-mitigated": value, "sg-captcha": value}
    odd_head = dataclasses.replace(reply_head, headers=headers)
    found = (maybe_wall(odd_head, text), maybe_retry_after(odd_head), said(text), is_html(text))
    failures = (
        read_failure(odd_head, text),
        *(read_failure(reply_head, text, is_endpoint=is_it) for is_it in (False, True)),
    )
    moved = dataclasses.replace(reply_head, status=302, headers={"location": value})
    return found, failures, read_failure(moved, text, is_endpoint=True), words_of(text)


def read_page(data: bytes) -> object:
    page = Page(data, PAGE)
    boxes = find_boxes(page)
    found = (page.title, page.scripts, page.combined_scripts, page.roots, page.plugin_version, page.beginning)
    hints = (
        hints_at_chat(page),
        needs_scripts(page),
        wpaicg.find_page_nonce(page),
        foreign_sites(page),
    )
    return found, hints, boxes, _requests(boxes), _choice(boxes)


def _requests(boxes: Iterable[ChatBox]) -> list[Request]:
    """What would be sent to the boxes."""
    requests = []
    for box in boxes:
        question = Question(text="a <b> %41", history=(Turn(role="user", content='"x"'),))
        if box.protocol == "wpaicg":
            requests.append(
                wpaicg.build_message(box, "3fa4c91b07", question, client_id="abcdefghij", chat_id=1)
            )
        else:
            requests.append(aipkit.build_upload(box, "3fa4c91b07", "text", message_id="id"))
            requests.append(aipkit.build_nonce_request(box))
    return requests


def _choice(boxes: tuple[ChatBox, ...]) -> list[object]:
    found: list[object] = []
    for bot in (None, "no such bot"):
        try:
            found.append(choose_box(boxes, bot, PAGE))
        except ChatGpttError as error:
            found.append(error)
    return found


def read_document(data: bytes) -> object:
    """A page as the browser rung has it."""
    _, _, body = data.partition(b"\n")
    return waits_for_consent(_wide_text_or_not(body)), read_page(body)


def _wide_text_or_not(data: bytes) -> str:
    try:
        return _wide_text(data)
    except UnicodeDecodeError:
        return _text(data)


def read_text(data: bytes) -> object:
    text = _wide_text_or_not(data)
    objects = list(find_objects(text))
    assert "\n".join(lines_of(text)) == text
    members = read_assigned_object(f"x = {text}", "x")
    return objects, loads(text), read_object(text), members if text.isascii() else {}, unescape(_text(data))


def read_prompt(data: bytes) -> object:
    text = _wide_text_or_not(data)
    turns = read_turns(loads(text) or text)
    check_message(fold(turns))
    return turns, fold(turns)


def read_url(data: bytes) -> object:
    text = _wide_text_or_not(data)
    shown = without_credentials(_text(data))
    if has_host(text):
        origin(text)
    same = is_same_site(text, PAGE), is_same_site(PAGE, text)
    page = Page(b"", PAGE)
    ajax = page.ajax_url(_text(data)), page.is_foreign(_text(data))
    asked = page_url(text)
    assert has_host(asked)
    return shown, same, ajax, asked, Page(b"", asked).roots


def read_observations(data: bytes) -> object:
    """Reports of a page in the browser: the first line is an address, the second the body of a request."""
    observations = PageObservations(page=PAGE, bot=None)
    text = _wide_text_or_not(data)
    url, _, rest = text.partition("\n")
    fields, _, told = rest.partition("\n")
    observations.observe_frame("main", PAGE, is_main=True, text=told)
    observations.observe_request(url, fields)
    observations.observe_request(f"{AJAX}?{url}", fields)
    observations.observe_reply(f"{AJAX}?{url}", told, fields)
    observations.observe_reply(url, told)
    found = (
        observations.choose_candidate(0.0),
        observations.least_bad_candidate(),
        observations.choose_candidate(9.0),
    )
    state = observations.state if observations.state.isascii() else ""
    return found, observations.boxes, state, observations.wrong_shown


_FOLDER = tempfile.TemporaryDirectory()


def read_stored_case(data: bytes) -> object:
    folder = Path(_FOLDER.name)
    (folder / "case.toml").write_bytes(data)
    (folder / "body.txt").write_bytes(b"12345")
    try:
        return read_case(folder)
    except ChatGpttError as error:
        return type(error).__name__


READERS: dict[str, Callable[[bytes], object]] = {
    "page": read_page,
    "document": read_document,
    "wpaicg": read_wpaicg,
    "aipkit": read_aipkit,
    "upload": read_upload,
    "events": read_events,
    "failures": read_failures,
    "text": read_text,
    "prompt": read_prompt,
    "url": read_url,
    "observations": read_observations,
    "case": read_stored_case,
}
"""By the names that the fuzzer knows them by."""
