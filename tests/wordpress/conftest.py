"""The WordPress that all tests of this folder share. Only `nox -s wordpress` collects them: it sees to the packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from wordpress.installation import Conditions, Generation, WordPress, installed

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wordpress", action="store_true", help="test with a real WordPress")


def pytest_configure(config: pytest.Config) -> None:
    named = [Path(config.invocation_params.dir, name.partition("::")[0]).resolve() for name in config.args]
    if not _is_asked_for(config) and any(path.is_relative_to(_HERE) for path in named):
        raise pytest.UsageError("these tests need Debian's WordPress: run `nox -s wordpress`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if _is_asked_for(config) else True


def _is_asked_for(config: pytest.Config) -> bool:
    return bool(config.getoption("--wordpress", default=False))


@pytest.fixture(scope="session")
def running_wordpress() -> Iterator[WordPress]:
    with installed() as running:
        yield running


@pytest.fixture(params=["wpaicg", "aipkit"])
def generation(request: pytest.FixtureRequest) -> Generation:
    generation: Generation = request.param
    return generation


@pytest.fixture
def wordpress(running_wordpress: WordPress, generation: Generation) -> Iterator[WordPress]:
    """A site of either generation, to which nobody has come; no message to it may ever be answered twice."""
    running_wordpress.clear()
    running_wordpress.set(Conditions(generation=generation))
    yield running_wordpress
    assert running_wordpress.traffic.doubles() == []
    if not (running_wordpress.conditions.breaks or running_wordpress.conditions.warns):
        assert running_wordpress.php_errors() == ""
