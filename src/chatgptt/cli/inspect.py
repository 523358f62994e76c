"""`chatgptt inspect`: the chat boxes of a page, as a table or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from chatgptt.cli import options, terminal
from chatgptt.cli.progress import showing_progress
from chatgptt.cli.target import Target, open_client, with_named_site

if TYPE_CHECKING:
    from chatgptt._models import ChatBox


@click.command("inspect", epilog=options.examples("chatgptt inspect --site https://site.example/chat"))
@options.target(60.0, options.demo, options.replay, options.headed, options.trace, options.screenshot)
@options.plain
@options.reporting()
def command(target: Target, is_plain: bool, as_json: bool) -> None:
    """Show the chat boxes of a page and how each was found."""
    from chatgptt.protocols.box_choice import choose_box

    target = with_named_site(target)
    with open_client(target) as client:
        with showing_progress(is_plain=is_plain):
            boxes = client.find_boxes()
        default = choose_box(boxes, target.bot or None, client.page)
        shown = (default,) if target.bot else boxes
        if as_json:
            terminal.print_json({"page": client.page, "boxes": [as_dict(box) for box in shown]})
        else:
            print_boxes(client.page, shown, default)


def as_dict(box: ChatBox) -> dict[str, object]:
    """A box as `--json` prints it."""
    return {
        "protocol": box.protocol,
        "kind": box.kind,
        "bot_id": box.bot_id,
        "post_id": box.post_id,
        "ajax_url": box.ajax_url,
        "nonce": box.nonce,
        "found_by": box.found_by,
        "name": box.name,
    }


def print_boxes(page: str, boxes: Sequence[ChatBox], default: ChatBox) -> None:
    """Prints the boxes of a page; `default` is the one that is asked."""
    lines = [f"page: {terminal.on_one_line(page)}"]
    for url in dict.fromkeys(box.ajax_url for box in boxes):
        lines.append(f"messages go to: {terminal.on_one_line(url)}")
    lines += ["", *_table(boxes)]
    if len(boxes) > 1:
        lines += ["", f"Without --bot, {default.kind} bot {default.bot_id} is asked."]
    terminal.write_escaped("\n".join(lines) + "\n", sys.stdout)


def _table(boxes: Sequence[ChatBox]) -> list[str]:
    """The lines of a table, with colour where the environment asks for it and stdout is a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("bot", "name", "protocol", "kind", "post", "nonce", "found by"):
        table.add_column(name, overflow="fold")
    for box in boxes:
        cells = (box.bot_id, box.name, box.protocol, box.kind, box.post_id, box.nonce, box.found_by)
        shown = ("-" if cell in (None, "") else str(cell) for cell in cells)
        table.add_row(*(Text(terminal.on_one_line(cell)) for cell in shown))
    is_terminal = sys.stdout.isatty()
    console = Console(
        highlight=False,
        force_terminal=is_terminal,
        no_color=None if is_terminal else True,
        width=None if is_terminal else 1000,
    )
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
