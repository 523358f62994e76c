"""Visits on disk: a file for each site, its owner's alone, never in a state that another process would misread."""

from __future__ import annotations

import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from visits.samples import MADE_AT, SITE, cookie, cookies_txt, item, login_cookie, visit

from chatgptt import InvalidInputError
from chatgptt.state.folder import NotOursError, locked, replace_own_file
from chatgptt.visits import kept, path_of_visit
from chatgptt.visits.formats import encode
from chatgptt.visits.kept import (
    change_visit,
    find_visit,
    forget_visit,
    keep_visit,
    load_visit,
    read_visit,
)
from chatgptt.visits.visit import changes_between

OTHER = "https://other.example"


def test_each_site_has_a_file_of_its_own_that_only_its_owner_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    ours, theirs = visit(login_cookie()), visit(cookie(domain="other.example"), site=OTHER)
    keep_visit(folder, ours)
    keep_visit(folder, theirs)
    assert (find_visit(folder, SITE), find_visit(folder, OTHER)) == (ours, theirs)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert "other" not in path_of_visit(folder, SITE).read_text()


def test_a_visit_is_removed_once(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(cookie()))
    assert forget_visit(tmp_path, SITE)
    assert not forget_visit(tmp_path, SITE)
    assert find_visit(tmp_path, SITE) is None
    assert list(tmp_path.iterdir()) == []
    assert not forget_visit(tmp_path / "missing", SITE)
    assert not (tmp_path / "missing").exists()


def test_what_a_writer_that_died_has_left_is_removed_with_the_visit(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(cookie()))
    path = path_of_visit(tmp_path, SITE)
    path.with_name(f"{path.name}.new").write_text("s3cret")
    assert forget_visit(tmp_path, SITE)
    assert list(tmp_path.iterdir()) == []


def test_a_removal_waits_for_a_renewal_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_PATIENCE", 60.0)
    keep_visit(tmp_path, visit(cookie()))
    with ThreadPoolExecutor() as pool:
        with locked(tmp_path, 1.0):
            removed = pool.submit(forget_visit, tmp_path, SITE)
            assert not wait([removed], 0.1).done
            replace_own_file(path_of_visit(tmp_path, SITE), encode(visit(cookie("a", "renewed"))))
        assert removed.result(60)
    assert find_visit(tmp_path, SITE) is None


def test_a_folder_whose_lock_is_held_keeps_the_visit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_PATIENCE", 0.0)
    keep_visit(tmp_path, visit(cookie()))
    with locked(tmp_path, 1.0), pytest.raises(InvalidInputError, match="another process holds its lock"):
        forget_visit(tmp_path, SITE)
    assert find_visit(tmp_path, SITE) is not None


def test_a_file_that_others_can_read_is_repaired(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep_visit(tmp_path, visit(cookie()))
    path = path_of_visit(tmp_path, SITE)
    path.chmod(0o644)
    assert find_visit(tmp_path, SITE) == visit(cookie())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(mode: int, tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(cookie()))
    path_of_visit(tmp_path, SITE).chmod(mode)
    with pytest.raises(NotOursError, match="written by others"):
        find_visit(tmp_path, SITE)
    with pytest.raises(InvalidInputError) as caught:
        load_visit(tmp_path, SITE)
    assert "chatgptt logout" in caught.value.hint
    assert forget_visit(tmp_path, SITE)


def test_a_link_or_a_pipe_in_the_files_place_is_refused(tmp_path: Path) -> None:
    keep_visit(tmp_path / "elsewhere", visit(cookie()))
    path = path_of_visit(tmp_path, SITE)
    path.symlink_to(path_of_visit(tmp_path / "elsewhere", SITE))
    with pytest.raises(NotOursError):
        find_visit(tmp_path, SITE)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(NotOursError):
        find_visit(tmp_path, SITE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away, or meets others in its folder")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(cookie()))
    os.chown(path_of_visit(tmp_path, SITE), 12345, 12345)
    with pytest.raises(NotOursError, match="another user"):
        find_visit(tmp_path, SITE)


def test_a_damaged_file_is_told_and_replaced(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(cookie()))
    path_of_visit(tmp_path, SITE).write_text("{")
    with pytest.raises(NotOursError, match="damaged"):
        find_visit(tmp_path, SITE)
    with pytest.raises(InvalidInputError, match="cannot be used: it is damaged"):
        load_visit(tmp_path, SITE)
    keep_visit(tmp_path, visit(cookie()))
    assert find_visit(tmp_path, SITE) == visit(cookie())


def test_a_file_that_is_too_large_is_told(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(cookie()))
    with path_of_visit(tmp_path, SITE).open("r+b") as file:
        file.truncate(2**30)
    with pytest.raises(NotOursError, match="larger than"):
        find_visit(tmp_path, SITE)


def test_a_visit_with_all_that_may_be_kept_is_read_again(tmp_path: Path) -> None:
    cookies = (cookie(f"c{number}", '"' * 4000) for number in range(400))
    entries = (item(str(number), "\U0001f600" * 10_000) for number in range(400))
    whole = visit(*cookies, storage=tuple(entries))
    keep_visit(tmp_path, whole)
    assert find_visit(tmp_path, SITE) == whole


def test_changed_cookies_are_kept_beside_those_that_another_process_changed(tmp_path: Path) -> None:
    ours = visit(cookie("a", "1"), cookie("b", "1"), cookie("c", "1"))
    keep_visit(tmp_path, ours)
    for after in ((cookie("a", "2"), *ours.cookies[1:]), (ours.cookies[0], cookie("b", "2"))):
        change_visit(tmp_path, ours, changes_between(ours.cookies, after, now=MADE_AT))
    kept = find_visit(tmp_path, SITE)
    assert kept is not None
    assert [(one.name, one.value) for one in kept.cookies] == [("a", "2"), ("b", "2")]


def test_a_visit_that_was_removed_or_replaced_is_not_changed(tmp_path: Path) -> None:
    ours, newer = visit(cookie("a", "1")), visit(cookie("a", "1"), name="another")
    changes = changes_between(ours.cookies, (cookie("a", "2"),), now=MADE_AT)
    change_visit(tmp_path, ours, changes)
    assert find_visit(tmp_path, SITE) is None
    keep_visit(tmp_path, newer)
    change_visit(tmp_path, ours, changes)
    assert find_visit(tmp_path, SITE) == newer


# Files of other programs


def test_the_same_file_is_the_same_visit(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_bytes(cookies_txt(("site.example", "FALSE", "/", "FALSE", "0", "a", "b")))
    first, second = (read_visit(path, SITE, made_at=at) for at in (1.0, 2.0))
    assert (first.id, first.source, first.cookies) == (second.id, "file", (cookie(),))
    path.write_bytes(cookies_txt(("site.example", "FALSE", "/", "FALSE", "0", "a", "c")))
    assert read_visit(path, SITE, made_at=1.0).id != first.id


def test_a_file_without_anything_of_the_site_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_bytes(cookies_txt(("site.example", "FALSE", "/", "FALSE", "0", "a", "b")))
    with pytest.raises(InvalidInputError, match="no cookie and no local storage of https://other"):
        read_visit(path, OTHER, made_at=1.0)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "huge"])
def test_what_is_no_file_is_an_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**30)
    with pytest.raises(InvalidInputError) as caught:
        read_visit(path, SITE, made_at=1.0)
    assert "storage_state" in caught.value.hint
