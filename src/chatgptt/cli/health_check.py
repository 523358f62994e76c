"""`chatgptt health-check`: its options.

Its exit code is the worst verdict's, and 3 for a call that cannot work.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import click

from chatgptt.cli import options
from chatgptt.sites.named import NamedSite

Format = Literal["text", "json", "nagios", "prometheus", "junit"]
FORMATS = ("text", "json", "nagios", "prometheus", "junit")
LEVELS = ("page", "tokens", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthOptions:
    """The options of the command; the option of the same name says what each means.

    Those `given` for the pages hold for each of them, in place of what a named site's table says.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    site: str = field(default="", repr=False)
    sites_file: Path | None = None
    given: NamedSite = field(default_factory=NamedSite)
    format: Format = "text"
    output: Path | None = None
    shows_history: bool = False
    report: Path | None = None
    screenshot: Path | None = None
    days: float = 30.0
    watch: float | None = None
    failures: int | None = None
    ping_url: str = field(default="", repr=False)
    replay: Path | None = None


class _UsageError(click.UsageError):
    """Wrong usage, with the exit code for "unknown": monitors read 2 as the site's fault."""

    exit_code = 3


class _MonitorCommand(click.Command):
    """A command whose usage errors exit with 3."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As every command does, with another exit code."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _UsageError(error.format_message(), error.ctx or ctx) from error


@click.command(
    "health-check",
    short_help="Check whether sites work, and which step fails.",
    epilog=options.examples(
        "chatgptt health-check https://site.example/chat",
        "chatgptt health-check --level tokens --format nagios shop",
    ),
    cls=_MonitorCommand,
)
@click.argument("urls", metavar="[URL|NAME]...", nargs=-1)
@click.option(
    "--site",
    envvar="CHATGPTT_SITE",
    show_envvar=True,
    default="",
    metavar="URL",
    help="The page, where none is an argument.",
)
@options.path(
    "--sites", "sites_file", metavar="FILE", help="A TOML file with a table a site: url and options."
)
@click.option(
    "--level", type=click.Choice(LEVELS), help="How far to go; only full sends a message, one. [full]"
)
@click.option("--message", metavar="TEXT", help="What to send.")
@click.option("--expect", metavar="REGEX", help="What the answer has to match.")
@options.number("--warn", "SECONDS", "A check that takes longer is a warning.")
@options.number("--cert-days", "DAYS", "A certificate that ends sooner is a warning. [14]")
@click.option(
    "--format", type=click.Choice(FORMATS), default="text", show_default=True, help="The form of the output."
)
@options.path("--output", metavar="FILE", help="Replace this file with the output, in one step.")
@click.option("--history", "shows_history", is_flag=True, help="Show earlier checks and make none.")
@options.path("--report", metavar="FILE", help="Write an HTML page of the checks so far.")
@options.screenshot
@click.option(
    "--days",
    type=options.as_number,
    default=30.0,
    metavar="DAYS",
    help="How far back history and report go. [30]",
)
@options.number("--watch", "SECONDS", "Check again every so often, until stopped.")
@click.option(
    "--failures",
    type=options.whole(),
    metavar="N",
    help="Critical after N in a row. [2 with --watch, else 1]",
)
@click.option(
    "--ping-url",
    default="",
    metavar="URL",
    help="Call this after each round, and URL/fail if a site fails.",
)
@options.replay
@options.bot
@options.proxy
@options.number("--timeout", "SECONDS", "Limit for each check. [60]")
@options.strategy
@options.gathered("given", NamedSite)
@options.gathered("checks", HealthOptions)
@options.reporting(needs_stdout=False)  # --output may stand in for it
def command(checks: HealthOptions, as_json: bool) -> int:
    """Check whether sites work, and if not, which step fails; 0 ok, 1 warning, 2 critical, 3 unknown.

    Each URL or NAME is a page to check. Without any, all sites with a name are checked. See sites.
    """
    from chatgptt.cli.health_rounds import run_checks

    source = click.get_current_context().get_parameter_source("site")
    if checks.sites_file is not None and source is click.core.ParameterSource.ENVIRONMENT:
        checks = replace(checks, site="")  # it chooses no site of a file that the call names
    return run_checks(replace(checks, format="json") if as_json else checks)
