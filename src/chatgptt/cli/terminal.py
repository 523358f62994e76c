"""Text for people and programs: escaped words of a site, one JSON document, errors with their hints.

Text goes to stdout, everything else to stderr. A terminal does not get a site's words as they are: control
characters and direction overrides are shown as escapes there, and left alone in pipes and in JSON. What comes
in is UTF-8 whatever the locale says, since that is what pipes and terminals speak today.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from chatgptt._errors import ChatGpttError, InvalidInputError

_UNSAFE = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls but tab and line ends
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings, overrides, isolates
    # What cannot be seen and may hide words; scripts and emoji need the joiners, \u200c and \u200d.
    "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    "\u2028\u2029"  # lines that only some programs see
    "\ud800-\udfff]"  # lone surrogates, which no terminal can show
)


def escape(text: str) -> str:
    r"""`text` with what could act on a terminal shown as `\x1b` or `\u202e`."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def on_one_line(text: str) -> str:
    """`text`, escaped, with its line ends as well: nothing in it can look like a line of our own."""
    return escape(text).replace("\n", "\\n").replace("\r", "\\r").replace("\t", " ")


def as_utf8(text: str) -> str:
    """Text that came in under a locale without UTF-8, read as UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_dumb() -> bool:
    """Whether the terminal can only print, as those of some editors."""
    return os.environ.get("TERM") in ("dumb", "unknown")


def is_utf8_terminal() -> bool:
    """Whether stdout is a terminal that gets UTF-8."""
    return sys.stdout.isatty() and (sys.stdout.encoding or "").lower() in ("utf-8", "utf8")


def in_options(hint: str) -> str:
    """A hint of the library in the words of the command line, whose option for `proxy=` is `--proxy`."""
    return re.sub(r"\b(proxy|timeout|bot)=(?![\w\"])", r"--\1", hint).replace("is_headed", "--headed")


def error_document(error: ChatGpttError) -> dict[str, object]:
    """What `--json` prints of an error."""
    return {"error": {**error.as_dict(), "hint": in_options(error.hint)}}


def write_text(text: str, file: TextIO) -> None:
    """Writes a site's words at once, escaped on a terminal; what the encoding lacks becomes `?`."""
    write_escaped(escape(text) if file.isatty() else text, file)


def write_escaped(text: str, file: TextIO) -> None:
    """Writes text that the caller has escaped; what the encoding lacks becomes `?`.

    Nothing is escaped here: colours that the caller has put into the text act on a terminal.
    """
    encoding = file.encoding or "utf-8"
    file.write(text.encode(encoding, "replace").decode(encoding))
    file.flush()


def write_diagnosis(text: str) -> None:
    """Writes to stderr. Where that fails the exit code is all that is left to say so."""
    with contextlib.suppress(OSError, ValueError):
        write_text(text, sys.stderr)


def say(words: str) -> None:
    """Writes a line to stderr, in words that no site can break out of."""
    write_diagnosis(f"{on_one_line(words)}\n")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as lines, their cells below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def cropped(line: str, width: int) -> str:
    """A line that takes at most `width` cells of a terminal; some characters take two."""
    from rich.cells import cell_len, set_cell_size

    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def check_stdout() -> None:
    """Refuses to work for an output that has no place to go.

    Raises:
        InvalidInputError: before anything is sent.
    """
    if sys.stdout is None:
        raise InvalidInputError(
            "stdout is closed, so there is no place to write to", hint="leave it open, or use >/dev/null"
        )


def print_json(document: object) -> None:
    """Prints one JSON document to stdout: in ASCII to a pipe, in letters that people read to a terminal."""
    import json  # here: most commands print text

    is_readable = is_utf8_terminal()
    text = json.dumps(document, ensure_ascii=not is_readable, indent=2)
    if is_readable:
        text = _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)
    write_text(text + "\n", sys.stdout)


def print_result(document: object, text: str, *, as_json: bool) -> None:
    """Prints what came of a command to stdout: its document with `--json`, else its text."""
    if as_json:
        print_json(document)
    else:
        write_text(text, sys.stdout)


def read_message(argument: str | None) -> str:
    """The message of a command: its argument, and below that what a pipe or a file brings on stdin.

    Where the argument is `-` or missing, stdin alone is the message.

    Raises:
        InvalidInputError: where there is none, and where stdin holds no text or too much of it.
    """
    if argument is not None and argument != "-":
        words = as_utf8(argument)
        if not words.strip() or sys.stdin is None or sys.stdin.isatty():
            return words
        piped = _read_stdin()
        return f"{words}\n\n{piped}" if piped.strip() else words
    if sys.stdin is None:
        raise InvalidInputError("no message was given, and stdin is closed", hint=_NO_MESSAGE)
    if argument is None and sys.stdin.isatty():
        raise InvalidInputError("no message was given", hint=_NO_MESSAGE)
    return _read_stdin()


_NO_MESSAGE = 'chatgptt ask "your message", or pipe one in'


def _read_stdin() -> str:
    from chatgptt.protocols.prompt import MAX_MESSAGE_BYTES

    most_bytes = MAX_MESSAGE_BYTES + 3  # a byte order mark does not count
    try:
        data = sys.stdin.buffer.read(most_bytes)
    except OSError as error:
        raise InvalidInputError(f"cannot read stdin: {error.strerror or error}", hint=_NO_MESSAGE) from error
    if b"\0" in data:
        size = f"more than {MAX_MESSAGE_BYTES}" if len(data) == most_bytes else str(len(data))
        raise InvalidInputError(
            f"stdin holds {size} bytes that are no text", hint="a chat box takes text alone, in UTF-8"
        )
    data = data.rstrip(b"\r\n")
    if len(data) > MAX_MESSAGE_BYTES:
        raise InvalidInputError(
            f"the message on stdin is longer than the limit of {MAX_MESSAGE_BYTES} bytes",
            hint="shorten or split it",
        )
    return data.decode("utf-8-sig", "replace")


def print_error(error: ChatGpttError) -> None:
    """Prints an error to stderr: its message, what the rungs saw, and the hint."""
    lines = [f"error: {error.message}"]
    lines += [
        f"  {finding.rung}: {finding.saw}" for finding in error.findings if finding.saw not in error.message
    ]
    if error.hint:
        lines.append(f"hint: {in_options(error.hint)}")
    write_diagnosis("\n".join(map(on_one_line, lines)) + "\n")


def report_error(error: ChatGpttError, *, as_json: bool) -> None:
    """Prints an error as `--json` has it to stdout, if that is open, else in words to stderr."""
    if as_json and sys.stdout is not None:
        print_json(error_document(error))
    else:
        print_error(error)


def print_failure(error: OSError) -> None:
    """Prints an error of the operating system to stderr."""
    write_diagnosis(f"error: {on_one_line(error.strerror or str(error))}\n")


def end_interrupted_line() -> None:
    """Moves a terminal to a new line, after the `^C` that it shows itself or an unanswered prompt."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")
