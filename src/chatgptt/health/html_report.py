"""The history as one HTML page that needs nothing else: no script, no font, no request. Light and dark.

Colour never stands alone: what failed is taller, marked, and named in words. The drawings are as wide as the
page and hold no text, so that a phone shows their labels as large as its own words.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
"""Cells of the timeline: a quarter of an hour each for a day, an hour and 50 minutes for a week."""
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


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One cell of time: its checks."""

    began: float
    ended: float
    checks: tuple[Check, ...]


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
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Chat sites: {_safe(headline)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
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
    buckets = _buckets(checks, first, until)
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
        f"<h3>Availability</h3>\n{_timeline(buckets, first, until)}"
        f"<h3>Time of a check</h3>\n{_latency(buckets, first, until)}"
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


def _buckets(checks: Sequence[Check], first: float, until: float) -> list[_Bucket]:
    width = max((until - first) / _BUCKETS, 1e-6)
    cells: list[list[Check]] = [[] for _ in range(_BUCKETS)]
    for check in checks:
        cells[min(_BUCKETS - 1, max(0, int((check.checked_at - first) / width)))].append(check)
    return [
        _Bucket(first + place * width, first + (place + 1) * width, tuple(cell))
        for place, cell in enumerate(cells)
    ]


# The drawings. Their units are as many pixels high; in width they are stretched


def _timeline(buckets: Sequence[_Bucket], first: float, until: float) -> str:
    step = _WIDTH / len(buckets)
    cells = []
    for place, bucket in enumerate(buckets):
        x = place * step
        if not bucket.checks:
            cells.append(f'<rect class="none" x="{x:.1f}" y="21" width="{step - 1.5:.1f}" height="2"/>')
            continue
        verdict = worst(check.verdict for check in bucket.checks)
        y, height = (2, 40) if verdict == "critical" else (8, 28)
        place_and_size = f'x="{x:.1f}" y="{y}" width="{step - 1.5:.1f}" height="{height}"'
        title = f"<title>{_safe(_cell_words(bucket))}</title>"
        cells.append(f'<rect class="{verdict}" {place_and_size}>{title}</rect>')
    return _chart("".join(cells), 44, "Availability over time", first, until)


def _chart(drawing: str, height: int, label: str, first: float, until: float, ticks: str = "") -> str:
    """A drawing with the times below it, and the labels of its other axis beside it."""
    times = "".join(f"<span>{minute(first + (until - first) * part)}</span>" for part in (0.0, 0.5, 1.0))
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


def _latency(buckets: Sequence[_Bucket], first: float, until: float) -> str:
    step = _WIDTH / len(buckets)
    runs: list[list[tuple[float, float, float]]] = [[]]
    for place, bucket in enumerate(buckets):
        times = [check.elapsed for check in bucket.checks if check.verdict in ("ok", "warning")]
        if times:
            x = (place + 0.5) * step
            runs[-1].append((x, percentile(times, 0.5), percentile(times, 0.95)))
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
        f'<path class="mark" d="M{(place + 0.5) * step:.1f} 171 v9"><title>critical</title></path>'
        for place, bucket in enumerate(buckets)
        if any(check.verdict == "critical" for check in bucket.checks)
    )
    return (
        _chart(f"{grid}{lines}{dots}{failed}", 182, "Time of a check over time", first, until, labels)
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
    """Three to five round numbers from 0 to above `most`."""
    step = 0.001
    factors: Iterator[float] = iter(_STEPS)
    while step * 4 < most:
        step *= next(factors, 10.0)
    count = max(1, -int(-most // step))
    return [step * place for place in range(count + 1)]


_STEPS = (2.0, 2.5, 2.0) * 6  # 1, 2, 5, 10, 20, 50 ...


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
_STYLE = """
:root { --page: #f6f7f9; --card: #ffffff; --text: #1b1f24; --faint: #5b6470; --line: #d9dee5;
  --ok: #1f8a50; --warning: #a06d00; --critical: #c9302c; --unknown: #69727e; --on: #ffffff;
  --bar: #2f6fbd; --band: #b9d2f0; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171c; --card: #1e2229; --text: #e6e9ee; --faint: #9aa4b1; --line: #343b46;
    --ok: #3fb875; --warning: #e0ad2f; --critical: #ef6460; --unknown: #7d8794; --on: #14171c;
    --bar: #6ba6ee; --band: #2f4766; }
}
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 26px; }
h1.ok { color: var(--ok); } h1.warning { color: var(--warning); }
h1.critical { color: var(--critical); } h1.unknown { color: var(--unknown); }
h2 { margin: 0; font-size: 18px; } h2 .faint { font-weight: 400; }
h3 { margin: 18px 0 6px; font-size: 14px; color: var(--faint); font-weight: 600; }
p { margin: 6px 0; }
section { margin-top: 20px; padding: 18px 20px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
.faint { color: var(--faint); font-size: 13px; }
.ok { --own: var(--ok); } .warning { --own: var(--warning); }
.critical { --own: var(--critical); } .unknown { --own: var(--unknown); }
.badge { display: inline-block; padding: 1px 9px; border-radius: 4px; font-size: 13px; font-weight: 600;
  color: var(--on); background: var(--own); }
.legend i { display: inline-block; width: 7px; height: 11px; margin-left: 12px; background: var(--own); }
.legend i:first-child { margin-left: 0; } .legend i.critical { height: 16px; vertical-align: -3px; }
.words { padding-left: 10px; border-left: 4px solid var(--own); }
summary { cursor: pointer; font-size: 13px; }
img { display: block; max-width: 100%; margin-top: 6px; border: 1px solid var(--line); }
.columns { display: grid; gap: 8px 32px;
  grid-template-columns: repeat(auto-fit, minmax(min(330px, 100%), 1fr)); }
.chart { display: grid; grid-template-columns: 48px 1fr; font-size: 13px; color: var(--faint); }
.chart svg { display: block; width: 100%; }
.ticks { position: relative; }
.ticks span { position: absolute; right: 8px; white-space: nowrap;
  transform: translateY(-50%); }
.times { grid-column: 2; display: flex; justify-content: space-between; }
.phases { display: grid; grid-template-columns: auto 1fr auto; gap: 6px 10px; align-items: center;
  font-size: 13px; }
.bars { position: relative; height: 16px; } .bars i { position: absolute; height: 16px; border-radius: 2px; }
.band { fill: var(--band); background: var(--band); } .bar { background: var(--bar); }
rect { fill: var(--own); } rect.none { fill: var(--line); }
.grid { stroke: var(--line); } .line { fill: none; stroke: var(--bar); stroke-width: 2; }
.dot { stroke: var(--bar); stroke-width: 6; stroke-linecap: round; }
.mark { stroke: var(--critical); stroke-width: 3; }
.chart svg * { vector-effect: non-scaling-stroke; }
table { width: 100%; border-collapse: collapse; font-size: 13px; }
th, td { padding: 4px 8px 4px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--faint); font-weight: 600; }
th, td:not(:last-child) { white-space: nowrap; }
@media (max-width: 600px) {
  section { padding: 14px; } .times span:nth-child(2) { display: none; }
  tr { display: block; padding: 4px 0; border-bottom: 1px solid var(--line); }
  tr:first-child { display: none; }
  td { display: inline; padding: 0 8px 0 0; border: 0; } td:last-child { display: block; }
}
"""
