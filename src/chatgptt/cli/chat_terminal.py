"""`chatgptt chat` at a terminal: messages, and commands that begin with a slash.

A word with a slash that is no command is not sent, since each message costs of the visitor's quota. Ctrl-C
ends an answer, and the conversation goes on.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt._models import ChatBox
from chatgptt.cli import terminal
from chatgptt.cli.answers import print_answer, writing
from chatgptt.cli.line_editor import QUOTES, LineEditor
from chatgptt.cli.progress import showing_progress
from chatgptt.cli.talk import Talk, open_talk
from chatgptt.cli.target import Target
from chatgptt.cli.transcripts import as_dict, as_markdown, read_transcript
from chatgptt.state.files import replace_file
from chatgptt.state.folder import default_folder

_HELP = """\
/help           this list
/retry          ask for another answer to the last message
/reset          begin a new conversation
/show           show the conversation so far
/save FILE      save it: as JSON in FILE.json, else as Markdown
/load FILE      go on with one that was saved as JSON
/system [TEXT]  instructions in front of the conversation; without TEXT, none
/site [PAGE]    begin a new conversation with another page, by address or name
/bot [BOT]      begin a new conversation with another bot of the page
/quit, Ctrl-D   end

Alt-Enter       a new line in a message; so is Enter between two \"\"\". A paste is one message.
Ctrl-C          stops an answer, clears a line, ends at an empty one
Ctrl-R          searches what was typed
Ctrl-X Ctrl-E   opens an editor
"""

_WORDS = tuple(re.findall(r"^(/\w+)", _HELP, re.M))

_COMMAND = re.compile(r"(/[A-Za-z?]+)(?:\s+(.*))?", re.S)
"""A word after a slash; a path such as /etc/hosts does not match."""


class TerminalChat:
    """A conversation that is typed; `with` closes its client.

    Args:
        target: the page.
        has_history: whether what is typed is kept for the next run.
        is_plain: whether the terminal gets text alone.
    """

    def __init__(self, target: Target, *, has_history: bool, is_plain: bool) -> None:
        self._target = target
        self._has_history = has_history
        self._is_plain = is_plain
        self._opened = contextlib.ExitStack()
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def run(self, *, system: str, is_continued: bool) -> None:
        """Holds the conversation, up to its end.

        Raises:
            ChatGpttError: where the page cannot be asked.
            KeyboardInterrupt: at Ctrl-C where nothing is typed and nothing is answered.
        """
        self._open(self._target, system=system, is_continued=is_continued)
        _say("/help lists the commands, /quit or Ctrl-D ends")
        try:
            for typed in self._typed():
                command = _COMMAND.fullmatch(typed)
                if command is None:
                    self._ask(_without_quotes(typed))
                elif self._do(command[1].lower(), (command[2] or "").strip()):
                    return
        finally:
            if self._talk.is_logged and self._talk.transcript.id is not None:
                _say("kept: chatgptt chat -c goes on with it")

    def _open(self, target: Target, *, system: str, is_continued: bool = False) -> None:
        """Goes over to a page, if it can be asked."""
        with contextlib.ExitStack() as opening:
            opened = open_talk(target, system=system, is_continued=is_continued, is_kept=True)
            talk = opening.enter_context(opened)
            with showing_progress(is_plain=self._is_plain):
                box = talk.client.prepare()
            self._opened.close()
            self._opened = opening.pop_all()
        self._target, self._talk, self._last = target, talk, ""
        _say(_describe(box, talk))

    def _typed(self) -> Iterator[str]:
        """What is typed, up to Ctrl-D."""
        read = self._reader()
        with contextlib.suppress(EOFError):
            while True:
                typed = terminal.as_utf8(read())
                if typed.strip():
                    yield typed

    def _reader(self) -> Callable[[], str]:
        if self._is_plain:
            return lambda: input("> ")
        is_kept = self._has_history and self._talk.is_logged
        return LineEditor(_WORDS, default_folder() if is_kept else None).read

    # Messages

    def _ask(self, message: str) -> bool:
        """Prints the answer to a message, and keeps it; also the part of it that came before its end.

        False where nothing came.
        """
        self._last = message
        pieces: list[str] = []
        try:
            reply = print_answer(self._talk.stream(message), is_plain=self._is_plain, pieces=pieces)
        except ChatGpttError as error:
            terminal.print_error(error)
            return self._keep_part(message, pieces)
        except KeyboardInterrupt:
            _say("stopped")
            return self._keep_part(message, pieces)
        self._talk.keep(message, reply.text)
        return True

    def _keep_part(self, message: str, pieces: list[str]) -> bool:
        """Keeps the part of an answer that came. False without any."""
        if pieces:
            self._talk.keep(message, "".join(pieces), is_whole=False)
            _say("what came is part of the conversation")
        return bool(pieces)

    def _retry(self) -> None:
        """Asks the last message again. The answer takes the place of the one before, if one comes."""
        before = self._talk.transcript
        last = before.exchanges[-1].message if before.exchanges else ""
        message = self._last or last
        if not message:
            raise InvalidInputError("there is no message to ask again", hint="type one")
        if message == last:
            self._talk.take_back()
        if not self._ask(message):
            self._talk.go_on_with(before)

    # Commands

    def _do(self, word: str, argument: str) -> bool:
        """Does what a word with a slash says. True where the chat ends."""
        try:
            match word:
                case "/quit" | "/exit" | "/bye":
                    return True
                case "/help" | "/?":
                    terminal.write_diagnosis(_HELP)
                case "/retry":
                    self._retry()
                case "/reset" | "/clear" | "/new":
                    self._talk.reset()
                    self._last = ""
                    _say("a new conversation")
                case "/show":
                    self._show()
                case "/save" | "/load" if not argument:
                    raise InvalidInputError(f"{word} needs the name of a file", hint=f"{word} talk.json")
                case "/save":
                    self._save(Path(argument).expanduser())
                case "/load":
                    self._load(Path(argument).expanduser())
                case "/system":
                    self._talk.go_on_with(replace(self._talk.transcript, system=argument))
                    _say("messages go with these instructions from now on" if argument else "no instructions")
                case "/site" if argument:
                    self._open(replace(self._target, site=argument, bot=""), system="")
                case "/bot" if argument:
                    system = self._talk.transcript.system
                    self._open(replace(self._target, bot=argument), system=system)
                case "/site" | "/bot":
                    _say(self._place)
                case _:
                    raise InvalidInputError(
                        f"there is no command {word}, and nothing was sent",
                        hint="/help lists the commands; a message may begin with a space",
                    )
        except ChatGpttError as error:
            terminal.print_error(error)
        except KeyboardInterrupt:
            _say("stopped")
        return False

    @property
    def _place(self) -> str:
        transcript = self._talk.transcript
        return f"{transcript.page}{f', bot {transcript.bot}' if transcript.bot else ''}"

    def _show(self) -> None:
        with writing(is_plain=self._is_plain) as write:
            write(as_markdown(self._talk.transcript))

    def _save(self, file: Path) -> None:
        transcript = self._talk.transcript
        is_json = file.suffix.lower() == ".json"
        text = json.dumps(as_dict(transcript), indent=2) + "\n" if is_json else as_markdown(transcript)
        replace_file(file, text, mode=0o600)
        _say(f"saved as {file}")

    def _load(self, file: Path) -> None:
        loaded = read_transcript(file)
        if loaded.page != self._talk.transcript.page:
            raise InvalidInputError(
                f"{str(file)!r} was held with {loaded.page}, and this is {self._talk.transcript.page}",
                hint=f"go there first: /site {loaded.name or loaded.page}",
            )
        self._talk.go_on_with(loaded)
        self._last = ""
        _say(f"going on after {len(loaded.exchanges)} messages with answers")


def _without_quotes(typed: str) -> str:
    """The message, without the quotes around one of several lines."""
    typed = typed.strip()
    if typed.startswith(QUOTES) and typed.endswith(QUOTES) and typed.count(QUOTES) == 2:
        return typed.removeprefix(QUOTES).removesuffix(QUOTES).strip("\n")
    return typed


def _describe(box: ChatBox, talk: Talk) -> str:
    name = f" {box.name}," if box.name else ""
    return f"{talk.transcript.page}:{name} bot {box.bot_id}"


def _say(words: str) -> None:
    """A line for the person, in words that no site can break out of."""
    terminal.write_diagnosis(f"{terminal.on_one_line(words)}\n")
