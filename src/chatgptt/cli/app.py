"""The `chatgptt` command: its list of commands, and `main`.

Each command is a module of this folder, which is imported when the command is run or listed. The command
imports the library in its body. So the help appears at once, and a question loads only what it needs.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import chatgptt
from chatgptt.cli import streams


class _Commands(click.Group):
    """The commands, each imported when it is needed. Its name is that of its module."""

    names = (
        "ask",
        "chat",
        "log",
        "batch",
        "inspect",
        "health-check",
        "sites",
        "login",
        "logout",
        "record",
        "replay",
        "install-browser",
        "serve",
        "demo",
    )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the help."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command; None for an unknown name."""
        if cmd_name in self.names:
            return _import_command(cmd_name)
        self.commands = {name: _import_command(name) for name in self.names}  # click suggests a similar one
        return None


def _import_command(name: str) -> click.Command:
    try:
        command: click.Command = import_module(f"chatgptt.cli.{name.replace('-', '_')}").command
    except KeyboardInterrupt:  # click would print an empty line
        raise click.Abort from None
    return command


def _show_completion(ctx: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        from chatgptt.cli.completion import current_shell, script_for

        click.echo(script_for(current_shell(), ctx.command))
        ctx.exit()


def _install_completion(ctx: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        from chatgptt.cli.completion import current_shell, install_script, script_for

        shell = current_shell()
        file = install_script(shell, script_for(shell, ctx.command))
        click.echo(f"{shell} completion installed in {file}")
        click.echo("Completion will take effect once you restart the terminal")
        ctx.exit()


_EPILOG = """\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.

\b
Environment:
  CHATGPTT_SITE               the page to ask, or a site's name
  CHATGPTT_SITES              the file of the names
  CHATGPTT_STATE_DIR          the folder for tokens, visitor ids and conversations
  CHATGPTT_LOG_CONVERSATIONS  0 keeps no conversation
  CHATGPTT_STORE              tokens in Redis, for many machines: redis://...
  CHATGPTT_BROKER             the broker of Celery, for batch
  CHATGPTT_API_KEY            what clients of serve have to send
  CHATGPTT_BROWSER            the browser to run
  CHATGPTT_LOG                info or debug says what is done
  EDITOR, NO_COLOR            as everywhere
"""


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(chatgptt.__version__, message="%(prog)s %(version)s", help="Print the version.")
@click.option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_install_completion,
    help="Install completion for the current shell.",
)
@click.option(
    "--show-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_completion,
    help="Show completion for the current shell, to copy it or customize the installation.",
)
def command() -> None:
    """Ask the chat boxes that the WordPress plugin AI Power puts on web pages."""


def _report_usage_error(error: click.ClickException, argv: Sequence[str]) -> int:
    """Prints it in the form of all other errors, and gives the exit code."""
    from chatgptt._errors import InvalidInputError
    from chatgptt.cli.reporting import run_reporting

    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = ""
    if context is not None:
        usage = " ".join(context.get_usage().split())
        hint = f"{usage}; more: {context.command_path} --help"

    def fail() -> None:
        raise InvalidInputError(error.format_message(), hint=hint)

    options = itertools.takewhile(lambda word: word != "--", argv)
    run_reporting(fail, verbose=0, as_json="--json" in options, needs_stdout=False)
    return error.exit_code


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and gives its exit code.

    Raises:
        KeyboardInterrupt: where Ctrl-C ended it.
    """
    streams.fill_closed_streams()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as done:  # of a request for completions
        code = done.code
    except OSError as error:  # of the help: commands report their own
        from chatgptt.cli.terminal import print_failure

        print_failure(error)
        return 1
    return code if isinstance(code, int) else 0


def _run(argv: list[str]) -> object:
    try:
        return command.main(argv, prog_name="chatgptt", standalone_mode=False)
    except click.ClickException as error:
        return _report_usage_error(error, argv)
