"""From a prompt of llm to a question: which page, with which options, and the messages.

A conversation stays with its site. `llm -c` hands over what was said, but no options. So each answer names
its site, as metadata that llm stores with the message. An option that names another site is an error: what
was said to one site must not reach another.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import llm

from chatgptt._client import ClientOptions
from chatgptt._errors import InvalidInputError
from chatgptt.protocols.urls import is_same_host, page_url, without_credentials
from chatgptt.sites import DEFAULT_SITE
from chatgptt.sites.file import find_site, sites_path
from chatgptt.sites.named import NamedSite, is_name

_KEY = "chatgptt"
"""Under which the metadata of a message is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask, and where.

    Attributes:
        site: the page's address, or a site's name.
        options: of the client.
        messages: in the usual form.
        metadata: for llm to store with the answer.
    """

    site: str = field(repr=False)
    options: ClientOptions = field(repr=False)
    messages: Sequence[Mapping[str, object]] = field(repr=False)
    metadata: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """Where an answer comes from: the page without its login, the site's name and the bot as given."""

    page: str
    name: str = ""
    bot: str = ""


def read_question(messages: Sequence[llm.Message], options: NamedSite, name: str) -> Question:
    """The question that a prompt's messages are.

    Args:
        messages: all that was said.
        options: those of the prompt.
        name: of the model's site, "" for the model that asks any page.

    Raises:
        InvalidInputError: for another site than that of the conversation or the model, and for a message that
            cannot be sent.
    """
    if name and options.url not in ("", name):
        raise InvalidInputError(
            f"the model chatgptt/{name} asks its own site alone", hint="take -m chatgptt for -o site"
        )
    earlier = _find_origin(messages)
    site = _choose_site(name or options.url, earlier, is_model=bool(name))
    bot = options.bot or (earlier.bot if earlier else "")
    origin = _Origin(page=_page_of(site), name=site if is_name(site) else "", bot=bot)
    return Question(
        site=site,
        options={
            "bot": bot or None,
            "timeout": options.timeout,
            "proxy": options.proxy or None,
            "strategy": options.strategy,
        },
        messages=[_read_message(message) for message in messages],
        metadata={_KEY: dataclasses.asdict(origin)},
    )


def _find_origin(messages: Sequence[llm.Message]) -> _Origin | None:
    """Where the last answer of a chat box came from."""
    for message in reversed(messages):
        for part in message.parts:
            origin = (part.to_dict().get("provider_metadata") or {}).get(_KEY)
            if origin:
                return _Origin(**origin)
    return None


def _choose_site(named: str, earlier: _Origin | None, *, is_model: bool) -> str:
    """The address or name to ask: that of option or model, of the conversation, of the environment.

    Args:
        named: by the option or the model.
        earlier: the conversation's.
        is_model: whether `named` is the model's site, and no option names one.

    Raises:
        InvalidInputError: for another site than the conversation's, and where its name was removed.
    """
    from_environment = os.environ.get("CHATGPTT_SITE", "")
    if earlier is None:
        return named or from_environment or DEFAULT_SITE
    if not named and earlier.name:
        _check_name(earlier)
    if named and not _is_same_page(_page_of(named), earlier.page):
        way = f"go on with -m chatgptt -o site {earlier.page}" if is_model else "leave out the site"
        raise InvalidInputError(
            f"this conversation is with {earlier.page}, and no other site gets to read it",
            hint=f"{way}, or begin a new conversation without -c",
        )
    # A name or the environment may know a login, a proxy or other options beside the address.
    known = (named, earlier.name, from_environment)
    return next((site for site in known if site and _is_at(site, earlier.page)), earlier.page)


def _check_name(earlier: _Origin) -> None:
    """Whether the name still stands for the conversation's page: without its table, the bare page would be
    asked, and with another page's, that one would read the conversation.

    Raises:
        InvalidInputError: where the name was removed or moved, or the file cannot be read.
    """
    try:
        page = _page_of(earlier.name)
    except InvalidInputError as error:
        raise _name_changed(earlier, error.message) from error
    if not _is_same_page(page, earlier.page):
        raise _name_changed(earlier, f"it stands for {page} now, and no other page gets to read it")


def _name_changed(earlier: _Origin, found: str) -> InvalidInputError:
    return InvalidInputError(
        f"this conversation is with the site {earlier.name!r}: {found}",
        hint=f"mend {sites_path()}, or ask the page without its options: -o site {earlier.page}",
    )


def _is_at(site: str, page: str) -> bool:
    try:
        return _is_same_page(_page_of(site), page)
    except InvalidInputError:  # what the environment names is no page, or has no name
        return False


def _is_same_page(url: str, page: str) -> bool:
    """Whether two addresses are of one page: the scheme, `www.` and a slash at the end make no other one."""
    first, second = urlsplit(url), urlsplit(page)
    is_same_path = first.path.rstrip("/") == second.path.rstrip("/")
    return is_same_host(url, page) and is_same_path and first.query == second.query


def _page_of(site: str) -> str:
    """The page's address, without a login."""
    named = find_site(site)
    return without_credentials(page_url(site if named is None else named.url))


def _read_message(message: llm.Message) -> Mapping[str, object]:
    """A message in the usual form. The content of one that only calls a tool is None."""
    texts = [text for part in message.parts if (text := _read_part(part.to_dict())) is not None]
    return {"role": message.role, "content": "\n".join(texts) if texts else None}


def _read_part(part: Mapping[str, object]) -> str | None:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "tool_result", "name": str(name), "output": str(output)}:
            return f"{name}: {output}"
        case {"type": "reasoning" | "tool_call"}:
            return None
        case _:
            raise InvalidInputError(
                f"a message holds a part of the type {part.get('type')!r}", hint="only text can be sent"
            )
