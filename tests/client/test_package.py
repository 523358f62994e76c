"""What importing the package costs and gives."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from types import FunctionType

import pytest

import chatgptt

HEAVY = ["playwright", "click", "rich", "starlette", "uvicorn", "redis", "celery"]


def run(script: str) -> str:
    # Without the coverage's start, which loads modules of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=env
    )
    return done.stdout


def test_importing_it_loads_nothing_that_only_its_parts_need() -> None:
    script = f"import sys, chatgptt; print([name for name in {[*HEAVY, 'httpx', 'tenacity']} if name in sys.modules])"
    assert run(script) == "[]\n"


def test_the_client_s_parts_are_loaded_when_they_are_used() -> None:
    parts = ["httpcore", "tenacity", "platformdirs", "sqlite3", "prometheus_client"]
    parts += [
        f"chatgptt.{part}"
        for part in ("health", "fixtures", "demo", "cli", "provider", "net.sockets", "net.pool")
    ]
    parts += [
        f"chatgptt.browser.{part}"
        for part in ("chromium", "installed", "observations", "proxy_gate", "rung", "shared", "tab")
    ]
    script = f"import sys; from chatgptt import AsyncClient; print([name for name in {[*HEAVY, *parts]} if name in sys.modules])"
    assert run(script) == "[]\n"


def test_the_first_client_loads_what_asking_needs() -> None:
    script = "import sys; from chatgptt import Client; print([name for name in ['httpx', 'anyio', 'chatgptt._client'] if name in sys.modules])"
    assert run(script) == "[]\n"
    assert run(script.replace("; print", "; Client(state_dir=None).close(); print")) != "[]\n"


def test_asking_loads_no_browser_no_terminal_and_no_server() -> None:
    script = (
        f"import sys, chatgptt; [getattr(chatgptt, name) for name in chatgptt.__all__]; "
        f"chatgptt.Client('http://127.0.0.1:9', state_dir=None).close(); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert run(script) == "[]\n"


def test_every_public_name_is_there_and_documented() -> None:
    for name in chatgptt.__all__:
        value = getattr(chatgptt, name)
        if isinstance(value, type):
            assert value.__doc__, name
    assert set(chatgptt.__all__) <= set(dir(chatgptt))


CANNOT_RAISE = {
    *("AsyncClient.close", "AsyncConversation.reset", "Client.close", "Conversation.reset"),
    *("ChatGptt.get_dict", "ChatGptt.get_models", "ChatGptt.get_parent"),
    *(f"Store.{name}" for name, value in vars(chatgptt.Store).items() if name[0] != "_" and callable(value)),
    *("FileStore.exchange", "MemoryStore.exchange", "RedisStore.close", "RedisStore.exchange"),
    *("HealthReport.as_dict", "HealthReport.phase", "Reply.as_dict"),
}
NOT_MADE_BY_USERS = {
    *("AsyncConversation", "ChatBox", "Conversation", "Finding", "HealthReport", "Reply"),
    *("MemoryStore", "Store"),
    "Timeouts",  # which the client checks
}


def test_whatever_can_raise_says_so() -> None:
    silent = {name for name, value in callables() if "Raises:" not in whole_doc(value)}
    assert silent == CANNOT_RAISE | NOT_MADE_BY_USERS


def test_each_number_has_its_unit() -> None:
    for name, value in callables():
        entries = dict(re.findall(r"^ +(\w+): (.*(?:\n {9,}.*)*)", whole_doc(value), re.M))
        for argument, parameter in inspect.signature(value).parameters.items():
            if "float" in str(parameter.annotation):
                summary = whole_doc(value).partition("\n")[0]
                about = summary + entries.get(argument, whole_doc(value))
                assert re.search("[Ss]econds|days", about), (name, argument)


def callables() -> Iterator[tuple[str, type | FunctionType]]:
    """The public functions, classes and methods; the values of closed sets and the errors are none of them."""
    for name in chatgptt.__all__:
        value = getattr(chatgptt, name)
        if isinstance(value, FunctionType):
            yield name, value
        elif isinstance(value, type) and not issubclass(value, Exception | Enum):
            if value is not chatgptt.ChatGptt:  # it is never made
                yield name, value
            for method in vars(value):
                if not method.startswith("_") and inspect.isroutine(getattr(value, method)):
                    yield f"{name}.{method}", inspect.unwrap(getattr(value, method))


def whole_doc(value: object) -> str:
    """A docstring with those that it refers to."""
    doc = inspect.getdoc(value) or ""
    for owner, method in re.findall(r"See (\w+)(?:\.(\w+))?\.", doc):
        referred = getattr(chatgptt, owner, None)
        doc += f"\n{inspect.getdoc(getattr(referred, method) if method else referred)}"
    return doc


def test_there_is_no_other_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        chatgptt.Nothing  # noqa: B018


def test_the_version_is_the_installed_one() -> None:
    try:
        installed = importlib.metadata.version("chatgptt")
    except importlib.metadata.PackageNotFoundError:
        installed = chatgptt.__version__  # run from the tree
    assert chatgptt.__version__ == installed
