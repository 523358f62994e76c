'''A message typed at a terminal, by prompt_toolkit: one line, a paste of several, or lines between """.

What it knows is where a message ends, and what Ctrl-C means while one is typed. All other keys are those of
prompt_toolkit, which are a shell's.
'''

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from chatgptt.cli.typing_ahead import as_draft
from chatgptt.state.typed import make_typed

QUOTES = '"""'
"""Stands before and after a message of several lines."""


class CtrlC(Exception):
    """Ctrl-C where nothing was typed."""


class LineEditor:
    """Reads messages.

    Args:
        words: what Tab completes at the beginning of a line.
        folder: where the history of what was typed is kept; None keeps it for this run.
        is_plain: whether the prompt is without colour.
    """

    def __init__(self, words: Sequence[str], folder: Path | None, *, is_plain: bool) -> None:
        # The terminal is not asked where its cursor is: some never answer, and would be waited for.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
        self._session: PromptSession[str] = PromptSession(
            [("" if is_plain else "ansigreen bold", "> ")],
            prompt_continuation="  ",
            history=_open_history(folder),
            completer=WordCompleter(list(words), sentence=True),
            complete_while_typing=False,
            enable_open_in_editor=True,
            tempfile_suffix=".md",
            key_bindings=_keys(),
        )

    def read(self, typed_ahead: str) -> str:
        """The next message, as it was typed.

        Args:
            typed_ahead: what was typed before, which is shown as its beginning.

        Raises:
            EOFError: at Ctrl-D.
            CtrlC: at Ctrl-C where nothing was typed.
            KeyboardInterrupt: where another process sent the signal.
        """
        unread = "".join(press.data for press in get_typeahead(self._session.input))
        return self._session.prompt(default=as_draft(unread + typed_ahead))


def read_plainly() -> str:
    """The next message at a terminal that can only print; see LineEditor.read."""
    try:
        typed = input("> ")
        while _is_quotation(typed):
            typed += "\n" + input("  ")
    except EOFError:
        sys.stderr.write("\n")
        raise
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise CtrlC from None
    return typed


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("enter", filter=Condition(lambda: _is_quotation(get_app().current_buffer.text)))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=~is_searching)  # which Ctrl-C ends by itself
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=CtrlC())

    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(exception=KeyboardInterrupt())

    return keys


def _is_quotation(text: str) -> bool:
    """Whether a quotation is open at the end of the text."""
    text = text.strip()
    return text.startswith(QUOTES) and text.count(QUOTES) % 2 == 1


class _KeptHistory(FileHistory):
    """The history in a file, which another process may remove meanwhile."""

    def __init__(self, folder: Path) -> None:
        super().__init__(make_typed(folder))
        self._folder = folder

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):  # a full disk does not end the chat
            make_typed(self._folder)
            super().store_string(string)


def _open_history(folder: Path | None) -> History:
    """The history of earlier runs; one of this run where the folder cannot be used."""
    if folder is None:
        return InMemoryHistory()
    try:
        return _KeptHistory(folder)
    except OSError:
        return InMemoryHistory()
