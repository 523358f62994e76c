"""A conversation of a command: with a client, and in the log where it is to be kept.

It stays with its page. What was said to one site is never sent to another, whatever the options and the
environment say.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from chatgptt._errors import InvalidInputError
from chatgptt.cli import terminal
from chatgptt.cli.target import Target, open_client, with_named_site
from chatgptt.state.transcript import Transcript

if TYPE_CHECKING:
    from chatgptt._models import Reply
    from chatgptt._sync import Client, ReplyStream
    from chatgptt.state.conversations import Conversations


class Talk:
    """The exchanges so far, `transcript`, and the conversation that goes on with them.

    Args:
        client: the client of the transcript's page.
        transcript: the exchanges so far.
        log: where it is kept, None for nowhere.
    """

    def __init__(self, client: Client, transcript: Transcript, log: Conversations | None) -> None:
        self.client = client
        self._log = log
        self.go_on_with(transcript)

    @property
    def is_logged(self) -> bool:
        """Whether the conversation is kept."""
        return self._log is not None

    def go_on_with(self, transcript: Transcript) -> None:
        """Takes another conversation with the same page."""
        self.transcript = transcript
        self._replaces_last = False
        self._conversation = self.client.conversation(system=transcript.system or None)
        for said in transcript.exchanges:
            self._conversation.add(said.message, said.answer)

    def reset(self) -> None:
        """Begins a new conversation."""
        self.go_on_with(self.transcript._replace(id=None, exchanges=()))

    def take_back(self) -> None:
        """Takes out the last exchange. The log keeps it until another takes its place."""
        self.go_on_with(self.transcript._replace(exchanges=self.transcript.exchanges[:-1]))
        self._replaces_last = True

    def stream(self, message: str) -> ReplyStream:
        """The answer to the next message. The caller hands it to `keep`."""
        return self._conversation.stream(message)

    def ask(self, message: str) -> Reply:
        """The finished answer to the next message, which is kept."""
        reply = self._conversation.ask(message)
        self.keep(message, reply.text)
        return reply

    def keep(self, message: str, answer: str, *, is_whole: bool = True) -> None:
        """Adds an exchange to the transcript and the log; to the conversation too, if it was cut short."""
        if not is_whole:
            self._conversation.add(message, answer)
        self.transcript = self.transcript.with_exchange(message, answer)
        if self._log is not None:
            self.transcript = self._log.keep(self.transcript, replaces_last=self._replaces_last)
        self._replaces_last = False


@contextlib.contextmanager
def open_talk(
    target: Target, *, system: str = "", is_continued: bool = False, is_kept: bool = False
) -> Iterator[Talk]:
    """A conversation for the block, with a client of its own.

    Args:
        target: the page and the bot. To go on, they may only choose among what was held with them.
        system: instructions in front of it; "" for those that it had.
        is_continued: whether it goes on with the last one.
        is_kept: whether it is kept, where nothing forbids that.

    Raises:
        ChatGpttError: where there is nothing to go on with, and for arguments that cannot work.
    """
    log = _open_log(target) if is_kept or is_continued else None
    last = _last_of(log, target) if is_continued else None
    if last is not None and not _is_site_given():
        target = replace(target, site=last.name or last.page, bot=target.bot or last.bot)
    name = "" if with_named_site(target) is target else target.site
    with open_client(target) as client:
        transcript = last or Transcript(page=client.page, name=name, bot=target.bot)
        if transcript.page != client.page:
            raise InvalidInputError(
                f"the conversation was held with {transcript.page}, and {name} is {client.page} now",
                hint="what was said to one page is not sent to another; begin a new conversation without -c",
            )
        if os.environ.get("CHATGPTT_LOG_CONVERSATIONS") == "0":
            log = None
        yield Talk(client, transcript._replace(system=system or transcript.system), log)


def _open_log(target: Target) -> Conversations | None:
    """The log; None where the page is one that runs for this command alone."""
    from chatgptt.state.conversations import Conversations  # here: it needs sqlite3
    from chatgptt.state.folder import default_folder

    is_own_site = target.is_demo or target.replay is not None
    return None if is_own_site else Conversations(default_folder())


def _last_of(log: Conversations | None, target: Target) -> Transcript:
    """The last conversation, of the page and the bot that the command line names, if it does.

    Raises:
        InvalidInputError: where there is none.
    """
    from chatgptt.protocols.urls import page_url, without_credentials

    page = without_credentials(page_url(with_named_site(target).site)) if _is_site_given() else ""
    last = log.latest(page, target.bot) if log is not None else None
    if last is None:
        where = f" with {page}" if page else ""
        bot = f" and bot {target.bot}" if target.bot else ""
        raise InvalidInputError(
            f"there is no conversation{where}{bot} to go on with", hint="chatgptt log lists what is kept"
        )
    if sys.stderr.isatty():
        begun = last.exchanges[0].message[:60]
        terminal.say(f"going on with conversation {last.id} with {last.page}: {begun}")
    return last


def _is_site_given() -> bool:
    """Whether the command line itself names the page, and not the environment or the default."""
    source = click.get_current_context().get_parameter_source("site")
    return source is click.core.ParameterSource.COMMANDLINE
