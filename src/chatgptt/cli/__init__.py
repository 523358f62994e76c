"""The command line: parse, call, print, exit code."""

from chatgptt.cli.app import main, run

__all__ = ["main", "run"]
