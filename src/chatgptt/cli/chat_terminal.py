"""`chatgptt chat` at a terminal: messages, and commands that begin with a slash.

A word with a slash that is no command is not sent, since each message costs of the visitor's quota. Ctrl-C
ends an answer, and the conversation goes on. What is typed during an answer waits at the next prompt.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt._models import ChatBox
from chatgptt.cli import terminal
from chatgptt.cli.answers import print_answer, writing
from chatgptt.cli.line_editor import QUOTES, CtrlC, LineEditor, read_plainly
from chatgptt.cli.log import read_kept
from chatgptt.cli.progress import showing_progress
from chatgptt.cli.talk import Talk, open_talk
from chatgptt.cli.target import Target
from chatgptt.cli.transcripts import as_dict, as_markdown, read_transcript
from chatgptt.cli.typing_ahead import typing_ahead
from chatgptt.state.files import replace_file
from chatgptt.state.folder import default_folder

_HELP = """\
/help           this list
/retry          ask for another answer to the last message
/reset          begin a new conversation
/show           show the conversation so far
/save FILE      save it: as JSON in FILE.json, else as Markdown
/load FILE      go on with a saved JSON file, or the ID of chatgptt log
/system [TEXT]  show or set the instructions; /system - for none
/site [PAGE]    show the page; a new conversation with another one
/bot [BOT]      list the page's bots; a new conversation with one
/quit, Ctrl-D   end

Alt-Enter       a new line in a message; so is Enter after \"\"\"
Ctrl-C          stops an answer, clears a line
Ctrl-R          searches what was typed
Ctrl-X Ctrl-E   opens an editor
"""

_WORDS = tuple(re.findall(r"^(/\w+)", _HELP, re.M))

_COMMAND = re.compile(r"(/[A-Za-z?]+|!(?:multi|edit|fragment))(?:\s+(.*))?", re.S)
"""A word after a slash, or a command of llm; a path such as /etc/hosts does not match."""

_ENDS = ("exit", "quit")
"""Also end the chat, as in llm; nothing of use would come of asking them."""


class TerminalChat:
    """A conversation that is typed.

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

    def run(self, *, system: str, is_continued: bool) -> None:
        """Holds the conversation, up to its end, and closes its client.

        Raises:
            ChatGpttError: where the page cannot be asked.
            KeyboardInterrupt: at a second Ctrl-C where nothing is typed and nothing is answered.
        """
        try:
            with typing_ahead() as take_typed:
                self._open(self._target, system=system, is_continued=is_continued)
                if is_continued:
                    self._show_last()
                terminal.say("/help lists the commands, /quit or Ctrl-D ends")
                self._converse(self._reader(take_typed))
        finally:
            self._opened.close()

    def _converse(self, read: Callable[[], str]) -> None:
        try:
            for typed in _messages(read):
                command = _COMMAND.fullmatch(typed)
                if typed.rstrip() in _ENDS:
                    return
                if command is None:
                    self._ask(_without_quotes(typed))
                elif self._do(command[1].lower(), (command[2] or "").strip()):
                    return
        finally:
            if self._talk.is_logged and self._talk.transcript.id is not None:
                terminal.say("kept: chatgptt chat -c goes on with it")

    def _open(self, target: Target, *, system: str, is_continued: bool = False) -> None:
        """Goes over to a page, if it can be asked."""
        with contextlib.ExitStack() as opening:
            opened = open_talk(target, system=system, is_continued=is_continued, is_kept=True)
            talk = opening.enter_context(opened)
            with showing_progress(is_plain=self._is_plain):
                self._box = talk.client.prepare()
            self._opened.close()
            self._opened = opening.pop_all()
        self._target, self._talk, self._last = target, talk, ""
        terminal.say(_describe(self._box, talk))

    def _reader(self, take_typed: Callable[[], str]) -> Callable[[], str]:
        """What reads a message. What was typed before it was asked for is the beginning of the message."""
        if terminal.is_dumb():
            return read_plainly
        is_kept = self._has_history and self._talk.is_logged
        folder = default_folder() if is_kept else None
        editor = LineEditor(_WORDS, folder, is_plain=self._is_plain)
        return lambda: editor.read(take_typed())

    # Messages

    def _ask(self, message: str, *, keeps_part: bool = True) -> bool:
        """Prints the answer to a message, and keeps it; also the part of it that came, if that is wanted.

        False where nothing is kept.
        """
        self._last = message
        pieces: list[str] = []
        try:
            reply = print_answer(self._talk.stream(message), is_plain=self._is_plain, pieces=pieces)
        except ChatGpttError as error:
            terminal.print_error(error)
        except KeyboardInterrupt:
            terminal.say("stopped")
        else:
            self._talk.keep(message, reply.text)
            return True
        if not pieces or not keeps_part:
            return False
        self._talk.keep(message, "".join(pieces), is_whole=False)
        terminal.say("what came is part of the conversation")
        return True

    def _retry(self) -> None:
        """Asks the last message again. A whole answer takes the place of the one before."""
        before = self._talk.transcript
        last = before.exchanges[-1].message if before.exchanges else ""
        message = self._last or last
        if not message:
            raise InvalidInputError("there is no message to ask again", hint="type one")
        if message != last:  # it has no answer yet
            self._ask(message)
            return
        self._talk.take_back()
        if not self._ask(message, keeps_part=False):
            self._talk.go_on_with(before)
            terminal.say("the answer before stays")

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
                    terminal.say("a new conversation")
                case "/show":
                    self._show()
                case "/save" | "/load" if not argument:
                    raise InvalidInputError(f"{word} needs the name of a file", hint=f"{word} talk.json")
                case "/save":
                    self._save(_file(argument))
                case "/load":
                    self._load(argument)
                case "/system":
                    self._instruct(argument)
                case "/site" if argument:
                    self._go_to_site(argument)
                case "/site":
                    terminal.say(_describe(self._box, self._talk))
                case "/bot" if argument:
                    self._go_to_bot(argument)
                case "/bot":
                    self._list_bots()
                case _:
                    raise InvalidInputError(
                        f"there is no command {word}, and nothing was sent",
                        hint="/help lists the commands; a message may begin with a space",
                    )
        except ChatGpttError as error:
            terminal.print_error(error)
        except KeyboardInterrupt:
            terminal.say("stopped")
        return False

    def _instruct(self, instructions: str) -> None:
        """Shows the instructions, or sets others; `-` is for none."""
        if instructions:
            system = "" if instructions == "-" else instructions
            self._talk.go_on_with(self._talk.transcript._replace(system=system))
            terminal.say("messages go with these instructions from now on" if system else "no instructions")
        else:
            terminal.write_diagnosis(f"{self._talk.transcript.system or 'no instructions'}\n")

    def _go_to_site(self, site: str) -> None:
        if self._target.is_demo:  # it ends with its client, and what is said to it is not kept
            raise InvalidInputError("this chat is with the demo", hint=f"chatgptt chat --site {site}")
        self._open(replace(self._target, site=site, bot=""), system="")

    def _go_to_bot(self, bot: str) -> None:
        self._open(replace(self._target, bot=bot), system=self._talk.transcript.system)

    def _list_bots(self) -> None:
        """Lists the bots of the page, the one that is asked with a star."""
        with showing_progress(is_plain=self._is_plain):
            boxes = self._talk.client.find_boxes()
        for box in boxes:
            is_asked = (box.bot_id, box.kind) == (self._box.bot_id, self._box.kind)
            terminal.say(f"{'*' if is_asked else ' '} {box.bot_id}  {box.kind}  {box.name}".rstrip())

    def _show(self) -> None:
        with writing(is_plain=self._is_plain) as write:
            write(as_markdown(self._talk.transcript))

    def _show_last(self) -> None:
        """Shows the last message with its answer."""
        for said in self._talk.transcript.exchanges[-1:]:
            message = "".join(f"> {line}\n" for line in said.message.splitlines())
            with writing(is_plain=self._is_plain) as write:
                write(f"{message}\n{said.answer}")

    def _save(self, file: Path) -> None:
        transcript = self._talk.transcript
        is_json = file.suffix.lower() == ".json"
        text = json.dumps(as_dict(transcript), indent=2) + "\n" if is_json else as_markdown(transcript)
        replace_file(file, text, mode=0o600)
        terminal.say(f"saved as {file}")

    def _load(self, name: str) -> None:
        """Goes on with what a file holds, or with the conversation of an id."""
        file = _file(name)
        if name.isdecimal() and not file.exists():
            (loaded,) = read_kept([int(name)])
        else:
            loaded = read_transcript(file)
        if loaded.page != self._talk.transcript.page:
            raise InvalidInputError(
                f"{name} was held with {loaded.page}, and this is {self._talk.transcript.page}",
                hint=f"go there first: /site {loaded.name or loaded.page}",
            )
        if loaded.bot != self._talk.transcript.bot:
            self._go_to_bot(loaded.bot)
        self._talk.go_on_with(loaded)
        self._last = ""
        self._show_last()
        count = len(loaded.exchanges)
        terminal.say(f"going on after {count} message{'s' if count != 1 else ''}")


def _messages(read: Callable[[], str]) -> Iterator[str]:
    """What is typed, up to Ctrl-D.

    Raises:
        KeyboardInterrupt: at the second of two Ctrl-C in a row.
    """
    is_interrupted = False
    while True:
        try:
            typed = terminal.as_utf8(read())
        except EOFError:
            return
        except CtrlC:
            if is_interrupted:
                raise KeyboardInterrupt from None
            is_interrupted = True
            terminal.say("Ctrl-D or /bye ends, and so does Ctrl-C once more")
            continue
        is_interrupted = False
        if typed.strip():
            yield typed


def _file(name: str) -> Path:
    """The file of a name, which may be in quotes as for a shell."""
    quoted = re.fullmatch(r"""(["'])(.+)\1""", name)
    return Path(quoted[2] if quoted else name).expanduser()


def _without_quotes(typed: str) -> str:
    """The message, without the quotes around one of several lines."""
    typed = typed.strip()
    if typed.startswith(QUOTES) and typed.endswith(QUOTES) and typed.count(QUOTES) == 2:
        return typed.removeprefix(QUOTES).removesuffix(QUOTES).strip("\n")
    return typed


def _describe(box: ChatBox, talk: Talk) -> str:
    name = f" {box.name}," if box.name else ""
    return f"{talk.transcript.page}:{name} bot {box.bot_id}"
