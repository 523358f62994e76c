"""Scrubbing: from a recording to a case that can be published, or to an error. Pure.

1. `find_secrets` collects the values that must not be published (secret_search.py). 2. A `Cleaner` replaces
each value wherever it occurs, in any escaping, by a stand-in, everywhere the same (cleaner.py). 3. `check`
unwraps the result and searches it for every value. If it finds one, nothing is written.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from chatgptt._models import ChatBox
from chatgptt.protocols.box_choice import find_boxes
from chatgptt.protocols.page import Page
from chatgptt.protocols.urls import origin
from chatgptt.recordings.case import Ask, Case, CaseError, Recording
from chatgptt.recordings.case_file import files_of
from chatgptt.recordings.cleaner import Cleaner
from chatgptt.recordings.finder import Word, tree
from chatgptt.recordings.secret_search import Secret, find_secrets, unwrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubReport:
    """The counts of what was replaced and left out.

    Attributes:
        values: how many different values of each kind were found.
        places: how often they were replaced.
        removed: how many parts of pages were left out, by kind.
        headers: how many headers of replies were dropped.
    """

    values: Counter[str]
    places: Counter[str]
    removed: Counter[str]
    headers: int

    def lines(self) -> list[str]:
        """The report in words, one fact a line."""
        found = [
            f"{kind}: {_counted(number, 'value')} in {_counted(self.places[kind], 'place')} replaced"
            for kind, number in sorted(self.values.items())
        ]
        found += [
            f"{what}: {_counted(number, 'place')} taken out" for what, number in sorted(self.removed.items())
        ]
        return [*found, f"headers: {self.headers} dropped"]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def scrub(recording: Recording) -> tuple[Case, ScrubReport]:
    """The recording as a case that can be published, and the report.

    Raises:
        CaseError: where a secret would remain, or the page would show other boxes.
    """
    secrets = find_secrets(recording)
    cleaner = Cleaner(recording, secrets)
    exchanges = tuple(cleaner.clean_exchange(exchange) for exchange in recording.exchanges)
    case = Case(
        recorded=datetime.datetime.fromtimestamp(recording.recorded_at, datetime.UTC).date(),
        page=cleaner.clean_text(recording.page),
        asks=tuple(_clean_ask(ask, cleaner) for ask in recording.asks),
        exchanges=exchanges,
        bot=cleaner.clean_text(recording.bot),
        strategy=recording.strategy,
        note=cleaner.clean_text(recording.note),
        rendered=cleaner.clean_page(recording.rendered),
    )
    case = replace(case, boxes=boxes_of(case), rendered_boxes=rendered_boxes_of(case))
    before = boxes_of(
        Case(recorded=case.recorded, page=recording.page, asks=case.asks, exchanges=recording.exchanges)
    )
    if [_plain(box, cleaner) for box in before] != [_plain(box, cleaner) for box in case.boxes]:
        raise CaseError(
            "scrubbing would change which chat boxes the page shows; nothing was written",
            hint="tell the project, with the markup of the boxes",
        )
    check(case, secrets)
    report = ScrubReport(
        values=Counter(secret.kind for secret in secrets),
        places=cleaner.places,
        removed=cleaner.removed,
        headers=cleaner.dropped,
    )
    return case, report


def boxes_of(case: Case) -> tuple[ChatBox, ...]:
    """The boxes in the page as the site sent it, by extraction alone."""
    served = case.served
    if served is None or served.status >= 400 or served.media_type not in ("", "text/html", "text/plain"):
        return ()
    return tuple(find_boxes(Page(served.body, f"{origin(case.page)}{served.path}")))


def rendered_boxes_of(case: Case) -> tuple[ChatBox, ...]:
    """The boxes in the document that the browser made of the page, by extraction alone."""
    return tuple(find_boxes(Page(case.rendered, case.page))) if case.rendered else ()


def _plain(box: ChatBox, cleaner: Cleaner) -> tuple[object, ...]:
    """The parts of a box that scrubbing must not change, with cleaned texts."""
    texts = (box.ajax_url, box.nonce or "", box.name, box.page_url, box.consent)
    return (
        *(cleaner.clean_text(text) for text in texts),
        (box.protocol, box.kind, box.bot_id, box.post_id, box.is_streaming, box.memory_limit),
        (box.image_triggers, box.plugin_version),
    )


def _clean_ask(ask: Ask, cleaner: Cleaner) -> Ask:
    message = None if ask.message is None else cleaner.clean_text(ask.message)
    return replace(ask, message=message, text=cleaner.clean_text(ask.text))


def check(case: Case, secrets: Iterable[Secret]) -> None:
    """Searches the files of a case for every secret, in every escaping.

    Raises:
        CaseError: with file and kind of the secrets that remain, never their value.
    """
    wanted = {secret.value.lower(): secret.kind for secret in secrets if secret.kind != "time"}
    if not wanted:
        return
    coded = {
        code.decode(): secret.kind
        for secret in secrets
        if secret.kind != "time"
        for code in _in_base64(secret.value)
    }
    in_views, in_data = (
        re.compile(tree([Word(tuple(map(re.escape, value))) for value in some])) for some in (wanted, coded)
    )
    left: dict[str, None] = {}
    for name, data in files_of(case).items():
        text = data.decode("utf-8", "surrogateescape")
        found = {wanted[match[0]] for view in unwrapped(text) for match in in_views.finditer(view.lower())}
        found |= {coded[match[0]] for match in in_data.finditer(text)}
        left |= dict.fromkeys(f"a {kind} in {name}" for kind in sorted(found))
    if left:
        raise CaseError(
            f"scrubbing would leave {', '.join(left)}; nothing was written",
            hint="tell the project in what form the value stands there, without the value",
        )


def _in_base64(value: str) -> Iterator[bytes]:
    """The characters of a value in base64, at each of the three alignments."""
    data = value.encode("utf-8", "surrogatepass")
    for before in range(3):
        code = base64.b64encode(b"\0" * before + data)
        whole = (before + len(data)) * 8 // 6
        yield code[-(-before * 8 // 6) : whole]
