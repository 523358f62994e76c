"""The models of the program `llm`: `chatgptt`, and `chatgptt/NAME` for each named site.

    llm install chatgptt
    llm -m chatgptt "Hello"
    llm -m chatgptt/shop -s "Answer in French." "Hello"

llm imports this module whenever it starts, so it holds no more than the hook.
"""

from __future__ import annotations

from typing import Protocol

import click
import llm

__all__ = ["register_models"]


class _Register(Protocol):
    def __call__(self, model: llm.Model, async_model: llm.AsyncModel) -> None: ...


@llm.hookimpl
def register_models(register: _Register) -> None:
    """Registers a model for any page and one for each named site; a broken file leaves the first."""
    from chatgptt._errors import InvalidInputError
    from chatgptt.plugins.llm.models import AsyncChatBox, ChatBox
    from chatgptt.sites.file import read_sites

    register(ChatBox(), AsyncChatBox())
    try:
        sites = read_sites()
    except InvalidInputError as error:
        sites = ()
        click.echo(f"chatgptt: {error.message}", err=True)  # and go on: llm's other models are not at fault
    for site in sites:
        register(ChatBox(site.name), AsyncChatBox(site.name))
