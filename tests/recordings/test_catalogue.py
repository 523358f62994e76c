"""Every case in `fixtures/`, twice and in an order of its own each time; a folder that is dropped in is a case more.

`CHATGPTT_CASE_ORDER=<number>` repeats an order; a failure names the number.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from recordings.catalogue import FOLDER, is_for_browser, on_disk

from chatgptt.recordings import Case, find_cases, read_case, record, serve_case
from chatgptt.recordings.case_file import files_of
from chatgptt.recordings.client_calls import play
from chatgptt.recordings.faults import faults_of
from chatgptt.recordings.scrub import boxes_of

ORDER = int(os.environ.get("CHATGPTT_CASE_ORDER") or random.SystemRandom().randrange(10**6))
CASES = [folder for folder in find_cases(FOLDER) if not is_for_browser(folder)]
RUNS = [pytest.param(folder, id=f"{folder.name}-{turn}") for turn in (1, 2) for folder in CASES]
random.Random(ORDER).shuffle(RUNS)

PACKED_BYTES = 3_000_000


def told(case: Case) -> str:
    return f"order {ORDER}: {case.note}"


@pytest.mark.parametrize("folder", RUNS)
def test_a_case_s_page_shows_its_boxes(folder: Path) -> None:
    case = read_case(folder)
    assert boxes_of(case) == case.boxes, told(case)


@pytest.mark.anyio
@pytest.mark.parametrize("folder", RUNS)
async def test_a_case_comes_to_its_outcome_through_the_whole_client(folder: Path) -> None:
    case = read_case(folder)
    asks, misses = await play(case)
    assert asks == case.asks, told(case)
    assert misses == (), told(case)


@pytest.mark.anyio
@pytest.mark.parametrize("folder", [pytest.param(folder, id=folder.name) for folder in CASES])
async def test_a_case_replayed_and_recorded_again_is_the_same_case(folder: Path) -> None:
    case = read_case(folder)
    with serve_case(case) as site:
        again = await record(
            site.page,
            case.messages,
            bot=case.bot or None,
            strategy=case.strategy,
            note=case.note,
            faults=faults_of(case),
            ticks=lambda: 0.0,
        )
    same = replace(again.case, recorded=case.recorded)
    assert files_of(same) == on_disk(folder)


def test_the_catalogue_is_small_and_large_enough() -> None:
    assert len(CASES) >= 30
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(FOLDER)
    assert len(packed.getvalue()) < PACKED_BYTES
