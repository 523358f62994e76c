"""`chatgptt batch`: its options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatgptt.cli import options
from chatgptt.cli.target import Target

if TYPE_CHECKING:
    from chatgptt.batch.journal import State
    from chatgptt.batch.output import OutputForm
    from chatgptt.batch.rows import InputForm

_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """The options of the command; the option of the same name says what each means."""

    source: str
    output: Path
    input_format: InputForm | None = None
    column: str = ""
    format: OutputForm = "openai"
    concurrency: int = 2
    rate: float | None = None
    is_ordered: bool = False
    retries_errors: bool = False
    retries_ambiguous: bool = False
    broker: str = field(default="", repr=False)

    @property
    def retries(self) -> list[State]:
        """The states whose rows are asked again."""
        wanted: tuple[tuple[State, bool], ...] = (
            ("error", self.retries_errors),
            ("ambiguous", self.retries_ambiguous),
        )
        return [state for state, is_wanted in wanted if is_wanted]


def read_rate(text: str) -> float | None:
    """Messages a minute; None for no limit, and 0 for what is no rate."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)/(s|min|h)", text)
    if found is None:
        return None if text == "none" else 0.0
    return float(found[1]) * _PER_MINUTE[found[2]]


def _check_rate(ctx: click.Context, parameter: click.Parameter, text: str) -> float | None:
    rate = read_rate(text)
    if rate == 0.0:
        raise click.BadParameter("give 10/min, 2/s, 600/h or none")
    return rate


@click.command(
    "batch",
    short_help="Ask many questions from a file, each once.",
    epilog=options.examples("chatgptt batch questions.jsonl -o answers.jsonl"),
)
@click.argument("source", metavar="INPUT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The answers."
)
@click.option(
    "--input-format", type=click.Choice(("json", "text", "csv")), help="Instead of what INPUT looks like."
)
@click.option("--column", default="", metavar="NAME", help="INPUT is CSV, and this column has the messages.")
@click.option(
    "--format",
    type=click.Choice(("openai", "simple")),
    default="openai",
    show_default=True,
    help="The form of each line of the output.",
)
@click.option("--ordered", "is_ordered", is_flag=True, help="Put the answers into INPUT's order at the end.")
@click.option(
    "--concurrency",
    metavar="COUNT",
    type=options.whole(least=1),
    default=2,
    show_default=True,
    help="Messages that a site has to answer at once.",
)
@click.option(
    "--rate",
    default="10/min",
    show_default=True,
    callback=_check_rate,
    metavar="N/min",
    help="Messages that a site gets at most; none for no limit.",
)
@click.option("--retry-errors", "retries_errors", is_flag=True, help="Ask rows again that failed.")
@click.option(
    "--retry-ambiguous",
    "retries_ambiguous",
    is_flag=True,
    help="Ask rows again that the site may have answered.",
)
@click.option(
    "--broker",
    default="",
    envvar="CHATGPTT_BROKER",
    show_envvar=True,
    metavar="URL",
    help="Have workers ask, that take the rows from this Redis: celery -A chatgptt.celery worker.",
)
@options.target(240.0)
@options.system
@options.gathered("batch", BatchOptions)
@options.reporting()
def command(batch: BatchOptions, target: Target, system: str, as_json: bool) -> int:
    """Ask many questions, each once, and write the answers to a file.

    INPUT is JSON lines in OpenAI's batch form or with id, message, system, site and bot, a text with a
    message on each line, or CSV; '-' is stdin. Run it again to go on where it ended. Exit code: 0 all
    answered, 1 some failed, 3 none answered.
    """
    from chatgptt.cli.batch_run import run_batch

    return run_batch(batch, target, system=system, as_json=as_json)
