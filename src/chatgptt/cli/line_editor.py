'''A message typed at a terminal, by prompt_toolkit: one line, a paste of several, or lines between """.

What it knows is where a message ends, and what Ctrl-C means while one is typed. All other keys are those of
prompt_toolkit, which are a shell's.
'''

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from chatgptt.state.folder import check_owner

QUOTES = '"""'
"""Stands before and after a message of several lines."""

FILE_NAME = "typed"
"""What was typed, in the state folder."""


class LineEditor:
    """Reads messages.

    Args:
        words: what Tab completes at the beginning of a line.
        folder: where the history of what was typed is kept; None keeps it for this run.
    """

    def __init__(self, words: Sequence[str], folder: Path | None) -> None:
        # The terminal is not asked where its cursor is: some never answer, and would be waited for.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
        self._session: PromptSession[str] = PromptSession(
            [("ansigreen bold", "> ")],
            prompt_continuation="  ",
            history=_open_history(folder),
            completer=WordCompleter(list(words), sentence=True),
            complete_while_typing=False,
            enable_open_in_editor=True,
            tempfile_suffix=".md",
            key_bindings=_keys(),
        )

    def read(self) -> str:
        """The next message, as it was typed.

        Raises:
            EOFError: at Ctrl-D.
            KeyboardInterrupt: at Ctrl-C where nothing was typed.
        """
        return self._session.prompt()


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("enter", filter=Condition(_is_quotation_open))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=~is_searching)  # which Ctrl-C ends by itself
    @keys.add("<sigint>", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return keys


def _is_quotation_open() -> bool:
    text = get_app().current_buffer.text.strip()
    return text.startswith(QUOTES) and text.count(QUOTES) % 2 == 1


def _open_history(folder: Path | None) -> History:
    """The history of earlier runs, for its owner alone; one of this run where the folder cannot be used."""
    if folder is None:
        return InMemoryHistory()
    path = folder / FILE_NAME
    try:
        check_owner(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(path, flags, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)
