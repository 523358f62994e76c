"""The models of the program `llm`: `chatgptt`, and `chatgptt/NAME` for each named site.

    llm install chatgptt
    llm -m chatgptt "Hello"
    llm -m chatgptt/shop -s "Answer in French." "Hello"

llm imports this module whenever it starts, so it holds no more than the hook.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import click
import llm

__all__ = ["register_models"]


_TOO_OLD = "chatgptt: its models need llm 0.32 or later. Run: llm install --upgrade llm"
"""Since 0.32 a prompt holds all messages of a conversation, in the parts of `llm.parts`."""


class _Register(Protocol):
    def __call__(self, model: llm.Model, async_model: llm.AsyncModel) -> None: ...


@llm.hookimpl
def register_models(register: _Register) -> None:
    """Registers a model for any page and one for each named site; a broken file leaves the first.

    An llm that is too old gets no model, and starts: its other models are not at fault.
    """
    if find_spec("llm.parts") is None:
        click.echo(_TOO_OLD, err=True)
        return
    from chatgptt._errors import InvalidInputError
    from chatgptt.plugins.llm.models import AsyncChatBox, ChatBox
    from chatgptt.sites.file import read_sites

    register(ChatBox(), AsyncChatBox())
    try:
        sites = read_sites()
    except InvalidInputError as error:
        sites = ()
        click.echo(f"chatgptt: {error.message}", err=True)
    for site in sites:
        register(ChatBox(site.name), AsyncChatBox(site.name))
