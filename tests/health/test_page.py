"""The report page: whole in itself, true to the history, and safe with words of a site."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from health.samples import CRITICAL, NOON, OK, UNKNOWN, WARNING

from chatgptt.health.history import History
from chatgptt.health.html_report import _seconds, _ticks, report_page
from chatgptt.health.report import HealthReport

DAY = 86_400.0
VOID = {"meta", "br", "link", "img", "input"}


class Tags(HTMLParser):
    """Every tag with its attributes; fails where one is left open."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str, css_class: str) -> int:
        return sum(
            name == tag and css_class in (attrs.get("class") or "").split() for name, attrs in self.found
        )


def page_of(tmp_path: Path, *reports: HealthReport, until: float = NOON + DAY) -> str:
    history = History(tmp_path)
    history.add(reports)
    return report_page([history.read(site, 0.0) for site in history.sites()], since=0.0, until=until)


def test_a_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text = page_of(tmp_path, OK, WARNING, CRITICAL, UNKNOWN)
    tags = Tags(text)
    assert not {tag for tag, _ in tags.found} & {"script", "link", "img", "iframe", "object", "embed"}
    assert not any(
        name in attrs or name.startswith("on")
        for _, attrs in tags.found
        for name in attrs
        if name in ("src", "href")
    )
    assert "url(" not in text
    assert "@import" not in text
    assert "@media (prefers-color-scheme: dark)" in text


def test_the_timeline_shows_each_verdict(tmp_path: Path) -> None:
    made = [replace(OK, site="https://a.example/", checked_at=NOON + n * 900) for n in range(96)]
    made[10] = replace(CRITICAL, site=made[10].site, checked_at=made[10].checked_at)
    made[20] = replace(WARNING, site=made[20].site, checked_at=made[20].checked_at)
    made[30] = replace(UNKNOWN, site=made[30].site, checked_at=made[30].checked_at)
    del made[40]
    tags = Tags(page_of(tmp_path, *made))
    counts = [tags.count("rect", name) for name in ("ok", "warning", "critical", "unknown", "none")]
    assert counts == [92, 1, 1, 1, 1]
    assert tags.count("polyline", "line") == 4  # no line is drawn where nothing passed
    assert tags.count("path", "mark") == 1


def test_incidents_and_changes_are_listed(tmp_path: Path) -> None:
    site = "https://a.example/"
    text = page_of(
        tmp_path,
        replace(OK, site=site),
        replace(CRITICAL, site=site, checked_at=NOON + 600, summary="page: gone"),
        replace(OK, site=site, checked_at=NOON + 6000, protocol="aipkit"),
        replace(CRITICAL, site=site, checked_at=NOON + 9000, summary="page: gone again"),
    )
    assert re.search(
        r"<td>2025-06-16 14:30</td><td>until now</td><td><code>http_error</code></td><td>page: gone again",
        text,
    )
    assert re.search(r"<td>2025-06-16 12:10</td><td>90 min</td>|<td>1\.5 h</td>", text)
    assert "wpaicg → aipkit" in text
    assert "✕ The site does not work" in text


def test_it_says_when_it_was_made_and_what_to_do(tmp_path: Path) -> None:
    text = page_of(tmp_path, OK, UNKNOWN)
    assert "Made 2025-06-17 12:00 UTC, of the checks since 2025-06-16 12:00." in text
    assert "2025-06-16 12:00 UTC: tokens: no browser<br>\nWhat to do: " in text
    assert text.count("What to do: ") == 1


def test_a_named_site_is_called_by_its_name(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add([OK, replace(OK, bot="5")])
    names = {(OK.site, ""): "shop <1>"}
    text = report_page([history.read(OK.site, 0.0)], names, since=0.0, until=NOON)
    address = "https://shop.example/chat?lang=en"
    assert f'</span> shop &lt;1&gt; <span class="faint">{address}</span></h2>' in text
    assert f"</span> {address}</h2>" in text


def test_no_drawing_holds_text(tmp_path: Path) -> None:
    tags = Tags(page_of(tmp_path, OK, WARNING, CRITICAL))
    assert not {tag for tag, _ in tags.found} & {"text", "tspan"}


def test_words_of_a_site_are_text(tmp_path: Path) -> None:
    text = page_of(tmp_path, CRITICAL)
    Tags(text)
    assert "<b>" not in text.replace("<b>0.00 %</b>", "")
    assert "&lt;b&gt;|" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "reports", [(), (OK,), (CRITICAL,), (UNKNOWN,)], ids=["none", "one", "failed", "unknown"]
)
def test_little_is_enough_for_a_page(reports: tuple[HealthReport, ...], tmp_path: Path) -> None:
    Tags(page_of(tmp_path, *reports, until=NOON))


@pytest.mark.parametrize("most", [0.0, 0.00001, 0.004, 0.0041, 0.05, 0.9, 4.0, 61.0, 10_000.0])
def test_an_axis_has_few_round_marks_that_reach_over_all(most: float) -> None:
    ticks = _ticks(most)
    assert ticks[0] == 0.0
    assert ticks[-1] >= most
    assert 2 <= len(ticks) <= 6


def test_times_are_shown_in_their_unit() -> None:
    assert [_seconds(value) for value in (0, 0.0004, 0.05, 0.1, 2.0, 61.4)] == [
        "0",
        "0.4 ms",
        "50 ms",
        "0.1 s",
        "2 s",
        "61.4 s",
    ]
