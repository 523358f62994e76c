"""The `chatgptt` command: parse, call, print, exit code.

What it reads and prints is in `terminal`, all the rest in the library.
The library is imported inside of the commands, so that help appears at once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.core

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import terminal

if TYPE_CHECKING:
    from chatgptt._client import StateDir
    from chatgptt._models import ChatBox
    from chatgptt._sync import Client

__all__ = ["main", "run"]

app = typer.Typer(
    name="chatgptt",
    help="Ask the chat boxes that the WordPress plugin AI Power puts on web pages.",
    epilog=(
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C. "
        "Environment: CHATGPTT_SITE is the page to ask, "
        "CHATGPTT_STATE_DIR the folder for tokens and visitor ids, "
        "CHATGPTT_LOG=info or debug says what is done."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich would take longer to load than the rest together
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class StrategyName(StrEnum):
    """`Strategy` for the command line."""

    auto = "auto"
    static = "static"
    browser = "browser"


class LevelName(StrEnum):
    """`Level` for the command line."""

    page = "page"
    tokens = "tokens"
    full = "full"


class FormatName(StrEnum):
    """The forms of `health-check`'s output."""

    text = "text"
    json = "json"
    nagios = "nagios"
    prometheus = "prometheus"
    junit = "junit"


class MonitorCommand(typer.core.TyperCommand):
    """A command whose usage errors exit with 3: monitors read 2 as the site's fault."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """As every command does, with another exit code."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Where the class of a usage error lives depends on typer's version.
            if getattr(error, "exit_code", None) == 2:
                vars(error)["exit_code"] = 3
            raise


SITE = "https://chatgptt.me/"
DEMO_PACE = 0.04
"""Seconds from word to word with --demo: about as fast as a model, so that streaming can be seen."""

Message = Annotated[
    str | None,
    typer.Argument(metavar="MESSAGE", help="The message; '-' or a pipe reads it from stdin."),
]
Site = Annotated[
    str, typer.Option(envvar="CHATGPTT_SITE", metavar="URL", help="The page that shows the chat box.")
]
Bot = Annotated[str, typer.Option(metavar="BOT", help="A bot of the page by number, name or kind of box.")]
Proxy = Annotated[
    str, typer.Option(metavar="URL", help="Proxy for every request: http://, https:// or socks5://.")
]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="Limit for each message, waits included.")]
Strategy = Annotated[StrategyName, typer.Option(help="Which ways to the page's tokens may be tried.")]
Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, show_default=False, help="Say what is done; -vv for more."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
System = Annotated[str, typer.Option(metavar="TEXT", help="Instructions to put in front of the message.")]
Stream = Annotated[bool, typer.Option("--stream/--no-stream", help="Show the answer as it arrives.")]
Headed = Annotated[bool, typer.Option("--headed", help="Show the browser's window where one is needed.")]
Trace = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write Playwright's trace of a failed browser visit.")
]
Demo = Annotated[bool, typer.Option("--demo", help="Ask a demo site that is started for it on this machine.")]
Replay = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Meet a recorded case in place of a site. See record.")
]


@app.command()
def ask(
    message: Message = None,
    site: Site = SITE,
    system: System = "",
    stream: Stream = True,
    demo: Demo = False,
    replay: Replay = None,
    bot: Bot = "",
    proxy: Proxy = "",
    timeout: Timeout = 240.0,
    strategy: Strategy = StrategyName.auto,
    headed: Headed = False,
    trace: Trace = None,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Ask a page's chat box and print the answer."""
    with _reporting(as_json, verbose):
        text = terminal.read_message(message)
        with (
            _place(site, demo, replay) as place,
            _client(place, bot, proxy, timeout, strategy, headed, trace) as client,
        ):
            if as_json:
                terminal.print_json(client.ask(text, system=system).as_dict())
            else:
                terminal.print_answer(client.stream(text, system=system), is_streamed=stream)


@app.command()
def chat(
    site: Site = SITE,
    system: System = "",
    demo: Demo = False,
    bot: Bot = "",
    proxy: Proxy = "",
    timeout: Timeout = 240.0,
    strategy: Strategy = StrategyName.auto,
    headed: Headed = False,
    trace: Trace = None,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Talk with a page's chat box; /reset begins anew, /quit ends."""
    with (
        _reporting(as_json, verbose),
        _place(site, demo) as place,
        _client(place, bot, proxy, timeout, strategy, headed, trace) as client,
    ):
        if not terminal.converse(client.conversation(system=system), as_json=as_json):
            raise typer.Exit(1)


@app.command()
def inspect(
    site: Site = SITE,
    demo: Demo = False,
    replay: Replay = None,
    bot: Bot = "",
    proxy: Proxy = "",
    timeout: Timeout = 60.0,
    strategy: Strategy = StrategyName.auto,
    headed: Headed = False,
    trace: Trace = None,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Show the chat boxes of a page and how each was found."""
    with (
        _reporting(as_json, verbose),
        _place(site, demo, replay) as place,
        _client(place, bot, proxy, timeout, strategy, headed, trace) as client,
    ):
        boxes, default = _find_boxes(client, bot)
        if as_json:
            terminal.print_json({"page": client.page, "boxes": [_box_keys(box) for box in boxes]})
        else:
            terminal.print_boxes(client.page, boxes, default)


@app.command("health-check", cls=MonitorCommand)
def health_check(
    urls: Annotated[list[str] | None, typer.Argument(metavar="[URL]...", help="The pages to check.")] = None,
    site: Annotated[
        str, typer.Option(envvar="CHATGPTT_SITE", metavar="URL", help="The page, where none is an argument.")
    ] = "",
    sites: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file with a table a site: url and options.")
    ] = None,
    level: Annotated[
        LevelName | None, typer.Option(help="How far to go; only full sends a message, one. [full]")
    ] = None,
    message: Annotated[str, typer.Option(metavar="TEXT", help="What to send.")] = "",
    expect: Annotated[str, typer.Option(metavar="REGEX", help="What the answer has to match.")] = "",
    warn: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="A check that takes longer is a warning.")
    ] = None,
    cert_days: Annotated[
        float | None, typer.Option(metavar="DAYS", help="A certificate that ends sooner is a warning. [14]")
    ] = None,
    output_format: Annotated[
        FormatName, typer.Option("--format", help="The form of the output.")
    ] = FormatName.text,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Replace this file with the output, in one step.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Show earlier checks and make none.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page of the checks so far.")
    ] = None,
    days: Annotated[float, typer.Option(metavar="DAYS", help="How far back history and report go.")] = 30.0,
    watch: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Check again every so often, until stopped.")
    ] = None,
    failures: Annotated[
        int | None, typer.Option(metavar="N", help="Critical after N in a row. [2 with --watch, else 1]")
    ] = None,
    ping_url: Annotated[
        str, typer.Option(metavar="URL", help="Call this after each round, and URL/fail if a site fails.")
    ] = "",
    replay: Replay = None,
    bot: Bot = "",
    proxy: Proxy = "",
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Limit for each check. [60]")
    ] = None,
    strategy: Annotated[
        StrategyName | None, typer.Option(help="Which ways to the page's tokens may be tried. [auto]")
    ] = None,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Check whether sites work, and if not, which step fails; 0 ok, 1 warning, 2 critical, 3 unknown."""
    with _reporting(as_json, verbose, needs_stdout=False):  # which the command looks at itself
        from chatgptt.cli.health_check import HealthCommand

        command = HealthCommand(
            urls=urls or (),
            site=site,
            sites_file=sites,
            level=None if level is None else level.value,
            message=message,
            expect=expect,
            warn=warn,
            cert_days=cert_days,
            timeout=timeout,
            bot=bot,
            proxy=proxy,
            strategy=None if strategy is None else strategy.value,
            format="json" if as_json else output_format.value,
            output=output,
            shows_history=history,
            report=report,
            days=days,
            watch=watch,
            failures=failures,
            ping_url=ping_url,
            replay=replay,
        )
        raise typer.Exit(command.run())


@app.command()
def record(
    site: Site = SITE,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The case's folder; a case in it is replaced."),
    ] = None,
    message: Annotated[
        list[str] | None,
        typer.Option("-m", "--message", metavar="TEXT", help="What to ask; again for more turns."),
    ] = None,
    fault: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A hand-written reply in place of the site's; '-' asks the site."),
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write nothing; say what has changed since this case.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="What the case is about.")] = "",
    bot: Bot = "",
    proxy: Proxy = "",
    timeout: Timeout = 240.0,
    strategy: Strategy = StrategyName.auto,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Record a page and its replies as a test case, scrubbed; --check compares, and exits with 1 on drift."""
    with _reporting(as_json, verbose):
        from chatgptt.cli.recordings import check_case, record_case

        if check is not None:
            if output or message or fault or note or bot:
                raise InvalidInputError(
                    "--check asks what the case asked, and writes nothing",
                    hint="leave out --output, --message, --fault, --note and --bot",
                )
            drift = check_case(check, site, proxy=proxy, timeout=timeout)
            terminal.print_drift(check, drift, as_json=as_json)
            raise typer.Exit(1 if drift else 0)
        if output is None:
            raise InvalidInputError("no folder was given for the case", hint="name one: -o fixtures/NAME")
        recorded = record_case(
            output,
            site,
            message or (),
            faults=fault or (),
            bot=bot,
            note=note,
            proxy=proxy,
            timeout=timeout,
            strategy=strategy.value,
        )
        terminal.print_recorded(recorded, output, as_json=as_json)


@app.command("replay")
def replay_case(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The case.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Take the time that the site's replies took.")
    ] = False,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Serve a recorded case on this machine; Ctrl-C ends it."""
    with _reporting(as_json, verbose):
        from chatgptt.recordings import read_case, serve_case

        case = read_case(folder)
        with _listening("127.0.0.1", port), serve_case(case, port=port, is_real_time=real_time) as site:
            terminal.print_replay(site, as_json=as_json)
            while True:  # on Windows, Ctrl-C would not end the wait for an event
                time.sleep(3600.0)


@app.command("install-browser")
def install_browser(
    check: Annotated[bool, typer.Option("--check", help="Only say which browser would be used.")] = False,
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Find a browser for pages whose tokens scripts make, or get one; safe to repeat."""
    with _reporting(as_json, verbose):
        from chatgptt.browser.installed import Installed, find_browser
        from chatgptt.browser.installed import install_browser as install

        if check or os.environ.get("CHATGPTT_BROWSER"):
            done = Installed(found=find_browser(), steps=())
        else:
            done = install(lambda step: typer.echo(f"getting {step} ...", err=True))
        terminal.print_browser(done.found.path, done.found.by, done.steps, as_json=as_json)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    verbose: Verbose = 0,
    as_json: Json = False,
) -> None:
    """Run a chat site on this machine; Ctrl-C ends it."""
    with _reporting(as_json, verbose), _needing_demo():
        from chatgptt.demo import run as run_demo

        with _listening(host, port):
            run_demo(port=port, host=host, on_ready=lambda site: _print_demo(site.url, as_json=as_json))


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"chatgptt {version_of('chatgptt')}")
        raise typer.Exit


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and gives its exit code."""
    terminal.fill_closed_streams()
    try:
        app(argv, prog_name="chatgptt")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except OSError as error:  # of the help: commands see to their own
        terminal.print_failure(error)
        return 1
    return 0


def run() -> None:
    """The installed script."""
    terminal.let_streams_wait()
    sys.exit(main())


@contextlib.contextmanager
def _reporting(as_json: bool, verbose: int, *, needs_stdout: bool = True) -> Iterator[None]:
    """Turns however a command ends into words and an exit code."""
    try:
        with terminal.logging_to_stderr(_log_level(verbose)), _explaining(as_json):
            if needs_stdout:
                terminal.check_stdout()
            yield
    except KeyboardInterrupt:
        terminal.end_interrupted_line()
        raise typer.Exit(130) from None
    except BrokenPipeError:
        terminal.abandon_stdout()
        raise typer.Exit(1) from None
    except OSError as error:  # of our own output, a full disk say; the network's are mapped below
        terminal.print_failure(error)
        raise typer.Exit(1) from error


@contextlib.contextmanager
def _explaining(as_json: bool) -> Iterator[None]:
    try:
        yield
    except ChatGpttError as error:
        if as_json and sys.stdout is not None:
            terminal.print_json(terminal.error_document(error))
        else:
            terminal.print_error(error)
        raise typer.Exit(2 if isinstance(error, InvalidInputError) else 1) from error


def _log_level(verbose: int) -> int:
    by_flag = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    named = {"debug": logging.DEBUG, "info": logging.INFO}
    return min(by_flag, named.get(os.environ.get("CHATGPTT_LOG", "").lower(), by_flag))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The page that a command is about."""

    page: str = field(repr=False)
    bot: str = ""
    strategy: StrategyName = StrategyName.auto
    state_dir: StateDir | None
    """None for what is there for one command only."""


@contextlib.contextmanager
def _place(site: str, is_demo: bool, replayed: Path | None = None) -> Iterator[_Place]:
    from chatgptt._client import StateDir

    if is_demo and replayed is not None:
        raise InvalidInputError("--demo and --replay both name a page", hint="give one of them")
    if is_demo:
        with _needing_demo():
            from chatgptt.demo import serve
        with serve(pace=DEMO_PACE) as demo_site:
            yield _Place(page=demo_site.page("wpaicg/"), state_dir=None)
    elif replayed is not None:
        from chatgptt.recordings import read_case, serve_case

        case = read_case(replayed)
        with serve_case(case) as served:
            yield _Place(page=served.page, bot=case.bot, strategy=StrategyName(case.strategy), state_dir=None)
    else:
        yield _Place(page=site, state_dir=StateDir.DEFAULT)


@contextlib.contextmanager
def _needing_demo() -> Iterator[None]:
    """Says how to get the demo's web server where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise InvalidInputError(
            f"the demo site needs the package {error.name}, which is not installed",
            hint="pip install 'chatgptt[demo]', or in a clone of the repository: pip install '.[demo]'",
        ) from error


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ENOSPC, errno.EIO):
            raise  # of our own output
        number = error.errno or 0  # negative where the host's name was not found
        why = os.strerror(number) if number > 0 else error.strerror
        raise InvalidInputError(
            f"cannot listen on {host}, port {port}: {why}",
            hint="give another --port (0 takes a free one), or an address of this machine as --host",
        ) from error


@contextlib.contextmanager
def _client(
    place: _Place,
    bot: str,
    proxy: str,
    timeout: float,
    strategy: StrategyName,
    is_headed: bool,
    trace: Path | None,
) -> Iterator[Client]:
    from chatgptt._sync import Client
    from chatgptt.browser.shared import BrowserOptions

    with Client(
        place.page,
        bot=bot or place.bot,
        proxy=proxy,
        timeout=timeout,
        strategy=(place.strategy if strategy is StrategyName.auto else strategy).value,
        state_dir=place.state_dir,
        browser=BrowserOptions(is_headed=is_headed, trace=trace),
    ) as client:
        yield client


def _find_boxes(client: Client, bot: str) -> tuple[tuple[ChatBox, ...], ChatBox]:
    """The boxes to show, only the wanted one where one was named, and the one that is asked."""
    from chatgptt.protocols.boxes import choose_box

    boxes = client.find_boxes()
    default = choose_box(boxes, bot or None, client.page)
    return ((default,) if bot else boxes), default


def _box_keys(box: ChatBox) -> dict[str, object]:
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


def _print_demo(url: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json({"url": url})
    else:
        terminal.write_text(
            f"{url}/ lists the demo's pages; Ctrl-C ends it. In another terminal, try:\n"
            f"  chatgptt ask --site {url}/wpaicg/ Hello\n",
            sys.stdout,
        )
