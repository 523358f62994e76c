"""`chatgptt record`: a page and its replies as a test case, or what has changed since one was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatgptt._errors import InvalidInputError
from chatgptt.cli import options, terminal
from chatgptt.cli.target import Target, with_named_site

if TYPE_CHECKING:
    from chatgptt.recordings import Recorded


@click.command(
    "record",
    short_help="Record a page and its replies as a test case.",
    epilog=options.examples("chatgptt record --site https://site.example/chat -m Hello -o cases/mine"),
)
@options.path("-o", "--output", metavar="DIR", help="The case's folder; a case in it is replaced.")
@click.option(
    "-m", "--message", "messages", multiple=True, metavar="TEXT", help="What to ask; again for more turns."
)
@click.option(
    "--fault",
    "faults",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A hand-written reply in place of the site's; '-' asks the site.",
)
@options.path("--check", metavar="DIR", help="Write nothing; say what has changed since this case.")
@click.option("--note", default="", metavar="TEXT", help="What the case is about.")
@options.target(240.0)
@options.reporting()
def command(
    output: Path | None,
    messages: tuple[str, ...],
    faults: tuple[Path, ...],
    check: Path | None,
    note: str,
    target: Target,
    as_json: bool,
) -> int:
    """Record a page and its replies as a test case, scrubbed; --check compares, and exits with 1 on drift."""
    if check is not None and (output or messages or faults or note or target.bot):
        raise InvalidInputError(
            "--check asks what the case asked, and writes nothing",
            hint="leave out --output, --message, --fault, --note and --bot",
        )
    if check is None and output is None:
        raise InvalidInputError("no folder was given for the case", hint="name one: -o fixtures/NAME")
    from chatgptt.cli.recordings import check_case, record_case

    target = with_named_site(target)
    if check is not None:
        drift = check_case(check, target.site, proxy=target.proxy, timeout=target.seconds)
        print_drift(check, drift, as_json=as_json)
        return 1 if drift else 0
    assert output is not None
    recorded = record_case(
        output,
        target.site,
        messages,
        faults=faults,
        bot=target.bot,
        note=note,
        proxy=target.proxy,
        timeout=target.seconds,
        strategy=target.strategy or "auto",
    )
    _print_recorded(output, recorded, as_json=as_json)
    return 0


def _print_recorded(folder: Path, recorded: Recorded, *, as_json: bool) -> None:
    """What was recorded where, and on stderr what was replaced in it."""
    from chatgptt.cli.recordings import as_dict

    asks = ", ".join(
        f"{ask.outcome} ({ask.reason})" if ask.reason else ask.outcome for ask in recorded.case.asks
    )
    count = len(recorded.case.exchanges)
    text = f"{folder}: {count} exchange{'s' if count != 1 else ''}, {asks}\n"
    terminal.print_result(as_dict(folder, recorded), text, as_json=as_json)
    if not as_json:
        for line in recorded.report.lines():
            terminal.say(f"  {line}")


def print_drift(folder: Path, drift: Sequence[str], *, as_json: bool) -> None:
    """What has changed since a case was recorded, a line each."""
    lines = "".join(f"{terminal.on_one_line(line)}\n" for line in drift)
    document = {"folder": str(folder), "drift": list(drift)}
    terminal.print_result(document, lines or "nothing has changed\n", as_json=as_json)
