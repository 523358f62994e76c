"""`chatgptt install-browser`: which browser is used, and how to get one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from chatgptt.cli import options, terminal

if TYPE_CHECKING:
    from chatgptt.browser.installed import Installed

_WAYS = {
    "named": "named in CHATGPTT_BROWSER",
    "playwright": "Playwright's own",
    "machine": "found on this machine",
}


@click.command(
    "install-browser",
    short_help="Find or get a browser for pages that need one.",
    epilog=options.examples("chatgptt install-browser --check"),
)
@click.option("--check", is_flag=True, help="Only say which browser would be used.")
@options.reporting()
def command(check: bool, as_json: bool) -> None:
    """Find a browser for pages whose tokens scripts make, or get one; safe to repeat."""
    from chatgptt.browser.installed import Installed, find_browser, install_browser

    if check or os.environ.get("CHATGPTT_BROWSER"):
        installed = Installed(found=find_browser(), steps=())
    else:
        installed = install_browser(lambda step: click.echo(f"getting {step} ...", err=True))
    _print_browser(installed, as_json=as_json)


def _print_browser(installed: Installed, *, as_json: bool) -> None:
    path, found_by, steps = installed.found.path, installed.found.by, installed.steps
    document = {"browser": path, "found_by": found_by, "installed": list(steps)}
    done = f"installed: {', then '.join(steps)}" if steps else "nothing to do"
    line = terminal.on_one_line(f"{path} ({_WAYS.get(found_by, found_by)}); {done}")
    terminal.print_result(document, f"{line}\n", as_json=as_json)
