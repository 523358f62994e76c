"""`chatgptt record`: a page and its replies as a test case, or what has changed since one was recorded."""

from __future__ import annotations

import sys
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
    if check is not None:
        if output or messages or faults or note or target.bot:
            raise InvalidInputError(
                "--check asks what the case asked, and writes nothing",
                hint="leave out --output, --message, --fault, --note and --bot",
            )
        return _check(check, with_named_site(target), as_json=as_json)
    if output is None:
        raise InvalidInputError("no folder was given for the case", hint="name one: -o fixtures/NAME")
    _record(output, with_named_site(target), messages, faults, note=note, as_json=as_json)
    return 0


def _record(
    output: Path,
    target: Target,
    messages: tuple[str, ...],
    faults: tuple[Path, ...],
    *,
    note: str,
    as_json: bool,
) -> None:
    from chatgptt.cli.recordings import as_dict, record_case

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
    if as_json:
        terminal.print_json(as_dict(output, recorded))
    else:
        _print_recorded(output, recorded)


def _print_recorded(folder: Path, recorded: Recorded) -> None:
    """What was recorded where, and on stderr what was replaced in it."""
    asks = ", ".join(
        f"{ask.outcome} ({ask.reason})" if ask.reason else ask.outcome for ask in recorded.case.asks
    )
    count = len(recorded.case.exchanges)
    terminal.write_text(f"{folder}: {count} exchange{'s' if count != 1 else ''}, {asks}\n", sys.stdout)
    lines = (f"  {terminal.on_one_line(line)}\n" for line in recorded.report.lines())
    terminal.write_diagnosis("".join(lines))


def _check(folder: Path, target: Target, *, as_json: bool) -> int:
    from chatgptt.cli.recordings import check_case

    drift = check_case(folder, target.site, proxy=target.proxy, timeout=target.seconds)
    print_drift(folder, drift, as_json=as_json)
    return 1 if drift else 0


def print_drift(folder: Path, drift: Sequence[str], *, as_json: bool) -> None:
    """What has changed since a case was recorded, a line each."""
    if as_json:
        terminal.print_json({"folder": str(folder), "drift": list(drift)})
    else:
        lines = "".join(f"{terminal.on_one_line(line)}\n" for line in drift)
        terminal.write_text(lines or "nothing has changed\n", sys.stdout)
