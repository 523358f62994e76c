"""A proxy that cannot be used or reached is named, with where it comes from: the caller or a variable."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest
from asking import answer, client_of, failure
from cli.commands import Done, run_process
from faults import closed_port
from proxies import http_proxy

from chatgptt import InvalidInputError, TransportError
from chatgptt.demo import DemoSite

LOGIN = "ada:geheim"
UNUSABLE = {
    "another scheme": f"gopher://{LOGIN}@127.0.0.1:9",
    "no host": "http://",
    "no port's number": f"http://{LOGIN}@127.0.0.1:x",
    "a port that there is not": f"http://{LOGIN}@127.0.0.1:99999",
    "parts in disorder": f"127.0.0.1:8080:{LOGIN}",
    "no scheme, and a slash in the password": "ada:geh/geheim@127.0.0.1:9",
    "no scheme, and a slash before the password": "ada:/geheim@127.0.0.1:9",
    "one slash": f"http:/{LOGIN}@127.0.0.1:9",
}


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_proxy_of_the_environment_is_named_by_its_variable(
    case: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, UNUSABLE[case])
    with pytest.raises(InvalidInputError) as caught:
        client_of("http://site.example/")
    error = caught.value
    assert error.message.startswith("cannot use the proxy ")
    assert error.message.endswith(f" of the environment variable {variable}")
    assert error.hint.endswith(f"in the environment variable {variable}, or give another with proxy=")
    assert "geheim" not in f"{error!r} {error.hint}"


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_proxy_of_the_caller_is_named(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(InvalidInputError) as caught:
        client_of("http://site.example/", proxy=UNUSABLE[case])
    assert "environment" not in caught.value.message + caught.value.hint
    assert "geheim" not in repr(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_an_environments_proxy_out_of_reach_is_named_by_its_variable(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://{LOGIN}@127.0.0.1:{port}")
    error = await failure("http://site.example/", strategy="static")
    assert isinstance(error, TransportError)
    assert error.message == (
        f"cannot reach http://site.example through the proxy {scheme}://127.0.0.1:{port} of the environment "
        "variable ALL_PROXY: Connection refused"
    )
    assert error.hint == (
        "check the address and login in the environment variable ALL_PROXY, or give another proxy with proxy="
    )


@pytest.mark.anyio
async def test_a_login_that_a_proxy_does_not_take_is_the_proxys(
    demo: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with http_proxy(login="ada:right") as proxy:
        named = proxy.url.replace("right", "geheim")
        for options in ({"proxy": named}, {}):
            monkeypatch.setenv("HTTP_PROXY", named)
            error = await failure(demo.page("wpaicg/"), strategy="static", proxy=options.get("proxy"))
            assert error.code == "connect_error"
            assert "it wants another login" in error.message
            assert ("HTTP_PROXY" in error.message) is not bool(options)
            assert "geheim" not in repr(error)
        assert demo.requests == []
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await answer(demo.page("wpaicg/"))


# In words of the command line


@pytest.mark.anyio
async def test_the_command_names_its_option(tmp_path: Path) -> None:
    port = closed_port()
    env = {"HTTP_PROXY": f"http://{LOGIN}@127.0.0.1:{port}", "CHATGPTT_STATE_DIR": str(tmp_path)}
    where = ("--strategy", "static", "--timeout", "5", "--site", "http://site.example/")

    async def run(*argv: str) -> Done:
        return await anyio.to_thread.run_sync(lambda: run_process(*argv, *where, env=env))

    asked = await run("ask", "Hello")
    assert asked.code == 1
    assert f"through the proxy http://127.0.0.1:{port} of the environment variable HTTP_PROXY" in asked.err
    assert asked.err.endswith("or give another proxy with --proxy\n")
    assert str((await run("ask", "--json", "Hello")).error["hint"]).endswith("with --proxy")
    checked = await run("health-check", "--json")
    assert str(checked.document["hint"]).endswith("with --proxy")
    for done in (asked, checked):
        assert "geheim" not in done.out + done.err
