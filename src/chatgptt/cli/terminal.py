"""What people see and type: answers as they stream, errors with their hints, one JSON document.

Text goes to stdout, everything else to stderr. Words of a site are not to be trusted with a terminal: control
characters and direction overrides are shown as escapes there, and left alone in pipes and in JSON. What comes
in is UTF-8 whatever the locale says, since that is what pipes and terminals speak today.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import re
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from chatgptt._errors import ChatGpttError, InvalidInputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from chatgptt._models import ChatBox, Reply
    from chatgptt._sync import Conversation, ReplyStream
    from chatgptt.recordings.recorder import Recorded
    from chatgptt.recordings.replay import ReplayedSite

__all__ = [
    "abandon_stdout",
    "check_stdout",
    "converse",
    "end_interrupted_line",
    "error_document",
    "escape",
    "fill_closed_streams",
    "in_options",
    "let_streams_wait",
    "logging_to_stderr",
    "on_one_line",
    "print_answer",
    "print_boxes",
    "print_browser",
    "print_drift",
    "print_error",
    "print_failure",
    "print_json",
    "print_recorded",
    "print_replay",
    "read_message",
    "write_text",
]

_log = logging.getLogger("chatgptt.cli")

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


def in_options(hint: str) -> str:
    """A hint of the library in the words of the command line, whose option for `proxy=` is `--proxy`."""
    return re.sub(r"\b(proxy|timeout|bot)=(?![\w\"])", r"--\1", hint).replace("is_headed", "--headed")


def error_document(error: ChatGpttError) -> dict[str, object]:
    """What `--json` prints of an error."""
    return {"error": {**error.as_dict(), "hint": in_options(error.hint)}}


def write_text(text: str, file: TextIO) -> None:
    """Writes a site's words at once, escaped on a terminal; what the encoding lacks becomes `?`."""
    if file.isatty():
        text = escape(text)
    encoding = file.encoding or "utf-8"
    file.write(text.encode(encoding, "replace").decode(encoding))
    file.flush()


def _write_diagnosis(text: str) -> None:
    """Writes to stderr. Where that fails there is no place left to say so; the exit code says the rest."""
    with contextlib.suppress(OSError, ValueError):
        write_text(text, sys.stderr)


# Streams that wait, and closed ones


class _Waiting(io.FileIO):
    """A standard stream that waits also where its file is non-blocking, and writes all or fails.

    Python would lose what a full pipe does not take. Any program that shares the pipe may make it
    non-blocking, at any time.
    """

    def write(self, data: ReadableBuffer) -> int:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.fileno(), rest) :]
            except BlockingIOError:
                select.select((), (self,), ())
        return len(memoryview(data))

    def readinto(self, buffer: WriteableBuffer) -> int:
        while True:
            try:
                return os.readv(self.fileno(), (buffer,))
            except BlockingIOError:
                select.select((self,), (), ())


def let_streams_wait() -> None:
    """Lets the standard streams of this process wait; see _Waiting."""
    if sys.platform == "win32":  # a console is no file there
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        reader = io.BufferedReader(_Waiting(sys.stdin.fileno(), "rb", closefd=False))
        sys.stdin = io.TextIOWrapper(reader, sys.stdin.encoding, sys.stdin.errors)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _waiting_writer(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _waiting_writer(sys.stderr)


def _waiting_writer(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    # Without a buffer below it, as with Python's -u: what was not taken would be tried once more at exit.
    raw = _Waiting(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, write_through=True)


def fill_closed_streams() -> None:
    """Puts the null device in place of each standard stream that is closed, or open the wrong way round.

    Else the next file or connection would get its number, and what is written there by others. stdin and
    stdout are None then, so that a command which needs them can say so; diagnoses get lost.
    """
    if not _is_open(sys.stdin, lambda number: os.read(number, 0)):
        sys.stdin = None  # as Python has it for a closed one
    if not _is_open(sys.stdout, lambda number: os.write(number, b"")):
        sys.stdout = None
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number
    if not _is_open(sys.stderr, lambda number: os.write(number, b"")):
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end of the process


def _is_open(stream: TextIO | None, attempt: Callable[[int], object]) -> bool:
    """Whether the way that a stream goes is open; moves no byte."""
    if stream is None:
        return False
    try:
        attempt(stream.fileno())
    except io.UnsupportedOperation:  # no file is behind it: a test's or a notebook's
        return True
    except ValueError:  # Python's own file is closed
        return False
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def check_stdout() -> None:
    """Refuses to work for an output that has no place to go.

    Raises:
        InvalidInputError: before anything is sent.
    """
    if sys.stdout is None:
        raise InvalidInputError(
            "stdout is closed, so there is no place to write to", hint="leave it open, or use >/dev/null"
        )


# Answers


def print_answer(answer: ReplyStream, *, is_streamed: bool = True) -> None:
    """Prints an answer to stdout as it arrives, or at its end; what came before a failure is printed too."""
    pieces: list[str] = []
    try:
        with answer:
            for piece in answer:
                pieces.append(piece)
                if is_streamed:
                    write_text(piece, sys.stdout)
    finally:
        _end_answer("".join(pieces), is_written=is_streamed)
    if answer.reply is not None:
        _log.info("%s", _describe(answer.reply))


def _end_answer(text: str, *, is_written: bool) -> None:
    rest = "" if is_written else text
    if text and not text.endswith("\n"):
        rest += "\n"
    if rest:
        write_text(rest, sys.stdout)


def _describe(reply: Reply) -> str:
    """How an answer came about, on one line."""
    return (
        f"answered by bot {reply.bot_id} ({reply.protocol}) of {reply.site}; "
        f"tokens from {reply.tokens_from}, requests for them: {reply.page_requests}; "
        f"message sent: {reply.attempts} x; "
        f"first text after {reply.first_text:.2f} s, all after {reply.elapsed:.2f} s"
    )


def print_json(document: object) -> None:
    """Prints one JSON document to stdout."""
    write_text(json.dumps(document, ensure_ascii=True, indent=2) + "\n", sys.stdout)


# Messages and conversations


def read_message(argument: str | None) -> str:
    """The message of a command: its argument, or stdin where that is `-` or missing.

    Raises:
        InvalidInputError: where there is none, or stdin holds more than a message may be long.
    """
    from chatgptt.protocols.prompt import MAX_MESSAGE_BYTES

    if argument is not None and argument != "-":
        return _as_utf8(argument)
    hint = 'chatgptt ask "your message", or pipe one in'
    if sys.stdin is None:
        raise InvalidInputError("no message was given, and stdin is closed", hint=hint)
    if argument is None and sys.stdin.isatty():
        raise InvalidInputError("no message was given", hint=hint)
    try:
        data = sys.stdin.buffer.read(MAX_MESSAGE_BYTES + 3).rstrip(b"\r\n")
    except OSError as error:
        raise InvalidInputError(f"cannot read stdin: {error.strerror or error}", hint=hint) from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise InvalidInputError(
            f"the message on stdin is longer than the limit of {MAX_MESSAGE_BYTES} bytes",
            hint="shorten or split it",
        )
    return data.decode("utf-8-sig", "replace")


def _as_utf8(text: str) -> str:
    """Text that came in under a locale without UTF-8, as what it was meant to be."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def converse(conversation: Conversation, *, as_json: bool) -> bool:
    """Asks each line that is typed or piped in; whether all of them were answered.

    Raises:
        InvalidInputError: where stdin is closed.
    """
    if sys.stdin is None:
        raise InvalidInputError(
            "stdin is closed, so there is no message to read", hint="type the messages, or pipe them in"
        )
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    answers: list[object] = []
    has_failed = False
    if is_terminal:
        sys.stderr.write(f"{_COMMANDS}\n")
    for line in _typed_lines() if is_terminal else _piped_lines():
        if line in ("/quit", "/exit"):
            break
        if line.startswith("/") and _obey(line, conversation, is_terminal=is_terminal):
            continue
        try:
            if as_json:
                answers.append(conversation.ask(line).as_dict())
            else:
                print_answer(conversation.stream(line))
        except ChatGpttError as error:
            has_failed = True
            if as_json:
                answers.append(error_document(error))
            else:
                print_error(error)
    if as_json:
        print_json(answers)
    return is_terminal or not has_failed


_COMMANDS = "/reset begins anew, /quit or Ctrl-D ends"


def _obey(line: str, conversation: Conversation, *, is_terminal: bool) -> bool:
    """Does what a line with a slash says; False where it is a message after all."""
    match line:
        case "/reset":
            conversation.reset()
            words = "a new conversation"
        case "/help":
            words = _COMMANDS
        case _:
            return False
    if is_terminal:
        sys.stderr.write(f"{words}\n")
    return True


def _typed_lines() -> Iterator[str]:
    with contextlib.suppress(ImportError):  # no line editing where Python has none
        import readline  # noqa: F401 - importing it is what gives input() its arrow keys
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        try:
            line = _as_utf8(input("> ")).strip()
        except EOFError:
            end_interrupted_line()
            return
        if line:
            yield line


def _piped_lines() -> Iterator[str]:
    for data in sys.stdin.buffer:
        line = data.decode("utf-8-sig", "replace").strip()
        if line:
            yield line


# Boxes


def print_boxes(page: str, boxes: Sequence[ChatBox], default: ChatBox) -> None:
    """Prints the boxes of a page as a table; `default` is the one that is asked."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False)
    for name in ("bot", "name", "protocol", "kind", "post", "nonce", "found by"):
        table.add_column(name, overflow="fold")
    for box in boxes:
        cells = (box.bot_id, box.name, box.protocol, box.kind, box.post_id, box.nonce, box.found_by)
        table.add_row(*(Text(on_one_line("-" if cell in (None, "") else str(cell))) for cell in cells))
    # The environment may ask for colour; a pipe gets none all the same.
    console = Console(
        highlight=False,
        force_terminal=is_terminal,
        no_color=None if is_terminal else True,
        width=None if is_terminal else 1000,
    )
    with console.capture() as captured:
        console.print(table)
    lines = [f"page: {on_one_line(page)}"]
    lines += [f"messages go to: {on_one_line(url)}" for url in dict.fromkeys(box.ajax_url for box in boxes)]
    lines += ["", *(line.rstrip() for line in captured.get().splitlines())]
    if len(boxes) > 1:
        lines += ["", f"Without --bot, {default.kind} bot {default.bot_id} is asked."]
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(("\n".join(lines) + "\n").encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


# What goes to stderr


def print_browser(path: str, found_by: str, steps: tuple[str, ...], *, as_json: bool) -> None:
    """Prints which browser is used, and what was done to get it."""
    if as_json:
        print_json({"browser": path, "found_by": found_by, "installed": list(steps)})
        return
    ways = {
        "named": "named in CHATGPTT_BROWSER",
        "playwright": "Playwright's own",
        "machine": "found on this machine",
    }
    done = f"installed: {', then '.join(steps)}" if steps else "nothing to do"
    write_text(on_one_line(f"{path} ({ways.get(found_by, found_by)}); {done}") + "\n", sys.stdout)


def print_recorded(recorded: Recorded, folder: Path, *, as_json: bool) -> None:
    """What was recorded where, and on stderr what was replaced in it."""
    from chatgptt.cli.recordings import as_dict

    if as_json:
        print_json(as_dict(folder, recorded))
        return
    asks = ", ".join(
        f"{ask.outcome} ({ask.reason})" if ask.reason else ask.outcome for ask in recorded.case.asks
    )
    count = len(recorded.case.exchanges)
    write_text(f"{folder}: {count} exchange{'s' if count != 1 else ''}, {asks}\n", sys.stdout)
    _write_diagnosis("".join(f"  {on_one_line(line)}\n" for line in recorded.report.lines()))


def print_drift(folder: Path, drift: Sequence[str], *, as_json: bool) -> None:
    """What has changed since a case was recorded."""
    if as_json:
        print_json({"folder": str(folder), "drift": list(drift)})
    else:
        write_text("".join(f"{on_one_line(line)}\n" for line in drift) or "nothing has changed\n", sys.stdout)


def print_replay(site: ReplayedSite, *, as_json: bool) -> None:
    """Where a case is served, and what it answers."""
    if as_json:
        print_json({"url": site.url, "page": site.page, "messages": list(site.messages)})
        return
    messages = (
        "".join(f"  {on_one_line(message)}\n" for message in site.messages)
        or "  no message: only the boxes\n"
    )
    write_text(f"{site.page}\nCtrl-C ends it. What it answers:\n{messages}", sys.stdout)


def print_error(error: ChatGpttError) -> None:
    """Prints an error to stderr: its message, what the rungs saw, and the hint."""
    lines = [f"error: {error.message}"]
    lines += [
        f"  {finding.rung}: {finding.saw}" for finding in error.findings if finding.saw not in error.message
    ]
    if error.hint:
        lines.append(f"hint: {in_options(error.hint)}")
    _write_diagnosis("\n".join(map(on_one_line, lines)) + "\n")


def print_failure(error: OSError) -> None:
    """Prints to stderr what the system did not let us do."""
    _write_diagnosis(f"error: {on_one_line(error.strerror or str(error))}\n")


@contextlib.contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Shows what the library logs, from `level` on, as long as the block lasts."""
    log = logging.getLogger("chatgptt")
    before = log.level
    handler = _ToStderr()
    handler.setFormatter(_EscapingFormatter("%(name)s: %(message)s"))
    handler.addFilter(_Once())
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time: where a table is live, to the lines above it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Once(logging.Filter):
    """Lets what is said of the state on disk pass once, though each of many clients finds it out."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        if record.name != "chatgptt.store":
            return True
        is_new = words not in self._said
        self._said.add(words)
        return is_new


class _EscapingFormatter(logging.Formatter):
    """Keeps what is logged on one line, which no words of a site can leave; a traceback's are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return on_one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return escape(super().format(record)).replace("\n", "\n  ")


def end_interrupted_line() -> None:
    """Moves a terminal to a new line, after the `^C` that it shows itself or a prompt left unanswered."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")


def abandon_stdout() -> None:
    """For when whoever read our output has had enough: nothing more is said there, not even at exit."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: a stdout without a file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
