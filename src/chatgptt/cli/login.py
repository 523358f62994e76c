"""`chatgptt login`: keeps a person's visit, from a browser's window or a file, and says what is kept."""

from __future__ import annotations

from pathlib import Path

import click

from chatgptt.cli import options
from chatgptt.cli.target import Target


@click.command(
    "login",
    short_help="Visit a page in a window, to be asked as that visitor.",
    epilog=options.examples(
        "chatgptt login --site https://site.example/chat",
        "chatgptt login --site https://site.example/chat --import cookies.txt",
        "chatgptt login --site https://site.example/chat --check",
    ),
)
@options.target(60.0)
@click.option("--check", is_flag=True, help="Only say what is kept, and whether the page shows a chat box.")
@options.path(
    "--import", "file", metavar="FILE", help="Take a storage_state.json or a cookies.txt made elsewhere."
)
@click.option("--share", is_flag=True, help="Keep it in the Redis of CHATGPTT_STORE too.")
@options.reporting()
def command(target: Target, check: bool, file: Path | None, share: bool, as_json: bool) -> int | None:
    """Visit a page in a browser's window; later questions to its site are that visitor's.

    Cookies and local storage of the page's site are kept, of no other site, and the browser's user agent.
    """
    if check and (file is not None or share):
        raise click.UsageError("--check keeps nothing: leave out --import and --share")
    from chatgptt.cli.visits import check_visit, keep_visit

    if check:
        return check_visit(target, as_json=as_json)
    keep_visit(target, file, is_shared=share, as_json=as_json)
    return None
