"""`chatgptt logout`: removes the visit that is kept for a site."""

from __future__ import annotations

import click

from chatgptt.cli import options
from chatgptt.cli.target import Target


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
    from chatgptt.cli.visits import forget_visit

    forget_visit(target, as_json=as_json)
