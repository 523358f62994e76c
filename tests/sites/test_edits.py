"""Changes to the file of named sites."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from chatgptt import InvalidInputError
from chatgptt.sites.edits import add_site, remove_site
from chatgptt.sites.file import read_sites
from chatgptt.sites.named import NamedSite

SHOP = NamedSite(
    name="shop",
    url="https://shop.example/chat",
    bot="3",
    strategy="static",
    proxy="http://proxy.example:3128",
    timeout=30.0,
    level="tokens",
    message="Hello",
    expect='"OK"\\.',
    warn=2.5,
    cert_days=0.0,
)
BLOG = NamedSite(name="blog", url="https://blog.example")
COMMENTED = """\
# The sites of our customers.

[old] # since 2019
url = "https://old.example"   # by HTTP before
bot = 7

# The end.
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "sites.toml"


def test_what_is_added_is_read_again(file: Path) -> None:
    assert add_site(SHOP, file) == file
    add_site(BLOG, file)
    assert read_sites(file) == (SHOP, BLOG)
    assert "timeout = 30\n" in file.read_text()
    remove_site("shop", file)
    assert read_sites(file) == (BLOG,)


def test_comments_order_and_form_stay(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(COMMENTED)
    add_site(BLOG, file)
    assert file.read_text() == f'{COMMENTED}\n[blog]\nurl = "https://blog.example"\n'
    remove_site("blog", file)
    assert file.read_text().startswith(COMMENTED)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (
            '[old]\nurl = "o.example"\n\n# Blog:\n\n# ours\n[blog]\nurl = "b.example"\n',
            '# Blog:\n\n# ours\n[blog]\nurl = "b.example"\n',
        ),
        (
            '# All:\n[blog]\nurl = "b.example"\n\n[old] # gone\nurl = "o.example" # slow\n\n# The end.',
            '# All:\n[blog]\nurl = "b.example"\n\n# The end.',
        ),
        (
            'old.url = "o.example"\n# Blog:\nblog.url = "b.example"\nold.bot = 7\n# The end.\n',
            '# Blog:\nblog.url = "b.example"\n# The end.\n',
        ),
        (
            'old = {url = "o.example"}\n# Blog:\n[blog]\nurl = "b.example"\n',
            '# Blog:\n[blog]\nurl = "b.example"\n',
        ),
    ],
)
def test_the_comments_behind_a_removed_site_stay(text: str, rest: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(text)
    remove_site("old", file)
    assert file.read_text() == rest


@pytest.mark.parametrize(
    "site",
    [
        NamedSite(name="a", url="https://me:geheim@x.example"),
        NamedSite(name="a", url="x.example", proxy="http://me:geheim@p"),
    ],
)
def test_a_file_with_a_login_is_for_its_owner_alone(site: NamedSite, file: Path) -> None:
    add_site(BLOG, file)
    file.chmod(0o644)
    add_site(NamedSite(name="other", url="https://other.example"), file)
    assert file.stat().st_mode & 0o777 == 0o644
    add_site(site, file)
    assert file.stat().st_mode & 0o777 == 0o600
    remove_site("blog", file)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (NamedSite(name="old", url="https://x.example"), "has a site 'old' already"),
        (NamedSite(name="a.b", url="https://x.example"), "cannot be the name"),
        (NamedSite(name="", url="https://x.example"), "cannot be the name"),
        (NamedSite(name="a", url=""), "no url"),
        (NamedSite(name="a", url="https://x.example", timeout=-1.0), "timeout and warn need seconds above 0"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(site: NamedSite, words: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(COMMENTED)
    with pytest.raises(InvalidInputError, match=words):
        add_site(site, file)
    assert file.read_text() == COMMENTED


@pytest.mark.parametrize("name", ["shpo", "https://old.example"])
def test_only_a_known_name_is_removed(name: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(COMMENTED)
    with pytest.raises(InvalidInputError):
        remove_site(name, file)
    assert file.read_text() == COMMENTED


def test_a_broken_file_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[old\n")
    with pytest.raises(InvalidInputError, match="at line 1"):
        add_site(BLOG, file)
    with pytest.raises(InvalidInputError, match="at line 1"):
        remove_site("old", file)
    assert file.read_text() == "[old\n"


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="cannot"):
        add_site(BLOG, tmp_path / "file" / "sites.toml")


def test_changes_at_once_lose_none(file: Path) -> None:
    names = [f"site{n}" for n in range(20)]
    start = Barrier(len(names))

    def add(name: str) -> None:
        start.wait()
        add_site(NamedSite(name=name, url="https://x.example"), file)

    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(add, names))
    assert {site.name for site in read_sites(file)} == set(names)


def test_reading_loads_no_writer(file: Path) -> None:
    add_site(BLOG, file)
    script = "import sys, chatgptt; chatgptt.Client('blog'); print('tomlkit' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"CHATGPTT_SITES": str(file)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "False\n"
