"""The Redis that the tests of this folder share. Only `nox -s scale` collects them: it sees to the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scale.redis_server import RedisServer, redis_server

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--scale", action="store_true", help="test with Debian's Redis")


def pytest_configure(config: pytest.Config) -> None:
    named = [Path(config.invocation_params.dir, name.partition("::")[0]).resolve() for name in config.args]
    if not _is_asked_for(config) and any(path.is_relative_to(_HERE) for path in named):
        raise pytest.UsageError("these tests need Debian's redis-server: run `nox -s scale`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if _is_asked_for(config) else True


def _is_asked_for(config: pytest.Config) -> bool:
    return bool(config.getoption("--scale", default=False))


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server
