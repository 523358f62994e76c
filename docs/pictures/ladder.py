"""Draws the ladder: the ways to the tokens of a message, the cheapest at the bottom."""

from __future__ import annotations

from collections.abc import Iterator

RUNGS = (
    ("cache", "tokens of the last call, younger than 12 hours", "no request"),
    ("html", "the attributes of the chat box in the page", "one page"),
    ("script", "the scripts of the page, read and not run", "the same page, or a file of it"),
    ("endpoint", "the plugin's own address, or another page", "one or two requests"),
    ("browser", "the page runs in headless Chromium", "seconds, and a browser"),
)
"""Each rung with what it reads and what it costs, from the cheapest on."""

_RULES = (
    "The first rung that has the tokens ends the climb, and the message is sent.",
    "A site that only fails for a moment is no reason to start the browser.",
)

_WIDTH, _STEP, _TOP = 680, 62, 64
_BOTTOM = _TOP + _STEP * len(RUNGS)
_RAILS = (40, 190)

_STYLE = """
rect.ground { fill: #ffffff; stroke: #d0d7de }
.rail { stroke: #8c959f; stroke-width: 7; stroke-linecap: round }
.rung { fill: #ddf4ff; stroke: #0969da; stroke-width: 1.5 }
.last { fill: #fff8c5; stroke: #9a6700 }
text { font: 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.name { font-weight: 600; text-anchor: middle }
.faint { fill: #57606a; font-size: 13px }
.arrow { fill: none; stroke: #57606a; stroke-width: 1.5 }
.head { fill: #57606a }
@media (prefers-color-scheme: dark) {
rect.ground { fill: #161b22; stroke: #30363d }
.rung { fill: #0c2d6b; stroke: #58a6ff }
.last { fill: #4d3800; stroke: #d29922 }
text { fill: #e6edf3 }
.faint { fill: #9aa4b1 }
.arrow { stroke: #9aa4b1 }
.head { fill: #9aa4b1 }
}
"""


def svg() -> str:
    """The drawing."""
    height = _BOTTOM + 74
    return "\n".join(
        (
            f'<svg viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" role="img">',
            f"<title>{_words()}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="10"/>',
            *_lines(),
            "</svg>\n",
        )
    )


def _words() -> str:
    return "The ladder, from the bottom: " + "; ".join(
        f"{name}: {what} ({cost})" for name, what, cost in RUNGS
    )


def _lines() -> Iterator[str]:
    for x in _RAILS:
        yield f'<line class="rail" x1="{x}" y1="{_TOP - 30}" x2="{x}" y2="{_BOTTOM}"/>'
    for number, (name, what, cost) in enumerate(RUNGS):
        y = _BOTTOM - _STEP * (number + 1) + 6
        kind = "rung last" if name == "browser" else "rung"
        width = _RAILS[1] - _RAILS[0] + 24
        yield f'<rect class="{kind}" x="{_RAILS[0] - 12}" y="{y}" width="{width}" height="38" rx="7"/>'
        yield f'<text class="name" x="{sum(_RAILS) / 2:g}" y="{y + 24}">{name}</text>'
        yield f'<text x="270" y="{y + 17}">{what}</text>'
        yield f'<text class="faint" x="270" y="{y + 36}">{cost}</text>'
    yield from _arrow()


def _arrow() -> Iterator[str]:
    """Upward beside the rungs, from the cheapest to the dearest."""
    x, end = 236, _TOP - 18
    yield f'<path class="arrow" d="M{x} {_BOTTOM - 18} V{end}"/>'
    yield f'<path class="head" d="M{x - 6} {end} h12 l-6 -11 z"/>'
    words = "no rung left: an error that says what each of them saw"
    yield f'<text class="faint" x="270" y="{_TOP - 26}">{words}</text>'
    for number, words in enumerate(_RULES):
        yield f'<text class="faint" x="28" y="{_BOTTOM + 34 + 20 * number}">{words}</text>'
