"""What other users put where a file is read or written leads nowhere, keeps no one waiting, and is not deleted."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.commands import Done, Run, run_process
from state.places import IS_ROOT, NOBODY

from chatgptt import BrowserOptions, InvalidInputError
from chatgptt.demo import DemoSite
from chatgptt.recordings import CaseError, read_case, write_case
from chatgptt.state.files import find_place, replacing

CASES = Path(__file__).parents[2] / "fixtures"
CASE = CASES / "wpaicg-answer-history"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that everybody may write to, as /tmp is; links that `of_a_stranger` makes in it are not ours."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    if not IS_ROOT:  # who is not root can give nothing away, but can be somebody else
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    return folder


def of_a_stranger(link: Path, target: Path) -> Path:
    link.symlink_to(target)
    if IS_ROOT:
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    return link


def write_to(kind: str, path: Path, run: Run, demo: DemoSite) -> Done:
    """Has a command write to `path`."""
    page = demo.page("wpaicg/")
    match kind:
        case "record":
            return run("record", "--site", page, "-o", str(path))
        case "trace":
            return run("ask", "--site", page, "--strategy", "static", "--trace", str(path), "Hello")
        case "history":
            return run("health-check", "--history", "--output", str(path))
        case _:
            return run(
                "health-check", "--strategy", "static", "--level", "page", f"--{kind}", str(path), page
            )


KINDS = ["output", "report", "history", "trace", "record"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["in its place", "on the way"])
def test_a_strangers_link_in_a_shared_folder_is_not_followed(
    kind: str, where: str, shared: Path, tmp_path: Path, run: Run, demo: DemoSite
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    if where == "on the way":
        path = of_a_stranger(shared / "reports", mine) / "file"
    else:
        path = of_a_stranger(shared / "file", mine / "file")
    done = write_to(kind, path, run, demo)
    assert done.code in (1, 2, 3)
    assert "belongs to another user" in done.err
    assert demo.requests == []
    assert list(mine.iterdir()) == []


@pytest.mark.parametrize("kind", ["output", "report", "history", "record"])
def test_a_link_of_our_own_is_followed_and_stays(kind: str, tmp_path: Path, run: Run, demo: DemoSite) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    (tmp_path / "far" / "file").symlink_to("../target")
    assert write_to(kind, tmp_path / "link" / "file", run, demo).code == 0
    assert (tmp_path / "far" / "file").is_symlink()
    assert (tmp_path / "target").exists()


PLACES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "a device": lambda path: path.symlink_to("/dev/null"),
    "a pipe behind a link": lambda path: path.symlink_to(make_pipe(path.with_name("pipe"))),
}


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_what_is_no_regular_file_is_refused_at_once(
    kind: str, place: str, run: Run, demo: DemoSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    path = Path("place")
    PLACES[place](path)
    if (kind, place) == ("record", "a folder"):
        (path / "letter.txt").write_text("dear")
    before = os.stat(path)
    done = write_to(kind, path, run, demo)
    assert done.code in (1, 2, 3), done
    assert "place" in done.err
    assert demo.requests == []
    assert (os.stat(path).st_mode, os.stat(path).st_ino) == (before.st_mode, before.st_ino)


def test_stdout_by_its_name_is_refused_where_it_is_a_pipe() -> None:
    done = run_process("health-check", "--history", "--output", "/dev/stdout")
    assert (done.code, done.out) == (3, "")
    assert "no regular file" in done.err


def test_a_new_file_has_a_name_that_cannot_be_guessed_and_is_only_there_whole(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with replacing(tmp_path / "file") as file:
            (new,) = tmp_path.glob(".*")
            file.write(b"half")
            names.add(new.name)
            assert not (tmp_path / "file").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        (tmp_path / "file").unlink()
    assert len(names) == 2


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(TypeError), replacing(file) as new:
        new.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_a_link_that_comes_at_the_last_moment_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with replacing(tmp_path / "file") as new:
        new.write(b"new")
        (tmp_path / "file").symlink_to("mine")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions(
    mode: int, tmp_path: Path, run: Run, demo: DemoSite
) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(mode)
    assert write_to("history", file, run, demo).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_new_file_is_readable_as_the_umask_says(tmp_path: Path, run: Run, demo: DemoSite) -> None:
    before = os.umask(0o027)
    try:
        assert write_to("history", tmp_path / "file", run, demo).code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        find_place(tmp_path / "a")


def test_a_trace_that_cannot_be_written_is_refused_with_the_options(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no regular file"):
        BrowserOptions(trace=tmp_path)
    with pytest.raises(InvalidInputError, match="null"):
        BrowserOptions(trace=tmp_path / "a\0b")
    BrowserOptions(trace=tmp_path / "new" / "trace.zip")


# A case in whose folder something else lies


def copied(folder: Path) -> Path:
    write_case(read_case(CASE), folder)
    return folder


@pytest.mark.parametrize("other", ["letter.txt", "01-page.html.orig", "99-page.html", ".git", "folder/"])
def test_a_folder_with_anything_but_a_case_is_refused_and_kept(
    other: str, tmp_path: Path, run: Run, demo: DemoSite
) -> None:
    folder = copied(tmp_path / "case")
    (folder / other).mkdir() if other.endswith("/") else (folder / other).write_text("dear")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = write_to("record", folder, run, demo)
    assert done.code == 1
    assert other.rstrip("/") in done.err
    assert demo.requests == []
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("text", ["", "x = 1", "no TOML", "format = 1"])
def test_a_file_that_is_only_called_like_a_case_is_kept(
    text: str, tmp_path: Path, run: Run, demo: DemoSite
) -> None:
    (tmp_path / "case.toml").write_text(text)
    done = write_to("record", tmp_path, run, demo)
    assert done.code == 1
    assert "not replaced" in done.err
    assert demo.requests == []
    assert (tmp_path / "case.toml").read_text() == text


def test_a_file_that_comes_while_a_case_is_recorded_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(tmp_path / "case")
    rename = Path.rename

    def add_and_rename(path: Path, target: Path) -> Path:
        if path == folder:
            (folder / "letter.txt").write_text("dear")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", add_and_rename)
    with pytest.raises(CaseError, match=r"letter\.txt"):
        write_case(read_case(CASE), folder)
    assert (folder / "letter.txt").read_text() == "dear"
    assert read_case(CASE) == read_case(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


# A case that somebody else made


def spoil_by_link(path: Path) -> None:
    target = path.with_name("target")
    path.rename(target)
    path.symlink_to(target)


def spoil_by_link_out(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def spoil_by_size(path: Path) -> None:
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**33)  # a file of holes: it takes no room on disk, and all memory where it is read


def spoil_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def spoil_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def spoil_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT = {
    "a link": spoil_by_link,
    "a link out of the case": spoil_by_link_out,
    "a pipe": spoil_by_pipe,
    "a device": spoil_by_device,
    "a folder": spoil_by_folder,
    "8 GB": spoil_by_size,
}


def read_by(kind: str, folder: Path, run: Run, demo: DemoSite) -> Done:
    match kind:
        case "check":
            return run("record", "--site", demo.page("wpaicg/"), "--check", str(folder))
        case "replay":
            return run("replay", str(folder))
        case _:
            return run(kind, "--replay", str(folder), *(["Hello"] if kind == "ask" else []))


@pytest.mark.parametrize("name", ["case.toml", "01-page.html"])
@pytest.mark.parametrize("what", SPOILT)
def test_a_case_with_anything_but_files_in_it_is_refused_by_every_command(
    name: str, what: str, tmp_path: Path, run: Run, demo: DemoSite
) -> None:
    folder = copied(tmp_path / "case")
    SPOILT[what](folder / name)
    for kind in ("ask", "inspect", "health-check", "replay", "check"):
        done = read_by(kind, folder, run, demo)
        assert done.code in (1, 2, 3), kind
        assert name in done.err, kind
        assert "no regular file" in done.err or "is larger than" in done.err, kind
    assert demo.requests == []


def test_one_body_that_is_named_thousands_of_times_is_not_read_as_often(tmp_path: Path) -> None:
    folder = copied(tmp_path / "case")
    (folder / "big.html").write_bytes(b"x" * 2**20)
    exchange = '[[exchange]]\nmethod = "GET"\npath = "/x/"\nstatus = 200\nbody = "big.html"\n'
    with (folder / "case.toml").open("a") as file:
        file.write(exchange * 5000)
    with pytest.raises(CaseError, match=r"big\.html is larger than"):
        read_case(folder)


@pytest.mark.parametrize("name", ["../other/01-page.html", "/etc/hostname", "sub/01-page.html", "..", "."])
def test_a_body_outside_of_the_case_is_refused(name: str, tmp_path: Path) -> None:
    folder, other = copied(tmp_path / "case"), copied(tmp_path / "other")
    assert other.is_dir()
    file = folder / "case.toml"
    file.write_text(file.read_text().replace('"01-page.html"', f'"{name}"'))
    with pytest.raises(CaseError, match="is no file of the case"):
        read_case(folder)


def test_a_pipe_that_takes_the_place_of_a_body_between_two_looks_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(tmp_path / "case")
    page = folder / "01-page.html"
    lstat = os.lstat

    def look_and_swap(path: Path) -> os.stat_result:
        found = lstat(path)
        if path == page and stat.S_ISREG(found.st_mode):
            spoil_by_pipe(page)
        return found

    monkeypatch.setattr(os, "lstat", look_and_swap)
    caught: list[CaseError] = []

    def read() -> None:
        try:
            read_case(folder)
        except CaseError as error:
            caught.append(error)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(30)
    assert ["no regular file" in error.message for error in caught] == [True]
