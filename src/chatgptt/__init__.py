"""A dependable client for the chat boxes that the WordPress plugin AI Power puts on web pages.

    import chatgptt

    print(chatgptt.ask("Hello", site="https://site.example/chat"))

See `Client` and `AsyncClient` for more than one question, `ChatGptt` for gpt4free-style code.

Names are loaded when they are first used, so that importing the package, and the command line's help,
cost next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatgptt._client import AsyncClient, StateDir
    from chatgptt._conversation import AsyncConversation
    from chatgptt._errors import (
        AnswerError,
        BrowserError,
        ChallengeError,
        ChatBoxNotFoundError,
        ChatGpttError,
        ClosedError,
        ErrorCode,
        Finding,
        InvalidInputError,
        PageError,
        ProviderError,
        RateLimitedError,
        RefusalReason,
        RefusedError,
        StreamInterruptedError,
        TokenRejectedError,
        TokensNotFoundError,
        TransportError,
    )
    from chatgptt._models import ChatBox, MessageInput, Reply, Strategy, Timeouts
    from chatgptt._stream import AsyncReplyStream
    from chatgptt._sync import Client, Conversation, ReplyStream, ask
    from chatgptt.browser.shared import BrowserOptions
    from chatgptt.health.report import HealthReport
    from chatgptt.net.retry import RetryPolicy
    from chatgptt.provider import ChatGptt
    from chatgptt.sites import DEFAULT_SITE
    from chatgptt.tokens.file_store import FileStore
    from chatgptt.tokens.redis_store import RedisStore
    from chatgptt.tokens.store import MemoryStore, Store

__version__ = "0.2.0"

__all__ = [
    "DEFAULT_SITE",
    "AnswerError",
    "AsyncClient",
    "AsyncConversation",
    "AsyncReplyStream",
    "BrowserError",
    "BrowserOptions",
    "ChallengeError",
    "ChatBox",
    "ChatBoxNotFoundError",
    "ChatGptt",
    "ChatGpttError",
    "Client",
    "ClosedError",
    "Conversation",
    "ErrorCode",
    "FileStore",
    "Finding",
    "HealthReport",
    "InvalidInputError",
    "MemoryStore",
    "MessageInput",
    "PageError",
    "ProviderError",
    "RateLimitedError",
    "RedisStore",
    "RefusalReason",
    "RefusedError",
    "Reply",
    "ReplyStream",
    "RetryPolicy",
    "StateDir",
    "Store",
    "Strategy",
    "StreamInterruptedError",
    "Timeouts",
    "TokenRejectedError",
    "TokensNotFoundError",
    "TransportError",
    "ask",
]

_HOMES = {
    "_client": ("AsyncClient", "StateDir"),
    "_conversation": ("AsyncConversation",),
    "_stream": ("AsyncReplyStream",),
    "_models": ("ChatBox", "MessageInput", "Reply", "Strategy", "Timeouts"),
    "sites": ("DEFAULT_SITE",),
    "net.retry": ("RetryPolicy",),
    "_sync": ("Client", "Conversation", "ReplyStream", "ask"),
    "health.report": ("HealthReport",),
    "provider": ("ChatGptt",),
    "browser.shared": ("BrowserOptions",),
    "tokens.file_store": ("FileStore",),
    "tokens.redis_store": ("RedisStore",),
    "tokens.store": ("MemoryStore", "Store"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "_errors")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
