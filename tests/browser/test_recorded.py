"""Recorded cases that need a browser: replayed, a real Chromium makes the same tokens of them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from browser.processes import Traces
from recordings.catalogue import FOLDER, is_for_browser, on_disk
from recordings.guard import guarded

from chatgptt import ChatGpttError
from chatgptt.recordings import Case, find_cases, read_case, record, serve_case
from chatgptt.recordings.case_file import files_of
from chatgptt.recordings.faults import faults_of
from chatgptt.recordings.scrub import boxes_of, rendered_boxes_of

pytestmark = pytest.mark.anyio

CASES = [folder for folder in find_cases(FOLDER) if is_for_browser(folder)]
AT_ONCE = 3
"""Browsers that run side by side. A visit is mostly waiting: for the page, and in some cases for nothing."""


@pytest.fixture(autouse=True)
def only_this_machine() -> Iterator[None]:
    """The browser's connections too: they are made by the gate, in this process."""
    with guarded() as escapes:
        yield
    assert not escapes, f"it tried to leave this machine: {escapes}"


@pytest.mark.parametrize("folder", [pytest.param(folder, id=folder.name) for folder in CASES])
async def test_a_case_shows_its_boxes_as_served_and_as_rendered(folder: Path) -> None:
    case = read_case(folder)
    assert boxes_of(case) == case.boxes
    assert rendered_boxes_of(case) == case.rendered_boxes
    assert any(exchange.by == "browser" for exchange in case.exchanges)


async def test_each_case_replayed_comes_to_its_outcome_and_is_the_same_case_when_recorded_again(
    traces: Traces, subtests: pytest.Subtests
) -> None:
    """Recording is a visit of the whole client; its outcomes are those that stand in the new case."""
    found: dict[Path, Case | ChatGpttError] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def visit(folder: Path) -> None:
        async with limiter:
            try:
                found[folder] = await record_again(read_case(folder))
            except ChatGpttError as error:
                found[folder] = error

    async with anyio.create_task_group() as tasks:
        # Those that end in an error first: they wait the longest before they give up.
        for folder in sorted(CASES, key=lambda folder: read_case(folder).asks[-1].outcome == "answered"):
            tasks.start_soon(visit, folder)
    for folder in CASES:
        with subtests.test(folder.name):
            case, again = read_case(folder), found[folder]
            assert isinstance(again, Case), again
            assert again.asks == case.asks
            assert files_of(replace(again, recorded=case.recorded)) == on_disk(folder)


async def record_again(case: Case) -> Case:
    with serve_case(case) as site:
        recorded = await record(
            site.page,
            case.messages,
            bot=case.bot or None,
            strategy=case.strategy,
            note=case.note,
            faults=faults_of(case),
            ticks=lambda: 0.0,
        )
        assert site.misses == []
        return recorded.case
