"""What is kept on disk, and everything that may have happened to it meanwhile."""

# ruff: noqa: ASYNC240 - small files of a test hold up nobody

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from asking import answer, client_of, outcome

from chatgptt import AsyncClient, RefusedError, Reply, StateDir
from chatgptt._models import ChatBox, StoredCookie, Tokens
from chatgptt.demo import DemoSite
from chatgptt.state.folder import default_folder
from chatgptt.tokens.file_store import FileStore
from chatgptt.tokens.store import MemoryStore, Store

SITE = "https://site.example"
NOW = 1_750_000_000.0


def tokens(nonce: str = "1f2e3d4c5b", at: float = NOW, **changed: str) -> Tokens:
    box = ChatBox(
        protocol="wpaicg", kind="shortcode", bot_id=0, post_id=7, ajax_url=f"{SITE}/wp-admin/admin-ajax.php", nonce=nonce,
        found_by="html", image_triggers=("/image",),
    )  # fmt: skip
    cookie = StoredCookie(name="a", value="b", domain="site.example", path="/", is_secure=True)
    page = changed.get("page", f"{SITE}/")
    return Tokens(box=box, nonce=nonce, page=page, rung="html", acquired_at=at, cookies=(cookie,))


def store_in(folder: Path | None) -> Store:
    return MemoryStore(lambda: NOW) if folder is None else FileStore(folder, lambda: NOW)


def the_file(folder: Path) -> Path:
    (file,) = folder.glob("*.json")
    return file


@pytest.mark.anyio
async def test_what_was_kept_is_found_by_another_process(tmp_path: Path) -> None:
    one = store_in(tmp_path / "a" / "b")
    visitor = await one.visitor(SITE)
    await one.put(SITE, "key", tokens())
    other = store_in(tmp_path / "a" / "b")
    assert await other.visitor(SITE) == visitor
    assert await other.find(SITE, "key") == tokens()
    assert await other.find(SITE, "another key") is None


@pytest.mark.anyio
async def test_a_running_process_finds_what_another_one_acquired(tmp_path: Path) -> None:
    one, other = store_in(tmp_path), store_in(tmp_path)
    assert await one.find(SITE, "key") is None
    await other.put(SITE, "key", tokens())
    assert await one.find(SITE, "key") == tokens()


@pytest.mark.anyio
async def test_dropped_tokens_stay_away_unless_they_were_replaced_meanwhile(tmp_path: Path) -> None:
    one, other = store_in(tmp_path), store_in(tmp_path)
    await one.put(SITE, "key", tokens("aaaaaaaaa1"))
    await other.put(SITE, "key", tokens("bbbbbbbbb2"))
    await one.drop(SITE, "key", "aaaaaaaaa1")
    assert await one.find(SITE, "key") == tokens("bbbbbbbbb2")
    await one.drop(SITE, "key", "bbbbbbbbb2")
    assert await store_in(tmp_path).find(SITE, "key") is None


@pytest.mark.anyio
async def test_sites_have_files_and_ids_of_their_own(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    sites = (SITE, "http://site.example", "https://site.example:8443", "https://" + "long." * 60 + "example")
    visitors = [await store.visitor(site) for site in sites]
    assert len({visitor.client_id for visitor in visitors}) == len(sites)
    assert len(list(tmp_path.iterdir())) == len(sites)


@pytest.mark.anyio
async def test_only_the_newest_entries_of_a_site_are_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for number in range(60):
        await store.put(SITE, f"key {number}", tokens(at=NOW - 100 + number))
    kept = json.loads(the_file(tmp_path).read_text())["tokens"]
    assert sorted(kept) == sorted(f"key {number}" for number in range(10, 60))


@pytest.mark.anyio
async def test_the_file_is_its_owner_s_alone_and_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    old_mask = os.umask(0)
    try:
        await store_in(folder).put(SITE, "key", tokens())
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(the_file(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == 1


@pytest.mark.anyio
async def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    await store_in(tmp_path).put(SITE, "key", tokens())
    file = the_file(tmp_path)
    before = file.stat().st_ino
    with file.open() as reading:
        await store_in(tmp_path).put(SITE, "key", tokens("bbbbbbbbb2"))
        assert "1f2e3d4c5b" in json.dumps(json.load(reading))
    assert file.stat().st_ino != before


@pytest.mark.anyio
async def test_what_a_writer_that_died_left_behind_is_in_nobody_s_way(tmp_path: Path) -> None:
    await store_in(tmp_path).put(SITE, "key", tokens())
    half = the_file(tmp_path).with_name(the_file(tmp_path).name + ".new")
    half.write_text('{"format": 1, "si')
    await store_in(tmp_path).put(SITE, "key", tokens("bbbbbbbbb2"))
    assert not half.exists()
    assert await store_in(tmp_path).find(SITE, "key") == tokens("bbbbbbbbb2")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b" " * (2**20 + 1),
        b'{"format": 1}', b'{"format": 0, "site": "https://site.example"}', b'{"format": "x", "site": "https://site.example"}',
        b'{"format": 1, "site": "https://other.example", "client_id": "abcdefghij"}',
    ],
    ids=range(11),
)  # fmt: skip
async def test_a_damaged_or_foreign_file_is_rewritten(tmp_path: Path, damage: bytes) -> None:
    await store_in(tmp_path).put(SITE, "key", tokens())
    the_file(tmp_path).write_bytes(damage)
    store = store_in(tmp_path)
    assert await store.find(SITE, "key") is None
    visitor = await store.visitor(SITE)
    await store.put(SITE, "key", tokens())
    assert await store_in(tmp_path).visitor(SITE) == visitor
    assert await store_in(tmp_path).find(SITE, "key") == tokens()


def damaged_records(record: object) -> Iterator[str]:
    """The record with each of its values, one at a time, turned into something else."""

    def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
        yield path
        for key, inner in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            yield from places(inner, (*path, key))

    for place in list(places(record))[1:]:
        others: tuple[object, ...] = (None, 5, "x", [], {}, [1], True, -1e400, "\udcff")
        for other in others:
            copy = json.loads(json.dumps(record))
            inside = copy
            for key in place[:-1]:
                inside = inside[key]
            inside[place[-1]] = other
            yield json.dumps(copy)
        copy = json.loads(json.dumps(record))
        inside = copy
        for key in place[:-1]:
            inside = inside[key]
        del inside[place[-1]]
        yield json.dumps(copy)


@pytest.mark.anyio
async def test_no_message_fails_whatever_value_of_the_file_is_damaged(demo: DemoSite, tmp_path: Path) -> None:
    for path in ("cookies/", "aipkit/"):
        folder = tmp_path / path
        await answer(demo.page(path), state_dir=folder)
        file = the_file(folder)
        records = list(damaged_records(json.loads(file.read_text())))
        assert len(records) > 200
        bad = []
        for record in records[::5]:
            file.write_text(record)
            try:
                result = await outcome(demo.page(path), state_dir=folder)
            except Exception as error:  # noqa: BLE001 - whatever comes, the record that made it is the news
                bad.append((record, repr(error)))
            else:
                # A bot of another number, or one that asks for consent, is none of the damage one could see.
                if not isinstance(result, Reply | RefusedError):
                    bad.append((record, repr(result)))
        assert bad == []


@pytest.mark.anyio
async def test_a_file_of_a_later_version_is_left_alone_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store_in(tmp_path).put(SITE, "key", tokens())
    record = {**json.loads(the_file(tmp_path).read_text()), "format": 2}
    the_file(tmp_path).write_text(json.dumps(record))
    store = store_in(tmp_path)
    assert await store.find(SITE, "key") is None
    await store.put(SITE, "key", tokens())
    assert await store.find(SITE, "key") == tokens()
    assert json.loads(the_file(tmp_path).read_text()) == record
    assert [line.getMessage().endswith("written by a later version") for line in caplog.records] == [True]


@pytest.mark.anyio
async def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    await store_in(folder).put(SITE, "key", tokens())
    file = the_file(folder)
    target = tmp_path / "target"
    file.rename(target)
    before = target.read_bytes()
    file.symlink_to(target)
    store = store_in(folder)
    assert await store.find(SITE, "key") is None
    await store.put(SITE, "key", tokens("bbbbbbbbb2"))
    assert target.read_bytes() == before


@pytest.mark.anyio
@pytest.mark.parametrize("folder", ["is-a-file", "is-a-file/below", "locked"])
async def test_a_folder_that_cannot_be_used_costs_a_warning_and_no_answer(
    demo: DemoSite, tmp_path: Path, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "is-a-file").write_text("mine")
    (tmp_path / "locked").mkdir(mode=0o500)  # no obstacle to root
    async with client_of(demo.page("wpaicg/"), state_dir=tmp_path / folder) as client:
        assert (await client.ask("a")).tokens_from == "html"
        assert (await client.ask("b")).tokens_from == "cache"
    if folder != "locked":
        assert [line.name for line in caplog.records] == ["chatgptt.store"]
    assert (tmp_path / "is-a-file").read_text() == "mine"
    assert len({seen.fields["wpaicg_chat_client_id"] for seen in demo.messages}) == 1


@pytest.mark.anyio
async def test_a_folder_that_can_only_be_read_still_says_who_we_are(demo: DemoSite, tmp_path: Path) -> None:
    await answer(demo.page("wpaicg/"), state_dir=tmp_path)
    file = the_file(tmp_path)
    file.with_name(file.name + ".new").mkdir()  # in the way of every writer, root too
    assert (await answer(demo.page("wpaicg/"), state_dir=tmp_path)).tokens_from == "cache"
    assert (await answer(demo.page("wpaicg/json/"), state_dir=tmp_path)).tokens_from == "html"
    assert len({seen.fields["wpaicg_chat_client_id"] for seen in demo.messages}) == 1


@pytest.mark.anyio
async def test_no_folder_means_nothing_on_disk(
    demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    async with client_of(demo.page("cookies/"), state_dir=None) as client:
        await client.ask("a")
        await client.ask("b")
    assert sorted(tmp_path.rglob("*")) == before
    assert len({seen.fields["wpaicg_chat_client_id"] for seen in demo.messages}) == 1


@pytest.mark.anyio
async def test_the_folder_is_the_environment_s_or_the_platform_s(
    demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path / "named"))
    async with AsyncClient(demo.page("wpaicg/"), state_dir=StateDir.DEFAULT) as client:
        await client.ask("a")
    assert the_file(tmp_path / "named").is_file()
    monkeypatch.delenv("CHATGPTT_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "platform"))
    assert default_folder().name == "chatgptt"


@pytest.mark.anyio
async def test_many_tasks_that_ask_who_we_are_get_one_answer(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    found = set()

    async def ask() -> None:
        found.add(await store.visitor(SITE))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ask)
    assert len(found) == 1


@pytest.mark.anyio
async def test_tasks_that_keep_tokens_at_once_lose_none(tmp_path: Path) -> None:
    stores = [store_in(tmp_path), store_in(tmp_path), store_in(None)]
    for store in stores:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(store.put, SITE, f"key {id(store)} {number}", tokens())
    for store in stores:
        for number in range(20):
            assert await store.find(SITE, f"key {id(store)} {number}") == tokens()


WRITER = """
import sys
from pathlib import Path
import anyio
from chatgptt._models import ChatBox, Tokens
from chatgptt.tokens.file_store import FileStore
from chatgptt.tokens.store import MemoryStore, Store

folder, site, key, now, nonce = sys.argv[1:]
box = ChatBox(protocol="wpaicg", kind="shortcode", bot_id=0, post_id=None, nonce=nonce, found_by="html",
              ajax_url=f"{site}/wp-admin/admin-ajax.php")
tokens = Tokens(box=box, nonce=nonce, page=f"{site}/", rung="html", acquired_at=float(now))

async def ask():
    store = FileStore(Path(folder), lambda: float(now))
    visitor = await store.visitor(site)
    await store.put(site, key, tokens)
    print(visitor.client_id, visitor.session_id)

anyio.run(ask)
"""


def test_many_processes_agree_on_who_we_are_and_keep_each_other_s_tokens(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), SITE, f"key {number}", str(NOW), "0123456abc"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    found = {writer.communicate(timeout=60)[0] for writer in writers}
    assert [writer.returncode for writer in writers] == [0] * 8
    assert len(found) == 1
    assert len(json.loads(the_file(tmp_path).read_text())["tokens"]) == 8


@pytest.mark.anyio
async def test_visitors_with_different_credentials_have_tokens_of_their_own(
    demo: DemoSite, tmp_path: Path
) -> None:
    page = demo.page("wpaicg/")
    for headers, url, expected in (
        (None, page, "html"),
        ({"Cookie": "user=visitor-one"}, page, "html"),
        ({"cookie": "user=visitor-one"}, page, "cache"),
        ({"Cookie": "user=bob"}, page, "html"),
        ({"Authorization": "Bearer x"}, page, "html"),
        ({"X-Other": "y"}, page, "cache"),
        (None, page.replace("//", "//visitor-one:secret@"), "html"),
        (None, page.replace("//", "//visitor-one:other@"), "html"),
        (None, page, "cache"),
    ):
        assert (await answer(url, state_dir=tmp_path, headers=headers)).tokens_from == expected, (
            headers,
            url,
        )
    text = the_file(tmp_path).read_text()
    assert "visitor-one" not in text
    assert "secret" not in text
