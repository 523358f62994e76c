"""The history as one HTML page that needs nothing else: no script, no font, no request. Light and dark.

Colour never stands alone: what failed is taller, marked, and named in words. The drawings are as wide as the
page and hold no text, so that a phone shows their labels as large as its own words.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count, pairwise

from chatgptt._models import Level
from chatgptt.health.report import Verdict, minute, worst
from chatgptt.health.trends import (
    Check,
    Names,
    PhaseTimes,
    Trend,
    current_trends,
    group_by_scope,
    percentile,
    read_trend,
)

_WIDTH = 1000
"""Units of a drawing from left to right, whatever its width on the page."""
_BUCKETS = 96
"""Cells of the timeline: a quarter of an hour each for a day, an hour and 45 minutes for a week."""
_STEP = _WIDTH / _BUCKETS
_MOST_ROWS = 20
"""Incidents and changes shown, the newest; the history has the others."""

Pictures = Mapping[tuple[str, str, Level], bytes]
"""What a browser saw in the last check, as PNG, by page, bot and level."""

_MARKS: dict[Verdict, str] = {"ok": "✓", "warning": "!", "critical": "✕", "unknown": "?"}
_WORDS: dict[Verdict, str] = {
    "ok": "works",
    "warning": "works, with a warning",
    "critical": "does not work",
    "unknown": "could not be checked",
}


@dataclass(slots=True)
class _Bucket:
    """One cell of time: its checks."""

    began: float
    ended: float
    checks: list[Check]


def report_page(
    histories: Sequence[Sequence[Check]],
    names: Names | None = None,
    pictures: Pictures | None = None,
    *,
    since: float,
    until: float,
) -> str:
    """The page for the checks of some sites, from `since` to now, which is `until`, in Unix time.

    A site without any is left out; one that was checked in several ways has a section for each.
    """
    shown = [checks for history in histories for checks in group_by_scope(history)]
    trends = [read_trend(checks, names) for checks in shown]
    first = max(since, min((trend.since for trend in trends), default=since))
    sections = "".join(
        _section(trend, checks, first, until, (pictures or {}).get((trend.site, trend.bot, trend.level)))
        for trend, checks in zip(trends, shown, strict=True)
    )
    verdicts = _verdicts(trends)
    overall = worst(verdicts.values())
    headline = "No checks yet" if not trends else f"{_MARKS[overall]} {_headline(verdicts)}"
    style = files("chatgptt.health").joinpath("html_report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Chat sites: {_safe(headline)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1 class="{overall}">{_safe(headline)}</h1>\n'
        f"<p>Made {minute(until)} UTC, of the checks since {minute(first)}.</p>{_LEGEND}</header>\n"
        f"{sections}</main>\n</body>\n</html>\n"
    )


def _verdicts(trends: Sequence[Trend]) -> dict[str, Verdict]:
    """The state of each site: the worst verdict of its current trends."""
    found: dict[str, list[Verdict]] = {}
    for trend in current_trends(trends):
        found.setdefault(trend.name or trend.site, []).append(trend.verdict)
    return {site: worst(verdicts) for site, verdicts in found.items()}


def _headline(verdicts: Mapping[str, Verdict]) -> str:
    working = sum(verdict in ("ok", "warning") for verdict in verdicts.values())
    if len(verdicts) == 1:
        return f"The site {_WORDS[worst(verdicts.values())]}"
    return f"{working} of {len(verdicts)} sites work"


def _section(trend: Trend, checks: Sequence[Check], first: float, until: float, picture: bytes | None) -> str:
    buckets = _buckets(checks, first, max(until - first, 1e-4))
    facts = [f"{trend.checks} check{'s' if trend.checks != 1 else ''}", _safe(trend.scope)]
    if trend.availability is not None:
        facts.insert(0, f"<b>{_share(trend.availability)}</b> available")
    if trend.median is not None and trend.p95 is not None:
        facts.append(f"median {_seconds(trend.median)}, 95 % within {_seconds(trend.p95)}")
    last = next((check for check in reversed(checks) if check.protocol), None)
    if last is not None:
        facts.append(f"speaks {last.protocol}" + (f", tokens from {last.rung}" if last.rung else ""))
    return (
        f'<section>\n<h2><span class="badge {trend.verdict}">{_MARKS[trend.verdict]} {trend.verdict}</span> '
        f"{_title(trend)}</h2>\n<p>{' · '.join(facts)}</p>\n"
        f"{_last_words(trend, checks)}{_picture(picture)}"
        f"<h3>Availability</h3>\n{_timeline(buckets)}"
        f"<h3>Time of a check</h3>\n{_latency(buckets)}"
        f'<div class="columns"><div><h3>Where the time goes</h3>\n{_phases(trend.phases)}</div>\n'
        f"<div>{_incidents(trend)}{_changes(trend)}</div></div>\n</section>\n"
    )


def _title(trend: Trend) -> str:
    if trend.name is None:
        return _safe(trend.site)
    return f'{_safe(trend.name)} <span class="faint">{_safe(trend.site)}</span>'


def _last_words(trend: Trend, checks: Sequence[Check]) -> str:
    """The last check in words, and what to do."""
    if trend.verdict == "ok":
        return ""
    last = checks[-1]
    hint = f"<br>\nWhat to do: {_safe(last.hint)}" if last.hint else ""
    words = f"{minute(last.checked_at)} UTC: {_safe(last.summary)}{hint}"
    return f'<p class="words {trend.verdict}">{words}</p>\n'


def _picture(png: bytes | None) -> str:
    if png is None:
        return ""
    data = base64.b64encode(png).decode()
    image = f'<img alt="The page as the browser saw it" src="data:image/png;base64,{data}">'
    return f"<details><summary>What the browser saw</summary>\n{image}\n</details>\n"


def _buckets(checks: Sequence[Check], first: float, seconds: float) -> list[_Bucket]:
    edges = [first + seconds * place / _BUCKETS for place in range(_BUCKETS + 1)]
    buckets = [_Bucket(began, ended, []) for began, ended in pairwise(edges)]
    for check in checks:
        place = int((check.checked_at - first) / seconds * _BUCKETS)
        buckets[min(_BUCKETS - 1, max(0, place))].checks.append(check)
    return buckets


# The drawings. Their units are as many pixels high; in width they are stretched


def _timeline(buckets: Sequence[_Bucket]) -> str:
    cells = ""
    for place, bucket in enumerate(buckets):
        across = f'x="{place * _STEP:.1f}" width="{_STEP - 1.5:.1f}"'
        if not bucket.checks:
            cells += f'<rect class="none" {across} y="21" height="2"/>'
            continue
        verdict = worst(check.verdict for check in bucket.checks)
        y, height = (2, 40) if verdict == "critical" else (8, 28)
        title = f"<title>{_safe(_cell_words(bucket))}</title>"
        cells += f'<rect class="{verdict}" {across} y="{y}" height="{height}">{title}</rect>'
    return _chart(cells, 44, "Availability over time", buckets)


def _chart(drawing: str, height: int, label: str, buckets: Sequence[_Bucket], ticks: str = "") -> str:
    """A drawing with the times below it, and the labels of its other axis beside it."""
    shown = (buckets[0].began, buckets[_BUCKETS // 2].began, buckets[-1].ended)
    times = "".join(f"<span>{minute(at)}</span>" for at in shown)
    return (
        f'<div class="chart"><div class="ticks">{ticks}</div>'
        f'<svg viewBox="0 0 {_WIDTH} {height}" height="{height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{drawing}</svg><div class="times">{times}</div></div>\n'
    )


def _cell_words(bucket: _Bucket) -> str:
    counts = {verdict: sum(check.verdict == verdict for check in bucket.checks) for verdict in _MARKS}
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    bad = next((check for check in bucket.checks if check.verdict == "critical"), None)
    failure = f"; {bad.summary}" if bad else ""
    return f"{minute(bucket.began)} to {minute(bucket.ended)}: {verdicts}{failure}"


def _latency(buckets: Sequence[_Bucket]) -> str:
    runs: list[list[tuple[float, float, float]]] = [[]]
    for place, bucket in enumerate(buckets):
        times = [check.elapsed for check in bucket.checks if check.verdict in ("ok", "warning")]
        if times:
            runs[-1].append(((place + 0.5) * _STEP, percentile(times, 0.5), percentile(times, 0.95)))
        elif runs[-1]:
            runs.append([])  # no line is drawn over a time in which nothing was measured
    points = [point for run in runs for point in run]
    if not points:
        return "<p>No check passed, so there are no times.</p>\n"
    ticks = _ticks(max(p95 for _, _, p95 in points))
    top, bottom = 12.0, 168.0

    def y(seconds: float) -> float:
        return bottom - (bottom - top) * seconds / ticks[-1]

    grid = "".join(
        f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>' for tick in ticks
    )
    labels = "".join(f'<span style="top:{y(tick):.0f}px">{_seconds(tick)}</span>' for tick in ticks)
    lines = ""
    for run in runs:
        medians = [f"{x:.1f},{y(median):.1f}" for x, median, _ in run]
        above = [f"{x:.1f},{y(p95):.1f}" for x, _, p95 in run]
        lines += f'<polygon class="band" points="{" ".join([*above, *reversed(medians)])}"/>'
        lines += f'<polyline class="line" points="{" ".join(medians)}"/>'
    dots = "".join(
        f'<path class="dot" d="M{x:.1f} {y(median):.1f} h0">'
        f"<title>median {_seconds(median)}, 95 % within {_seconds(p95)}</title></path>"
        for x, median, p95 in points
    )
    failed = "".join(
        f'<path class="mark" d="M{(place + 0.5) * _STEP:.1f} 171 v9"><title>critical</title></path>'
        for place, bucket in enumerate(buckets)
        if any(check.verdict == "critical" for check in bucket.checks)
    )
    return (
        _chart(f"{grid}{lines}{dots}{failed}", 182, "Time of a check over time", buckets, labels)
        + '<p class="faint">line: median; band: up to the 95th percentile; stroke below: a check failed</p>\n'
    )


def _phases(phases: Sequence[PhaseTimes]) -> str:
    if not phases:
        return "<p>Nothing was measured.</p>\n"
    longest = max(times.p95 for times in phases) or 1.0
    rows = []
    for times in phases:
        median, p95 = (max(100 * value / longest, 1.0) for value in (times.median, times.p95))
        rows.append(
            f"<span>{times.name.replace('_', ' ')}</span>"
            f'<span class="bars"><i class="band" style="width:{p95:.1f}%"></i>'
            f'<i class="bar" style="width:{median:.1f}%"></i></span>'
            f'<span>{_seconds(times.median)} <span class="faint">/ {_seconds(times.p95)}</span></span>\n'
        )
    return (
        f'<div class="phases">\n{"".join(rows)}</div>\n'
        '<p class="faint">median / 95th percentile, of checks in which the phase passed</p>\n'
    )


def _ticks(most: float) -> list[float]:
    """Two to five round numbers from 0 to `most` or above."""
    steps = (factor * 10.0**power for power in count(-3) for factor in (1, 2, 5))
    step = next(step for step in steps if step * 4 >= most)
    return [step * place for place in range(max(1, math.ceil(most / step)) + 1)]


def _incidents(trend: Trend) -> str:
    if not trend.incidents:
        return "<h3>Incidents</h3>\n<p>None.</p>\n"
    rows = "".join(
        f"<tr><td>{minute(incident.began_at)}</td><td>{_lasted(incident.began_at, incident.ended_at)}</td>"
        f"<td><code>{_safe(incident.code)}</code></td><td>{_safe(incident.summary[:200])}</td></tr>\n"
        for incident in reversed(trend.incidents[-_MOST_ROWS:])
    )
    return "<h3>Incidents</h3>\n" + _table(rows, "began", "lasted", "code", "what")


def _changes(trend: Trend) -> str:
    if not trend.changes:
        return ""
    rows = "".join(
        f"<tr><td>{minute(change.at)}</td><td>{change.what}</td>"
        f"<td>{_safe(change.before)} → {_safe(change.after)}</td></tr>\n"
        for change in reversed(trend.changes[-_MOST_ROWS:])
    )
    return "<h3>Changes</h3>\n" + _table(rows, "when", "what", "from and to")


def _table(rows: str, *columns: str) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    return f"<table><tr>{head}</tr>\n{rows}</table>\n"


def _lasted(began_at: float, ended_at: float | None) -> str:
    if ended_at is None:
        return "until now"
    minutes = (ended_at - began_at) / 60.0
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def _share(share: float) -> str:
    return f"{share * 100:.2f} %" if share < 1 else "100 %"


def _seconds(seconds: float) -> str:
    if seconds == 0:
        return "0"
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s"


def _safe(text: str) -> str:
    """Text of a site, for HTML; what is invisible or turns the reading direction is shown as what it is."""
    return html.escape("".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text))


_LEGEND = (
    '<p class="legend faint"><i class="ok"></i> ok <i class="warning"></i> warning '
    '<i class="critical"></i> critical, taller <i class="unknown"></i> unknown</p>'
)
