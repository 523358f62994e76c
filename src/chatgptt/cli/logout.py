"""`chatgptt logout`: removes the visit that is kept for a site."""

from __future__ import annotations

import os
import sys

import click

from chatgptt.cli import options, terminal
from chatgptt.cli.login import in_store, open_shared
from chatgptt.cli.target import Target, with_named_site


@click.command(
    "logout",
    short_help="Remove the visit that login keeps.",
    epilog=options.examples("chatgptt logout --site https://site.example/chat"),
)
@options.target(60.0)
@options.reporting()
def command(target: Target, as_json: bool) -> None:
    """Remove the visit that login keeps for a site; later questions are a guest's again.

    It is removed from the store of CHATGPTT_STORE too. The site itself is told nothing: it may take the login
    until its time is over.
    """
    from chatgptt.protocols.urls import origin, page_url
    from chatgptt.state.folder import default_folder
    from chatgptt.visits.kept import forget_visit

    site = origin(page_url(with_named_site(target).site))
    is_removed = forget_visit(default_folder(), site)
    if os.environ.get("CHATGPTT_STORE"):
        is_removed = in_store(open_shared(), lambda visits: visits.forget(site)) or is_removed
    if as_json:
        terminal.print_json({"site": site, "is_removed": is_removed})
    else:
        words = f"removed the visit to {site}" if is_removed else f"no visit to {site} is kept"
        terminal.write_text(f"{words}\n", sys.stdout)
