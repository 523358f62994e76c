from __future__ import annotations

import io
import itertools

import pyte
import pytest
from cli.commands import on_terminal
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from chatgptt.cli.markdown import MarkdownWriter
from chatgptt.demo import DemoSite

LINK = "https://site.example/" + "a-long-path/" * 8 + "end"
CODE = "run('" + "x = y; " * 15 + "')"
ANSWER = f"""# Heading

Some **bold** words\r
and 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字 and [a link]({LINK}) here.
- one {LINK}
- two
  1. inner
  2. inner

     still inner
```python
def f():

    {CODE}
```
> a quote
> # with a heading

| name | address |
|---|---|
| ok | {LINK} |

List<String> <b>bold</b> ![picture](https://site.example/x.png) &lt; <https://site.example/> [1]

[1]: https://site.example/source
***
last line"""


class Screen(io.StringIO):
    """A screen of 60 columns with what was scrolled out of it."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._screen = pyte.HistoryScreen(60, lines, history=10_000)
        self._stream = pyte.Stream(self._screen)
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def shown(self) -> list[str]:
        history = ["".join(row[x].data for x in range(60)).rstrip() for row in self._screen.history.top]
        lines = [*history, *(line.rstrip() for line in self._screen.display)]
        return list(itertools.dropwhile(lambda line: not line, reversed(lines)))[::-1]


def shown(pieces: list[str], *, lines: int = 200) -> list[str]:
    screen = Screen(lines)
    console = Console(file=screen, force_terminal=True, highlight=False, width=60, height=lines)
    with MarkdownWriter(console) as writer:
        for piece in pieces:
            writer.write(piece)
    return screen.shown()


def test_nothing_of_an_answer_is_left_out() -> None:
    text = "".join(shown([ANSWER])).replace(" ", "")
    for words in (
        *("Heading", "bold", "漢字" * 14, "alink", "inner", "still", "deff():", "aquote", "withaheading"),
        *("List<String><b>bold</b>", "https://site.example/x.png", "&lt;<https://site.example/>"),
        *("[1]:https://site.example/source", "lastline", LINK, CODE.replace(" ", "")),
    ):
        assert words in text, words


def test_words_are_wrapped_at_the_edge_and_wide_characters_counted() -> None:
    assert shown(["word " * 24]) == ["word " * 11 + "word"] * 2
    assert shown(["漢字" * 40]) == ["漢字" * 15, "漢字" * 15, "漢字" * 10]


@pytest.mark.parametrize("words", [LINK, f"- {LINK}", f"```\n{CODE}\n```"])
def test_no_line_end_and_no_space_is_added_to_what_people_copy(words: str) -> None:
    out = io.StringIO()
    with MarkdownWriter(Console(file=out, force_terminal=True, color_system=None, width=60)) as writer:
        writer.write(words)
    assert (CODE if "```" in words else LINK) + "\n" in out.getvalue()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60)))
def test_however_the_answer_is_cut_the_screen_is_the_same(sizes: list[int]) -> None:
    ends = [0, *itertools.accumulate(sizes)]
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise([*ends, len(ANSWER) + ends[-1]])]
    assert shown(pieces) == shown([ANSWER])


def test_a_block_that_is_higher_than_the_screen_leaves_no_trace() -> None:
    poem = "".join(f"line {number}\n" for number in range(50))
    assert shown(poem.splitlines(keepends=True), lines=10) == poem.splitlines()


def test_each_piece_is_one_write() -> None:
    screen = Screen(50)
    with MarkdownWriter(Console(file=screen, force_terminal=True, width=60, height=50)) as writer:
        writer.write("first\n\nsecond")
        before = screen.writes
        writer.write(" line\n\nthird\n")
        assert screen.writes - before == 1


def test_an_answer_is_rendered_at_a_terminal_and_left_alone_with_plain(site: DemoSite) -> None:
    message = "some **bold** words"
    with on_terminal("ask", "--site", site.page("wpaicg/"), message) as terminal:
        assert terminal.wait_for_end() == 0
    assert "some \x1b[1mbold\x1b[0m words\r\n" in terminal.seen
    with on_terminal("ask", "--site", site.page("wpaicg/"), "--plain", message) as terminal:
        assert terminal.wait_for_end() == 0
    assert terminal.seen.endswith(f"You wrote: {message}\r\n")
    assert "\x1b" not in terminal.seen
