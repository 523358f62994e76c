"""The command line: parse, call, print, exit code."""

try:
    from chatgptt.cli.app import main, run
except KeyboardInterrupt:  # Ctrl-C while the parts of the command are loaded, which takes a tenth of a second
    raise SystemExit(130) from None

__all__ = ["main", "run"]
