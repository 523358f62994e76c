"""`chatgptt sites`: the pages that have a name, and changes to their file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import options, terminal
from chatgptt.cli.health_check import LEVELS
from chatgptt.sites.named import NamedSite

if TYPE_CHECKING:
    from chatgptt._models import ChatBox
    from chatgptt.health.trends import Check

_LOOK = 60.0
"""Seconds for a look at a page; as much as `inspect` takes."""

_file = options.path("--sites", "sites_file", metavar="FILE", help="Use this file instead of the usual one.")


@click.group(
    "sites",
    short_help="List, add and remove the names of pages.",
    epilog=options.examples(
        "chatgptt sites add shop https://site.example/chat", 'chatgptt ask --site shop "Hello"'
    ),
    invoke_without_command=True,
)
@_file
@options.reporting()
def command(sites_file: Path | None, as_json: bool) -> None:
    """List the pages that have a name, each with the verdict of its last health check.

    A name stands wherever the address of a page does. The names are in sites.toml in the folder for settings,
    or in the file that CHATGPTT_SITES names.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        _list(sites_file, as_json=as_json)
    else:
        given = {name: value for name, value in context.params.items() if value}
        context.default_map = {context.invoked_subcommand: given}


def _list(file: Path | None, *, as_json: bool) -> None:
    from chatgptt.health.history import History
    from chatgptt.sites.file import read_sites, sites_path
    from chatgptt.state.folder import default_folder

    history = History(default_folder())
    listed = [(site, history.latest(_page_of(site), site.bot)) for site in read_sites(file)]
    if as_json:
        sites = [_as_dict(site, check) for site, check in listed]
        terminal.print_json({"file": str(sites_path(file)), "sites": sites})
    elif listed:
        terminal.write_text(terminal.table([_cells(site, check) for site, check in listed]), sys.stdout)
    else:
        terminal.say("no site has a name yet: chatgptt sites add NAME URL")


def _page_of(site: NamedSite) -> str:
    """The page as the history knows it; what cannot be a page was never checked."""
    from chatgptt.protocols.urls import page_url, without_credentials

    try:
        return without_credentials(page_url(site.url))
    except InvalidInputError:
        return without_credentials(site.url)


def _as_dict(site: NamedSite, check: Check | None) -> dict[str, object]:
    from chatgptt.health.report import iso

    return {
        "name": site.name,
        "page": _page_of(site),
        "bot": site.bot or None,
        "verdict": None if check is None else check.verdict,
        "summary": None if check is None else check.summary,
        "checked_at": None if check is None else iso(check.checked_at),
    }


def _cells(site: NamedSite, check: Check | None) -> tuple[str, ...]:
    from chatgptt.health.report import iso

    last = (
        ("never checked", "")
        if check is None
        else (f"{check.verdict}, {iso(check.checked_at)}", check.summary)
    )
    cells = (site.name, _page_of(site), f"bot {site.bot}" if site.bot else "", *last)
    return tuple(map(terminal.on_one_line, cells))


# Changes


@command.command("add")
@click.argument("name")
@click.argument("url")
@options.bot
@options.proxy
@options.number("--timeout", "SECONDS", "Limit for each message and each check.")
@options.strategy
@click.option("--level", type=click.Choice(LEVELS), help="How far a health check goes.")
@click.option("--message", metavar="TEXT", help="What a health check sends.")
@click.option("--expect", metavar="REGEX", help="What the answer to a health check has to match.")
@options.number("--warn", "SECONDS", "A health check that takes longer is a warning.")
@options.number("--cert-days", "DAYS", "A certificate that ends sooner is a warning.")
@click.option(
    "--check/--no-check", "is_checked", default=True, help="Look at the page first, and say what is there."
)
@_file
@options.gathered("site", NamedSite)
@options.reporting()
def _add(site: NamedSite, is_checked: bool, sites_file: Path | None, as_json: bool) -> None:
    """Give the page URL the NAME, with the options it is asked with.

    Looks at the page first: one without a chat box is not added.
    """
    from chatgptt.cli.inspect import as_dict, print_boxes
    from chatgptt.health.plan import plan_of
    from chatgptt.sites.edits import add_site, check_addition

    plan_of(site)
    check_addition(site, sites_file)
    found = _look(site) if is_checked else None
    if found is not None and not as_json:
        print_boxes(_page_of(site), *found)
    file = add_site(site, sites_file)
    boxes = None if found is None else [as_dict(box) for box in found[0]]
    document = {"file": str(file), "name": site.name, "page": _page_of(site), "boxes": boxes}
    line = terminal.on_one_line(f"added {site.name} to {file}")
    terminal.print_result(document, f"{line}\n", as_json=as_json)


@command.command("remove")
@click.argument("name")
@_file
@options.reporting()
def _remove(name: str, sites_file: Path | None, as_json: bool) -> None:
    """Take the NAME from its page; what is known of the page stays."""
    from chatgptt.sites.edits import remove_site

    file = remove_site(name, sites_file)
    line = terminal.on_one_line(f"removed {name} from {file}")
    terminal.print_result({"file": str(file), "name": name}, f"{line}\n", as_json=as_json)


def _look(site: NamedSite) -> tuple[Sequence[ChatBox], ChatBox]:
    """The boxes of the page, and the one that is asked.

    Raises:
        ChatGpttError: where there is none.
    """
    from chatgptt._sync import Client
    from chatgptt.protocols.box_choice import choose_box

    try:
        with Client(
            site.url,
            bot=site.bot,
            proxy=site.proxy,
            timeout=site.timeout or _LOOK,
            strategy=site.strategy,
        ) as client:
            boxes = client.find_boxes()
            return boxes, choose_box(boxes, site.bot or None, client.page)
    except ChatGpttError:
        terminal.say(f"{site.name} was not added; --no-check adds it unseen")
        raise
