"""`ChatGptt`, a provider class in the form that gpt4free's async-generator providers have.

It translates and decides nothing. The sites choose the model, so a model's name has no effect. All messages
become one prompt. Text comes as it streams.

It imports nothing of gpt4free, whose clients and lists look names up on a provider and check no type
(docs/gpt4free.md).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from chatgptt._client import AsyncClient, StateDir
from chatgptt._errors import InvalidInputError
from chatgptt._models import MessageInput, Strategy, Timeouts
from chatgptt.net.retry import RetryPolicy
from chatgptt.protocols.prompt import fold, read_turns
from chatgptt.sites import DEFAULT_SITE
from chatgptt.sites.file import find_site
from chatgptt.state.folder import default_folder

if TYPE_CHECKING:
    import httpx


class _Working:
    """Looks the last verdict up at each access, on the class or on an instance."""

    def __get__(self, instance: ChatGptt | None, owner: type[ChatGptt]) -> bool:
        from chatgptt.health.history import History  # here, since importing a provider should cost little

        try:
            named = find_site(owner.url)
        except InvalidInputError:  # no such name: nothing was checked under it
            return False
        return History(default_folder()).is_working(named.url if named else owner.url)


class ChatGptt:
    """The chat of `url` for code written for gpt4free's providers.

    Point it elsewhere by a subclass with another `url` (and `api_endpoint`), or by `site=` in a call. A `url`
    may be the name of a site.
    """

    label: ClassVar[str] = "ChatGptt"
    url: ClassVar[str] = DEFAULT_SITE.rstrip("/")
    api_endpoint: ClassVar[str] = "https://chatgptt.me/wp-admin/admin-ajax.php"
    """The site's admin-ajax URL. A subclass that sets its own has messages posted there."""
    working = _Working()
    """Whether the last full health check on this machine found `url` working; False before any."""
    live: ClassVar[int] = 0
    """Counted by gpt4free, one up for a call with an answer, one down for a failure."""
    needs_auth: ClassVar[bool] = False
    supports_stream: ClassVar[bool] = True
    supports_system_message: ClassVar[bool] = True
    supports_message_history: ClassVar[bool] = True
    use_stream_timeout: ClassVar[bool] = True
    """gpt4free's own bound is `stream_timeout`, for each piece; `timeout` bounds the whole call here."""
    default_model: ClassVar[str] = "gpt-4o"
    models: ClassVar[list[str]] = ["gpt-4", "gpt-4o", "gpt-4o-mini"]
    model_aliases: ClassVar[dict[str, str]] = {}
    image_models: ClassVar[list[str]] = []
    vision_models: ClassVar[list[str]] = []
    video_models: ClassVar[list[str]] = []

    @classmethod
    def get_dict(cls) -> dict[str, str | None]:
        """The provider's name, address and label, which gpt4free adds to its answers."""
        return {"name": cls.__name__, "url": cls.url, "label": cls.label}

    @classmethod
    def get_parent(cls) -> str:
        """The name under which gpt4free keeps API keys; the sites take none."""
        return cls.__name__

    @classmethod
    def get_models(cls, api_key: str | None = None, **ignored: object) -> list[str]:
        """The names of the models. No request is sent, and all arguments are ignored."""
        return list(cls.models)

    @classmethod
    def get_model(cls, model: str | None = "", **ignored: object) -> str:
        """The model's name as the provider knows it; the default for an empty one and for `auto`.

        Args:
            model: a name of `models` or a key of `model_aliases`.
            ignored: arguments of other providers.

        Raises:
            InvalidInputError: also a ValueError; for an unknown model, with the list of known ones.
        """
        if not model or model == "auto":
            return cls.default_model
        model = cls.model_aliases.get(model, model)
        if model not in cls.models:
            raise InvalidInputError(
                f"unknown model {model!r}; the models are: {', '.join(cls.models)}",
                hint="the site chooses the model itself; leave it empty",
            )
        return model

    @classmethod
    async def create_async_generator(
        cls,
        model: str | None,
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
        visit: str | os.PathLike[str] | bool | None = None,
        media: Sequence[object] | None = None,
        **ignored: object,
    ) -> AsyncGenerator[str, None]:
        """The pieces of the answer's text, as they arrive. `model` has no effect: the site chooses its own.

        Args:
            messages: one is sent verbatim, several as one prompt of `Role: text` lines.
            site: the page to ask instead of `url`, or the name of a site.
            media: images and files, which the sites do not take.

        The other options are those of AsyncClient, `timeout` in seconds; all of gpt4free's own are ignored.

        Raises:
            ChatGpttError: also a RuntimeError where the page's tokens cannot be found.
        """
        if media:
            raise InvalidInputError("media[0] cannot be sent", hint="only text can be sent: leave media out")
        client = AsyncClient(
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
            visit=visit,
        )
        async with client, client.stream(fold(read_turns(messages))) as stream:
            async for piece in stream:
                yield piece
