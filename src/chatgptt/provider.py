"""`ChatGptt`, a provider class in the form that gpt4free's async-generator providers have.

It translates and decides nothing: a model's name is checked and then of no further use, since the sites
choose the model themselves; all messages become one prompt; text comes as it streams.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from typing import ClassVar

import httpx

from chatgptt._arguments import check_kind
from chatgptt._client import DEFAULT_SITE, AsyncClient, StateDir
from chatgptt._errors import InvalidInputError
from chatgptt._models import MessageInput, Strategy, Timeouts
from chatgptt.net.retry import RetryPolicy
from chatgptt.protocols.prompt import fold, read_turns
from chatgptt.tokens.store import default_folder

__all__ = ["ChatGptt"]


class _Working:
    """Looks the last verdict up whenever it is asked for, on the class or on an instance."""

    def __get__(self, instance: ChatGptt | None, owner: type[ChatGptt]) -> bool:
        from chatgptt.health.history import History  # here, since importing a provider should cost little

        return History(default_folder()).is_working(owner.url)


class ChatGptt:
    """The chat of `url` for code written for gpt4free's providers.

    Point it elsewhere by a subclass with another `url` (and `api_endpoint`), or by `site=` in a call.
    """

    label: ClassVar[str] = "ChatGptt"
    url: ClassVar[str] = DEFAULT_SITE.rstrip("/")
    api_endpoint: ClassVar[str] = "https://chatgptt.me/wp-admin/admin-ajax.php"
    """The site's admin-ajax URL. A subclass that sets its own has messages posted there."""
    working = _Working()
    """Whether the last full health check on this machine found `url` working; False before any."""
    needs_auth: ClassVar[bool] = False
    supports_stream: ClassVar[bool] = True
    supports_system_message: ClassVar[bool] = True
    supports_message_history: ClassVar[bool] = True
    default_model: ClassVar[str] = "gpt-4o"
    models: ClassVar[list[str]] = ["gpt-4", "gpt-4o", "gpt-4o-mini"]

    @classmethod
    def get_model(cls, model: str | None = "") -> str:
        """The model's name as the provider knows it; the default for an empty one.

        Raises:
            InvalidInputError: also a ValueError; for an unknown model, with the list of known ones.
        """
        if not model:
            return cls.default_model
        if model not in cls.models:
            raise InvalidInputError(
                f"unknown model {model!r}; the models are: {', '.join(cls.models)}",
                hint="the site chooses the model itself; leave it empty",
            )
        return model

    @classmethod
    async def create_async_generator(
        cls,
        model: str,
        messages: MessageInput,
        proxy: str | None = None,
        *,
        site: str | None = None,
        bot: str | int | None = None,
        timeout: float | Timeouts | None = None,
        strategy: Strategy | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        user_agent: str | None = None,
        state_dir: str | os.PathLike[str] | StateDir | None = StateDir.DEFAULT,
        http_client: httpx.AsyncClient | None = None,
        **ignored: object,
    ) -> AsyncGenerator[str, None]:
        """The pieces of the answer's text, as they arrive.

        Args:
            model: one of `models`, or empty.
            messages: as `[{"role": "user", "content": "..."}]`; one is sent verbatim, several as one
                prompt of `Role: text` lines.
            proxy: for every request.
            site: the page to ask instead of `url`.
            bot: see AsyncClient.
            timeout: see AsyncClient.
            strategy: see AsyncClient.
            retry: see AsyncClient.
            headers: see AsyncClient.
            user_agent: see AsyncClient.
            state_dir: see AsyncClient.
            http_client: see AsyncClient.
            ignored: whatever else gpt4free hands to its providers (`stream`, `api_key`, ...).

        Raises:
            RuntimeError: where the page's tokens cannot be found (`TokensNotFoundError`).
            ChatGpttError: for everything else.
        """
        cls.get_model(model)
        check_kind("site", site, str, None, wanted="the page's address")
        prompt = fold(read_turns(messages))
        async with AsyncClient(
            site or cls.url,
            bot=bot,
            ajax_url=None if site or cls.api_endpoint == ChatGptt.api_endpoint else cls.api_endpoint,
            proxy=proxy,
            timeout=timeout,
            strategy=strategy,
            retry=retry,
            headers=headers,
            user_agent=user_agent,
            state_dir=state_dir,
            http_client=http_client,
        ) as client:
            stream = client.stream(prompt)
            async with stream:
                async for piece in stream:
                    yield piece
