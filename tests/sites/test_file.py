"""Named sites: what the file may hold, which file it is, and what a client makes of a name."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import closed_port

from chatgptt import AsyncClient, BrowserError, Client, InvalidInputError, Timeouts, TransportError
from chatgptt.demo import DemoSite
from chatgptt.sites.file import find_site, read_sites, sites_path
from chatgptt.sites.named import NamedSite

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "named" / "sites.toml"
    path.parent.mkdir()
    monkeypatch.setenv("CHATGPTT_SITES", str(path))
    return path


@pytest.fixture
def write(file: Path) -> Callable[[str], object]:
    return file.write_text


def test_every_key_is_read(file: Path) -> None:
    file.write_text(
        """
        [shop]
        url = "https://shop.example/chat"
        bot = 3
        strategy = "static"
        proxy = "http://proxy.example:3128"
        timeout = 30
        level = "tokens"
        message = "Hello"
        expect = "OK"
        warn = 2.5
        cert-days = 0

        ["über uns"]
        url = "shop.example/about"
        """
    )
    assert read_sites() == (
        NamedSite(
            name="shop",
            url="https://shop.example/chat",
            bot="3",
            strategy="static",
            proxy="http://proxy.example:3128",
            timeout=30.0,
            level="tokens",
            message="Hello",
            expect="OK",
            warn=2.5,
            cert_days=0.0,
        ),
        NamedSite(name="über uns", url="shop.example/about"),
    )


def test_a_file_may_begin_with_a_byte_order_mark(file: Path) -> None:
    file.write_text('[shop]\nurl = "https://x.example"\n', encoding="utf-8-sig")
    assert read_sites() == (NamedSite(name="shop", url="https://x.example"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a]\nurl = x\n", "(at line 2, column 7)"),
        ('["shop.example"]\nurl = "https://x.example"', "[shop.example]: this cannot be the name of a site"),
        ('[shop.example]\nurl = "https://x.example"', "[shop]: unknown option 'example'"),
        ('["a/b"]\nurl = "https://x.example"', "[a/b]: this cannot be the name of a site"),
        ('[""]\nurl = "https://x.example"', "[]: this cannot be the name of a site"),
        ('[" a"]\nurl = "https://x.example"', "[ a]: this cannot be the name of a site"),
        ('[a]\nurl = "b"', "[a]: url is no address of a page"),
        ("[a]\nurl = 5", "[a]: url cannot be 5"),
        ('[a]\nurl = "https://x.example"\ntimeout = 0', "[a]: timeout and warn need seconds above 0"),
        ("\xff", "cannot read the sites"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, words: str, file: Path) -> None:
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError) as caught:
        read_sites()
    assert str(file) in caught.value.message
    assert words in caught.value.message
    assert caught.value.hint


def test_an_address_needs_no_file(file: Path) -> None:
    for address in ("site.example", "http://localhost", "localhost:8080", "localhost/", "//localhost", ""):
        assert find_site(address) is None


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(file: Path) -> None:
    file.write_text('[shop]\nurl = "https://x.example"\n[blog]\nurl = "https://y.example"')
    with pytest.raises(
        InvalidInputError, match="unknown site 'shpo'; the named sites are: shop, blog"
    ) as caught:
        Client("shpo")
    assert str(file) in caught.value.hint


def test_no_file_is_no_site_only_where_none_was_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="cannot read the sites"):
        read_sites()
    monkeypatch.delenv("CHATGPTT_SITES")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(file.parent))
    monkeypatch.setenv("HOME", str(file.parent))
    assert read_sites() == ()
    with pytest.raises(InvalidInputError, match="the named sites are: none"):
        find_site("shop")
    with pytest.raises(InvalidInputError, match="cannot read the sites"):
        read_sites(file)


def test_an_option_names_the_file_before_the_environment_and_the_platform(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sites_path(tmp_path / "x.toml") == tmp_path / "x.toml"
    assert sites_path() == file
    monkeypatch.delenv("CHATGPTT_SITES")
    assert sites_path().name == "sites.toml"
    assert sites_path().parent.name == "chatgptt"


async def test_a_client_takes_a_name_and_the_table_s_options(
    write: Callable[[str], object], demo: DemoSite
) -> None:
    write(f'[shop]\nurl = "{demo.page("wpaicg/many/")}"\nbot = 5\nstrategy = "static"')
    async with AsyncClient("shop") as client:
        assert client.page == demo.page("wpaicg/many/")
        assert (await client.ask("Hello")).bot_id == 5
        assert (await client.ask("Hello", bot=0)).bot_id == 0
    async with AsyncClient("shop", bot=0) as client:
        assert (await client.ask("Hello")).bot_id == 0
    with Client("shop") as sync:
        assert sync.ask("Hello").bot_id == 5


async def test_an_option_goes_before_the_table(write: Callable[[str], object], demo: DemoSite) -> None:
    write(f'[shop]\nurl = "{demo.page("wpaicg/")}"\nstrategy = "browser"')
    async with AsyncClient("shop") as client:
        with pytest.raises(BrowserError):
            await client.ask("Hello")
    async with AsyncClient("shop", strategy="static") as client:
        assert (await client.ask("Hello")).tokens_from == "html"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        write(f'[shop]\nurl = "http://127.0.0.1:{silent.getsockname()[1]}/"\ntimeout = 0.2')
        for timeouts, limit in ((None, r"0\.2 s"), (Timeouts(total=0.3), r"0\.3 s")):
            async with AsyncClient("shop", timeout=timeouts) as client:
                with pytest.raises(TransportError, match=limit):
                    await client.ask("Hello")


async def test_a_proxy_in_the_table_is_used(write: Callable[[str], object], demo: DemoSite) -> None:
    write(f'[shop]\nurl = "{demo.page("wpaicg/")}"\nproxy = "http://127.0.0.1:{closed_port()}"')
    async with AsyncClient("shop") as client:
        with pytest.raises(TransportError, match="proxy"):
            await client.ask("Hello")


async def test_a_health_check_of_a_name_does_what_the_table_says(
    write: Callable[[str], object], demo: DemoSite
) -> None:
    write(f'[shop]\nurl = "{demo.page("wpaicg/")}"\nlevel = "page"\nmessage = "Hi"\nexpect = "^never$"')
    async with AsyncClient("shop", state_dir=None) as client:
        report = await client.health_check()
        assert (report.name, report.level, report.verdict) == ("shop", "page", "ok")
        assert report.as_dict()["name"] == "shop"
        report = await client.health_check("full")
        assert report.code == "unexpected_answer"
    assert [message.fields["message"] for message in demo.messages] == ["Hi"]
    async with AsyncClient(demo.page("wpaicg/"), state_dir=None) as client:
        assert (await client.health_check("page")).as_dict()["name"] is None


def test_a_login_in_the_file_is_in_no_repr(file: Path) -> None:
    file.write_text('[a]\nurl = "https://me:geheim@x.example"\nproxy = "http://me:geheim@x.example"')
    assert "geheim" not in repr(read_sites())
