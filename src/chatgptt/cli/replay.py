"""`chatgptt replay`: a recorded case as a site on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatgptt.cli import options, terminal

if TYPE_CHECKING:
    from chatgptt.recordings import ReplayedSite


@click.command("replay", epilog=options.examples("chatgptt replay cases/mine"))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@options.port(0)
@click.option("--real-time", "is_real_time", is_flag=True, help="Take the time that the site's replies took.")
@options.reporting()
def command(folder: Path, port: int, is_real_time: bool, as_json: bool) -> None:
    """Serve a recorded case on this machine; Ctrl-C ends it.

    DIR is the case.
    """
    from chatgptt.cli.local_sites import explaining_address
    from chatgptt.recordings import read_case, serve_case

    case = read_case(folder)
    with (
        explaining_address("127.0.0.1", port),
        serve_case(case, port=port, is_real_time=is_real_time) as site,
    ):
        print_site(site, as_json=as_json)
        while True:  # on Windows, Ctrl-C would not end the wait for an event
            time.sleep(3600.0)


def print_site(site: ReplayedSite, *, as_json: bool) -> None:
    """Where the case is served, and what it answers."""
    document = {"url": site.url, "page": site.page, "messages": list(site.messages)}
    lines = [f"  {terminal.on_one_line(message)}\n" for message in site.messages]
    messages = "".join(lines) or "  no message: only the boxes\n"
    text = f"{site.page}\nCtrl-C ends it. What it answers:\n{messages}"
    terminal.print_result(document, text, as_json=as_json)
