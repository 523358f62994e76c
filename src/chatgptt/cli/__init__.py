"""The command line: parse, call, print, exit code."""

import gc
import sys

from chatgptt.cli import streams

__all__ = ["main", "run"]


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and gives its exit code."""
    try:
        from chatgptt.cli import app  # here, so that Ctrl-C is caught while its parts are loaded too

        return app.main(argv)
    except KeyboardInterrupt:
        return 130  # as a shell has it: 128 and the number of SIGINT


def run() -> None:
    """The installed script.

    Searching for garbage in what was imported takes a tenth of a short command's time, and finds none. A
    question makes some 60,000. So the collector starts after 100,000 new objects instead of 700, and leaves
    alone what is there at exit. Commands that run for long keep some megabytes more for it.
    """
    gc.set_threshold(100_000)
    streams.let_streams_wait()
    code = main()
    gc.freeze()
    sys.exit(code)
