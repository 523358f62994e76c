from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from serve.serving import serving

from chatgptt.serve.options import ServeOptions

Endpoints = Callable[[str, ServeOptions], httpx.Client]


@pytest.fixture(scope="module")
def endpoints() -> Iterator[Endpoints]:
    """Endpoints that the tests of a module share: starting and ending one takes longer than most tests."""
    known: dict[tuple[str, ServeOptions], httpx.Client] = {}
    with ExitStack() as stack:

        def endpoint_of(page: str, options: ServeOptions) -> httpx.Client:
            if (page, options) not in known:
                known[page, options] = stack.enter_context(serving(page, options))
            return known[page, options]

        yield endpoint_of
