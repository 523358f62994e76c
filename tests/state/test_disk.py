"""Whatever is wrong with the disk, the question is answered, and what is wrong is said once."""

# ruff: noqa: ASYNC240 - small files of a test hold up nobody

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asking import ECHO, client_of
from cli.commands import Done, Run
from state import hammering
from state.places import (
    DAMAGE,
    IS_ROOT,
    NO_FILES,
    NOBODY,
    damage,
    give_away,
    in_place_of,
    prints_of,
    run_limited,
    take_back,
)

from chatgptt._models import StoredCookie, Tokens
from chatgptt.demo import DemoSite
from chatgptt.tokens import file_store
from chatgptt.tokens.file_store import FileStore

SITE = "https://site.example"
OTHER = "https://other.example"
NOW = 1_750_000_000.0
YEAR = 365 * 86_400.0
NONCE, NEWER = "1f2e3d4c5b", "2f2e3d4c5b"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder of the commands that are run."""
    folder = tmp_path / "place" / "state"
    folder.parent.mkdir()
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(folder))
    yield folder
    for path in (folder, *folder.glob("*")) if os.access(folder, os.X_OK) else (folder,):
        take_back(path)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)


def tokens_of(site: str, nonce: str, at: float = NOW) -> Tokens:
    return hammering.tokens_of(site, nonce, at)


def the_file(folder: Path) -> Path:
    (file,) = folder.glob("*.json")
    return file


def ids_seen(demo: DemoSite) -> list[str]:
    return [seen.fields["wpaicg_chat_client_id"] for seen in demo.messages]


def id_in(file: Path) -> str:
    found = json.loads(file.read_text())["client_id"]
    assert isinstance(found, str)
    return found


def assert_answered(done: Done) -> None:
    assert (done.code, done.out) == (0, f"{ECHO}Hello\n"), done


def assert_said_once(done: Done, *words: object) -> None:
    """One line on stderr, with what and where it is, and what to do."""
    (line,) = done.err.splitlines()
    for word in words:
        assert str(word) in line


# The folder


def is_a_file(folder: Path) -> None:
    folder.write_text("mine")


def is_below_a_file(folder: Path) -> None:
    shutil.rmtree(folder.parent)
    folder.parent.write_text("mine")


def is_a_link_to_nowhere(folder: Path) -> None:
    folder.symlink_to(folder.with_name("nowhere"))


def is_a_link_to_itself(folder: Path) -> None:
    folder.symlink_to(folder)


def is_somebody_elses(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    give_away(folder)


@pytest.mark.parametrize(
    "spoil", [is_a_file, is_below_a_file, is_a_link_to_nowhere, is_a_link_to_itself, is_somebody_elses]
)
def test_a_folder_that_cannot_be_used_costs_one_line_and_no_answer(
    spoil: Callable[[Path], None], state: Path, demo: DemoSite, run: Run
) -> None:
    spoil(state)
    before = prints_of(state.parent)
    for _ in range(2):
        done = run("ask", "--site", demo.page("wpaicg/"), "Hello")
        assert_answered(done)
        assert_said_once(done, state, "working on without it", "CHATGPTT_STATE_DIR")
    assert prints_of(state.parent) == before


def test_somebody_elses_folder_does_not_say_who_we_are(state: Path, demo: DemoSite, run: Run) -> None:
    run("ask", "--site", demo.page("wpaicg/"), "Hello")
    planted = id_in(the_file(state))
    give_away(state)
    assert_answered(run("ask", "--site", demo.page("wpaicg/"), "Hello"))
    assert ids_seen(demo)[0] == planted
    assert ids_seen(demo)[1] != planted


def test_a_read_only_home_costs_one_line_and_no_answer(demo: DemoSite, open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir()
    if IS_ROOT:
        os.chown(home, NOBODY, NOBODY)
    home.chmod(0o500)
    env = {"HOME": str(home), "CHATGPTT_STATE_DIR": None, "XDG_STATE_HOME": None}
    done = run_limited("ask", "--site", demo.page("wpaicg/"), "Hello", is_ordinary=True, env=env)
    assert_answered(done)
    assert_said_once(done, home, "Permission denied", "CHATGPTT_STATE_DIR")
    assert list(home.iterdir()) == []


def test_a_folder_that_can_only_be_read_still_says_who_we_are(
    demo: DemoSite, open_folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    state = open_folder / "state"
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(state))
    run("ask", "--site", demo.page("wpaicg/"), "Hello")
    for path in (the_file(state), state):
        if IS_ROOT:
            os.chown(path, NOBODY, NOBODY)
    state.chmod(0o500)
    before = prints_of(state)
    done = run_limited("ask", "--site", demo.page("wpaicg/json/"), "Hello", is_ordinary=True)
    assert_answered(done)
    assert_said_once(done, state, "Permission denied")
    assert ids_seen(demo)[0] == ids_seen(demo)[-1] == id_in(the_file(state))
    assert prints_of(state) == before


def test_an_ordinary_users_folder_is_used_without_a_word(demo: DemoSite, open_folder: Path) -> None:
    """Else the tests above would prove nothing."""
    state = open_folder / "state"
    state.mkdir()
    if IS_ROOT:
        os.chown(state, NOBODY, NOBODY)
    env = {"CHATGPTT_STATE_DIR": str(state)}
    done = run_limited("ask", "--site", demo.page("wpaicg/"), "Hello", is_ordinary=True, env=env)
    assert_answered(done)
    assert done.err == ""
    assert the_file(state).stat().st_uid == (NOBODY if IS_ROOT else os.geteuid())


# A full disk


@pytest.mark.parametrize("file_bytes", [0, 1, 300])
def test_a_full_disk_costs_one_line_and_no_answer(file_bytes: int, state: Path, demo: DemoSite) -> None:
    done = run_limited("ask", "--site", demo.page("wpaicg/"), "Hello", file_bytes=file_bytes)
    assert_answered(done)
    assert_said_once(done, state, "File too large", "CHATGPTT_STATE_DIR")
    assert [id_in(file) for file in state.iterdir()] in ([], ids_seen(demo))  # nothing that is cut off


def test_a_disk_that_filled_up_still_says_who_we_are(state: Path, demo: DemoSite, run: Run) -> None:
    run("ask", "--site", demo.page("wpaicg/"), "Hello")
    before = prints_of(state)
    done = run_limited("ask", "--site", demo.page("wpaicg/json/"), "Hello", file_bytes=100)
    assert_answered(done)
    assert_said_once(done, "File too large")
    assert prints_of(state) == before
    assert set(ids_seen(demo)) == {id_in(the_file(state))}


FILLING = """
import resource, sys
from pathlib import Path
import anyio
from state.hammering import tokens_of
from chatgptt.tokens.file_store import FileStore

folder, site = Path(sys.argv[1]), sys.argv[2]
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)

async def fill():
    store = FileStore(folder, lambda: 1.75e9)
    visitor = await store.visitor(site)
    await store.put(site, "key", tokens_of(site, "1f2e3d4c5b", 1.75e9))
    (file,) = folder.iterdir()
    before = file.read_bytes()
    for size_bytes in range(0, len(before) + 20, 7):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, most))
        writer = FileStore(folder, lambda: 1.75e9)
        await writer.put(site, "another", tokens_of(site, "2f2e3d4c5b", 1.75e9))
        assert [path.read_bytes() for path in folder.iterdir()] == [before], size_bytes
        assert await writer.visitor(site) == visitor, size_bytes
        assert (await writer.find(site, "another")).nonce == "2f2e3d4c5b", size_bytes
        assert (await writer.find(site, "key")).nonce == "1f2e3d4c5b", size_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await FileStore(folder, lambda: 1.75e9).put(site, "another", tokens_of(site, "2f2e3d4c5b", 1.75e9))
    assert [path.read_bytes() for path in folder.iterdir()] != [before]

anyio.run(fill)
"""


def test_the_old_file_stays_whole_wherever_a_write_breaks_off(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(tmp_path / "state"), SITE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# A site's file


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_of_ours_is_left_alone_and_said_once(
    what: str, state: Path, demo: DemoSite, run: Run
) -> None:
    run("ask", "--site", demo.page("wpaicg/"), "Hello")
    file = the_file(state)
    in_place_of(what)(file)
    before = prints_of(state.parent) if IS_ROOT or what != "somebody else's file" else []
    for _ in range(2):
        done = run("ask", "--site", demo.page("wpaicg/"), "Hello")
        assert_answered(done)
        assert_said_once(done, file, "is left alone")
    if before:
        assert prints_of(state.parent) == before


@pytest.mark.parametrize("data", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_rewritten_without_a_word(
    data: bytes | None, state: Path, demo: DemoSite, run: Run
) -> None:
    run("ask", "--site", demo.page("wpaicg/"), "Hello")
    damage(the_file(state), data)
    for _ in range(2):
        done = run("ask", "--site", demo.page("wpaicg/"), "Hello")
        assert_answered(done)
        assert done.err == ""
    assert ids_seen(demo)[1:] == [id_in(the_file(state))] * 2
    assert len(list(state.iterdir())) == 1


def store_in(folder: Path, now: float = NOW) -> FileStore:
    return FileStore(folder, lambda: now)


@pytest.mark.anyio
async def test_a_later_versions_file_costs_its_own_site_the_disk_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store_in(tmp_path).put(SITE, "key", tokens_of(SITE, NONCE))
    file = the_file(tmp_path)
    record = json.dumps({**json.loads(file.read_text()), "format": 2})
    file.write_text(record)
    store = store_in(tmp_path)
    visitor = await store.visitor(SITE)
    await store.put(SITE, "key", tokens_of(SITE, NEWER))
    others = await store.visitor(OTHER)
    await store.put(OTHER, "key", tokens_of(OTHER, NONCE))
    assert await store.visitor(SITE) == visitor
    assert file.read_text() == record
    assert await store_in(tmp_path).visitor(OTHER) == others
    assert await store_in(tmp_path).find(OTHER, "key") is not None
    (line,) = caplog.messages
    assert str(file) in line
    assert "later version" in line


@pytest.mark.anyio
async def test_who_we_are_outlives_cookies_that_are_too_long_to_keep(tmp_path: Path) -> None:
    cookies = tuple(
        StoredCookie(name=f"c{n}", value="x" * 4000, domain="site.example", path="/", is_secure=True)
        for n in range(20)
    )
    store = store_in(tmp_path)
    visitor = await store.visitor(SITE)
    for number in range(40):
        tokens = replace(tokens_of(SITE, NONCE, NOW - 100 + number), cookies=cookies)
        await store.put(SITE, f"key {number}", tokens)
    kept = store_in(tmp_path)
    assert await kept.visitor(SITE) == visitor
    assert await kept.find(SITE, "key 39") is not None
    assert await kept.find(SITE, "key 0") is None
    assert the_file(tmp_path).stat().st_size <= 2**20
    await store.put(SITE, "x" * 2**21, tokens_of(SITE, NONCE))
    assert await store_in(tmp_path).visitor(SITE) == visitor


@pytest.mark.anyio
async def test_half_a_character_in_a_bots_name_keeps_nothing_from_being_kept(tmp_path: Path) -> None:
    tokens = tokens_of(SITE, NONCE)
    await store_in(tmp_path).put(SITE, "key", replace(tokens, box=replace(tokens.box, name="a \ud800 bot")))
    found = await store_in(tmp_path).find(SITE, "key")
    assert found is not None
    assert found.box.name == "a ? bot"


# While it runs


@pytest.mark.anyio
async def test_a_folder_that_is_deleted_while_it_is_in_use_is_made_again(
    tmp_path: Path, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    async with client_of(demo.page("wpaicg/many/"), state_dir=state) as client:
        await client.ask("Hello", bot=5)
        shutil.rmtree(state)
        await client.ask("Hello", bot=0)
    assert set(ids_seen(demo)) == {id_in(the_file(state))}
    store = store_in(state)
    visitor = await store.visitor(SITE)
    shutil.rmtree(state)
    await store.put(SITE, "key", tokens_of(SITE, NONCE))
    assert await store_in(state).visitor(SITE) == visitor
    assert caplog.messages == []


@pytest.mark.anyio
async def test_a_folder_that_becomes_unusable_while_it_is_in_use_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    store = store_in(state)
    visitor = await store.visitor(SITE)
    shutil.rmtree(state)
    state.write_text("mine")
    for _ in range(3):
        await store.put(SITE, "key", tokens_of(SITE, NONCE))
        await store.visitor(OTHER)
    assert await store.visitor(SITE) == visitor
    assert await store.find(SITE, "key") is not None
    (line,) = caplog.messages
    assert "it is no folder" in line
    assert state.read_text() == "mine"


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """No file can be opened: the lowest free number is the first that is too high."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.anyio
async def test_who_we_are_is_read_again_once_files_can_be_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = await store_in(tmp_path).visitor(SITE)
    store = store_in(tmp_path)
    with no_more_files():
        await store.visitor(SITE)
    assert await store.find(SITE, "key") is None
    assert await store.visitor(SITE) == visitor
    (line,) = caplog.messages
    assert os.strerror(errno.EMFILE) in line


@pytest.mark.anyio
async def test_a_lock_that_is_never_let_go_holds_nobody_up_for_long(
    tmp_path: Path, demo: DemoSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatgptt.store")
    monkeypatch.setattr(file_store, "MAX_LOCK_WAIT", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        async with client_of(demo.page("wpaicg/"), state_dir=tmp_path) as client:
            assert (await client.ask("Hello")).tokens_from == "html"
            assert (await client.ask("Hello")).tokens_from == "cache"
    finally:
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []
    assert all("locked by another process" in line for line in caplog.messages)
    assert len(set(ids_seen(demo))) == 1


# The clock


@pytest.mark.anyio
async def test_after_the_clock_was_set_back_tokens_from_the_future_are_neither_used_nor_in_the_way(
    tmp_path: Path,
) -> None:
    before = store_in(tmp_path)
    visitor = await before.visitor(SITE)
    for number in range(50):
        await before.put(SITE, f"key {number}", replace(tokens_of(SITE, NONCE), rung="browser"))
    then = NOW - YEAR
    for store in (store_in(tmp_path, then), FileStore(tmp_path, lambda: then)):
        assert await store.visitor(SITE) == visitor
        assert await store.find(SITE, "key 1") is None
        assert not await store.needs_browser(SITE, "key 1")
    for number in range(50, 60):
        tokens = tokens_of(SITE, NEWER, then)
        await store_in(tmp_path, then).put(SITE, f"key {number}", tokens)
    kept = store_in(tmp_path, then)
    found = [await kept.find(SITE, f"key {number}") for number in range(50, 60)]
    assert all(tokens is not None and tokens.nonce == NEWER for tokens in found)
    assert await kept.visitor(SITE) == visitor
