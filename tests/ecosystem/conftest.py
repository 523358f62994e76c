"""Other people's programs, each in an environment of its own. Only `nox -s ecosystem` collects these tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ecosystem", action="store_true", help="test with other people's programs")


def pytest_configure(config: pytest.Config) -> None:
    named = [Path(config.invocation_params.dir, name.partition("::")[0]).resolve() for name in config.args]
    if not _is_asked_for(config) and any(path.is_relative_to(_HERE) for path in named):
        raise pytest.UsageError("these tests need other programs' environments: run `nox -s ecosystem`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if _is_asked_for(config) else True


def _is_asked_for(config: pytest.Config) -> bool:
    return bool(config.getoption("--ecosystem", default=False))


def python_of(package: str) -> Path:
    """The Python of the environment with this package; the session names it."""
    variable = f"CHATGPTT_{package.upper()}_PYTHON"
    named = os.environ.get(variable)
    if not named:
        pytest.fail(f"{variable} does not name the Python that has {package}: run `nox -s ecosystem`")
    return Path(named)


@pytest.fixture(scope="session")
def llm_python() -> Path:
    return python_of("llm")


@pytest.fixture(scope="session")
def old_llm_python() -> Path:
    return python_of("llm_old")


@pytest.fixture(scope="session")
def g4f_python() -> Path:
    return python_of("g4f")


@pytest.fixture(scope="session")
def openai_python() -> Path:
    return python_of("openai")


@pytest.fixture(scope="session")
def llama_index_python() -> Path:
    return python_of("llama_index")


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """The folder with the packages of Node. Machines of developers may lack Node, those of CI may not."""
    named = os.environ.get("CHATGPTT_NODE_FOLDER")
    if named:
        return Path(named)
    missing = "node or npm is not on this machine: openai-node and the AI SDK were NOT tested"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
