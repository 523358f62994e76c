"""What a command asks: a page of the web, the demo site, or a recorded case."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chatgptt._errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from chatgptt._client import ClientOptions, StateDir
    from chatgptt._models import Strategy
    from chatgptt._sync import Client
    from chatgptt.browser.shared import BrowserOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked and how; the option of the same name says what each field means."""

    site: str = field(repr=False)
    sites_file: Path | None = None
    is_demo: bool = False
    replay: Path | None = None
    bot: str = ""
    proxy: str = field(default="", repr=False)
    timeout: float | None = None
    default_timeout: float
    strategy: Strategy | None = None
    is_headed: bool = False
    trace: Path | None = None
    screenshot: Path | None = None

    @property
    def seconds(self) -> float:
        """The limit that holds."""
        return self.default_timeout if self.timeout is None else self.timeout


@contextlib.contextmanager
def open_client(target: Target) -> Iterator[Client]:
    """A client for the block. The demo or a replay runs as long as it.

    Raises:
        ChatGpttError: for a case that cannot be read, and for arguments that cannot work.
    """
    from chatgptt._sync import Client

    with (
        _naming_evidence(target),
        _served(target) as (page, state_dir),
        Client(page.site, **client_options(page, state_dir)) as client,
    ):
        yield client


def _naming_evidence(target: Target) -> contextlib.AbstractContextManager[object]:
    """Names the files that a failed browser visit in the block has written."""
    files = [file for file in (target.screenshot, target.trace) if file is not None]
    if not files:
        return contextlib.nullcontext()
    from chatgptt.cli.evidence import naming_written

    return naming_written(files, trace=target.trace)


def client_options(target: Target, state_dir: StateDir | None) -> ClientOptions:
    """The options of a client for a target with the options of its named site."""
    return {
        "bot": target.bot,
        "proxy": target.proxy,
        "timeout": target.seconds,
        "strategy": target.strategy,
        "state_dir": state_dir,
        "browser": _browser_options(target),
    }


@contextlib.contextmanager
def _served(target: Target) -> Iterator[tuple[Target, StateDir | None]]:
    """The target with the page to ask, and where its state is kept: nowhere for a site of this command."""
    from chatgptt._client import StateDir

    if target.is_demo and target.replay is not None:
        raise InvalidInputError("--demo and --replay both name a page", hint="give one of them")
    if target.is_demo:
        from chatgptt.cli.local_sites import serve_demo

        with serve_demo() as site:
            yield replace(target, site=site), None
    elif target.replay is not None:
        from chatgptt.recordings import read_case, serve_case

        case = read_case(target.replay)
        with serve_case(case) as served:
            strategy = case.strategy if target.strategy in (None, "auto") else target.strategy
            yield replace(target, site=served.page, bot=target.bot or case.bot, strategy=strategy), None
    else:
        yield with_named_site(target), StateDir.DEFAULT


def with_named_site(target: Target) -> Target:
    """The target with the page and the options of the site that it names, where it names one.

    Raises:
        InvalidInputError: for an unknown name.
    """
    from chatgptt.sites.file import find_site

    named = None
    if not target.is_demo and target.replay is None:
        named = find_site(target.site, target.sites_file)
    if named is None:
        return target
    return replace(
        target,
        site=named.url,
        bot=target.bot or named.bot,
        proxy=target.proxy or named.proxy,
        timeout=named.timeout if target.timeout is None else target.timeout,
        strategy=target.strategy or named.strategy,
    )


def _browser_options(target: Target) -> BrowserOptions | None:
    if not target.is_headed and target.trace is None and target.screenshot is None:
        return None
    from chatgptt.browser.shared import BrowserOptions  # here: it loads what runs a browser

    return BrowserOptions(is_headed=target.is_headed, trace=target.trace, screenshot=target.screenshot)
