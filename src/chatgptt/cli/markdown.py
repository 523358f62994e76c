"""An answer as Markdown at a terminal, while it arrives.

Blocks that are complete are printed once and stay. Only the last block is drawn anew with each piece, in one
write, as much of it as the screen holds. Nothing of an answer is left out: what rich would drop or shorten
(HTML, images, definitions of links, long words) is shown as it came. Addresses and lines of code are never
broken by us, so a terminal copies them whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile
from typing import ClassVar, Self

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import (
    BlockQuote,
    CodeBlock,
    Heading,
    ListItem,
    Markdown,
    MarkdownElement,
    Paragraph,
    TableElement,
)
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from chatgptt.cli.terminal import escape

_PARSER = (
    MarkdownIt("commonmark", {"html": False})
    .enable(["table", "strikethrough"])
    # An entity could become a character that acts on the terminal. The others lose a part of the text.
    .disable(["escape", "entity", "image", "reference", "autolink", "html_block", "html_inline"])
)


_Block = tuple[int, list[Token]]
"""The number of its first line in the text, and what it is made of."""


class MarkdownWriter:
    """Prints the pieces of an answer to a terminal: `with` begins and ends it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )
        self._text = ""
        self._has_printed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._text:
            blocks = _blocks(_shown(self._text))
            with self._console:
                self._live.stop()
                self._print(blocks)

    def write(self, piece: str) -> None:
        """Adds a piece of the answer."""
        self._text += piece
        complete, rest = _split(_shown(self._text))
        if complete:
            self._text = rest
        self._live.start()
        with self._console:  # one write
            self._live.update(_Tail(_rendered(_blocks(rest))), refresh=True)
            self._print(complete)

    def _print(self, blocks: list[_Block]) -> None:
        if blocks:
            space = [Text()] if self._has_printed else []
            self._console.print(*space, _rendered(blocks), crop=False)
            self._has_printed = True


def _shown(text: str) -> str:
    return escape(text.replace("\r\n", "\n"))


def _split(text: str) -> tuple[list[_Block], str]:
    """The blocks that what follows cannot change, and the text after them.

    A line that has not ended may still become anything, and so may the last block.
    """
    end = text.rfind("\n") + 1
    *complete, (start, _) = _blocks(text[:end]) or [(0, [])]
    return complete, "\n".join(text.split("\n")[start:])


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    for token in _PARSER.parse(text):
        if token.level == 0 and token.nesting >= 0 and token.map is not None:
            blocks.append((token.map[0], []))
        blocks[-1][1].append(token)
        for child in token.children or ():
            if child.type == "softbreak":  # the boxes on the pages show it as a new line
                child.type = "hardbreak"
    return blocks


def _rendered(blocks: list[_Block]) -> RenderableType:
    shown: list[RenderableType] = []
    for _, tokens in blocks:
        markdown = _Markdown("", justify="default", hyperlinks=False)
        markdown.parsed = tokens
        shown += [Text(), markdown] if shown else [markdown]
    return Group(*shown)


class _Tail:
    """The last lines of something, as many as the screen has room for."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._whole, options, pad=False)
        for line in lines[-(options.size.height - 1) :]:
            yield from line
            yield Segment.line()


# Elements that keep the whole text, and break neither an address nor a line of code


class _Paragraph(Paragraph):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "default"  # else the lines are filled with spaces
        for line in self.text.split(allow_blank=True):
            long_words = (word for word in _WORD.finditer(line.plain) if len(word[0]) > options.max_width)
            for part in line.divide([edge for word in long_words for edge in word.span()]):
                start = len(part.plain) - len(part.plain.lstrip())
                if part.plain.strip() or not line.plain:
                    yield _unbroken(part) if _WORD.fullmatch(part.plain) else part[start:]


_WORD = re.compile(r"[!-~]+")
"""What is an address if it is longer than a line. Text in scripts without spaces is broken anywhere."""


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        syntax = Syntax(code, self.lexer_name, theme="ansi_dark", background_color="default")
        text = Text(code, style="cyan") if syntax.lexer is None else syntax.highlight(code)
        text.rstrip()
        yield _unbroken(text)


def _unbroken(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ignore"
    return text


class _Quote(BlockQuote):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _indented(console, options, self.elements, "▌ ", "▌ ")


class _Table(TableElement):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if isinstance(table, Table):
                table.show_edge = False
                for column in table.columns:
                    column.overflow = "fold"
            yield table


class _Item(ListItem):
    def render_bullet(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _indented(console, options, self.elements, " • ", "   ")

    def render_number(
        self, console: Console, options: ConsoleOptions, number: int, last_number: int
    ) -> RenderResult:
        mark = f" {number:>{len(str(last_number))}}. "
        yield from _indented(console, options, self.elements, mark, " " * len(mark))


def _indented(
    console: Console, options: ConsoleOptions, elements: RenderableType, first: str, others: str
) -> Iterator[Segment]:
    """The lines of elements with a mark before each, and without spaces behind them."""
    inner = options.update(width=max(1, options.max_width - len(first)))
    for number, line in enumerate(Segment.split_lines(console.render(elements, inner))):
        yield Segment(others if number else first)
        yield from line
        yield Segment.line()


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "paragraph_open": _Paragraph,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "blockquote_open": _Quote,
        "table_open": _Table,
        "list_item_open": _Item,
    }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = super().__rich_console__(console, options)
        return dropwhile(lambda segment: segment == Segment.line(), segments)  # rich begins some blocks so
