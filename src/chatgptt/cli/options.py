"""The options that several commands share, each written once, and the values that groups of them become."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import click

from chatgptt.cli.target import Target
from chatgptt.sites import DEFAULT_SITE

_Function = Callable[..., int | None]
Decorator = Callable[[_Function], _Function]

STRATEGIES = ("auto", "static", "browser")
"""`Strategy`, whose module would take longer to load than the help."""


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def as_number(text: str | float) -> float:
    """The number that an option was given. click's own types speak of floats and ranges."""
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number") from None


def whole(*, least: int | None = None, most: int | None = None) -> Callable[[str | int], int]:
    """What reads a whole number within bounds; see `as_number`."""

    def as_whole(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is no whole number") from None
        if least is not None and number < least:
            raise click.BadParameter(f"{number} is less than {least}")
        if most is not None and number > most:
            raise click.BadParameter(f"{number} is more than {most}")
        return number

    return as_whole


def path(*names: str, metavar: str, help: str) -> Decorator:  # noqa: A002 - as click has it
    """An option that names a file or a folder."""
    return click.option(*names, type=click.Path(path_type=Path), metavar=metavar, help=help)


def number(name: str, metavar: str, help: str) -> Decorator:  # noqa: A002 - as click has it
    """An option that is a number; None where it is not given."""
    return click.option(name, type=as_number, metavar=metavar, help=help)


def timeout(seconds: float) -> Decorator:
    """`--timeout`; its default holds where a named site's table has none."""
    return click.option(
        "--timeout",
        type=as_number,
        metavar="SECONDS",
        help=f"Limit for each message, waits included.  [default: {seconds:g}]",
    )


def port(number: int) -> Decorator:
    """`--port` of a server, with its default."""
    return click.option(
        "--port",
        type=whole(least=0, most=65535),
        default=number,
        show_default=True,
        metavar="PORT",
        help="0 takes a free one.",
    )


site = click.option(
    "--site",
    envvar="CHATGPTT_SITE",
    show_envvar=True,
    default=DEFAULT_SITE,
    show_default=True,
    metavar="URL",
    help="The page that shows the chat box, or a site's name.",
)
sites = path("--sites", "sites_file", metavar="FILE", help="Look for names in this file. See sites.")
bot = click.option(
    "--bot", default="", metavar="BOT", help="A bot of the page by number, name or kind of box."
)
host = click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on."
)
proxy = click.option(
    "--proxy",
    default="",
    metavar="URL",
    help="Proxy for every request: http://, https:// or socks5://.",
)
strategy = click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    help="Which ways to the page's tokens may be tried.  [default: auto]",
)
demo = click.option(
    "--demo", "is_demo", is_flag=True, help="Ask a demo site that is started for it on this machine."
)
replay = path("--replay", metavar="DIR", help="Meet a recorded case in place of a site. See record.")
headed = click.option(
    "--headed", "is_headed", is_flag=True, help="Show the browser's window where one is needed."
)
trace = path(
    "--trace",
    metavar="FILE",
    help="Write Playwright's trace of a failed browser visit, and say how to open it.",
)
screenshot = path(
    "--screenshot", metavar="FILE", help="Write a picture of the page when a browser visit fails."
)
system = click.option(
    "--system", default="", metavar="TEXT", help="Instructions to put in front of the message."
)
continues = click.option(
    "-c",
    "--continue",
    "is_continued",
    is_flag=True,
    help="Go on with the last conversation; with --site, the last one with that page.",
)
plain = click.option(
    "--plain",
    "is_plain",
    is_flag=True,
    help="Print at a terminal what a pipe gets: no Markdown, no line of progress.",
)
_verbose = click.option("-v", "--verbose", count=True, help="Say what is done; -vv for more.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def target(seconds: float, *more: Decorator) -> Decorator:
    """The options that say what is asked and how, as the command's argument `target`.

    Args:
        seconds: the default of `--timeout`.
        more: options that not every such command has; each is a field of `Target`.
    """

    def decorate(function: _Function) -> _Function:
        options: tuple[Decorator, ...] = (site, sites, *more, bot, proxy, timeout(seconds), strategy)
        decorated = gathered("target", Target, default_timeout=seconds)(function)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def gathered(name: str, kind: type, **fixed: object) -> Decorator:
    """Gives a command the options that `kind` has fields for, and what is fixed, as its argument `name`."""
    fields = kind.__annotations__.keys()

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def command(**values: object) -> int | None:
            own = {field: values.pop(field) for field in fields & values.keys()}
            return function(**{name: kind(**own, **fixed)}, **values)

        return command

    return decorate


def reporting(*, needs_stdout: bool = True) -> Decorator:
    """`-v` and `--json`; the command's errors become words or JSON and its exit code.

    Args:
        needs_stdout: whether nothing can be done without a stdout.
    """

    def decorate(function: _Function) -> _Function:
        @_verbose
        @_as_json
        @functools.wraps(function)
        def command(*, verbose: int, as_json: bool, **values: object) -> int:
            from chatgptt.cli.reporting import run_reporting  # here: help and completion need none of it

            return run_reporting(
                functools.partial(function, as_json=as_json, **values),
                verbose=verbose,
                as_json=as_json,
                needs_stdout=needs_stdout,
            )

        return command

    return decorate
