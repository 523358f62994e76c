"""Pages that go on by themselves: reload at once, lead elsewhere, or never settle. The last document counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from asking import answer, failure
from browser.processes import Traces
from faults import NONCE, WPAICG_PAGE, Answer, Connection, Got, reply, serving, stream_reply

pytestmark = pytest.mark.anyio

CHAT = WPAICG_PAGE.format(nonce=NONCE)
RELOAD = '<html><body><script>document.cookie = "seen=1; path=/"; document.location.reload(true)</script></body></html>'
AFTER = "<html><body><script>document.cookie = 'seen=1; path=/'; setTimeout(() => location.reload(), 700)</script></body></html>"
FORM = (
    "<form id=go action=/ method=post></form><script>document.cookie = 'seen=1; path=/'; go.submit()</script>"
)
ONWARD = "<script>document.cookie = 'seen=1; path=/'; location.href = '/?i=1'</script>"
META = "<meta http-equiv=refresh content='0'>"


def behind(wall: str, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """A site that shows its page to visitors with the wall's cookie, and takes messages from those alone."""

    async def serve(connection: Connection, got: Got) -> bool:
        is_let_in = "seen=1" in got.headers.get("cookie", "")
        if got.is_message and is_let_in:
            await connection.send(stream_reply())
        elif is_let_in and not got.path.endswith(".js"):
            await connection.send(reply(CHAT))
        else:
            await connection.send(reply(wall, status=status, headers=headers))
        return True

    return serve


@pytest.mark.parametrize("status", [200, 409, 503])
@pytest.mark.parametrize(
    "wall", [RELOAD, AFTER, ONWARD, FORM], ids=["reload", "after a while", "onward", "form"]
)
async def test_a_page_that_lets_a_browser_in_by_itself_is_answered(
    traces: Traces, wall: str, status: int
) -> None:
    async with serving(behind(wall, status)) as server:
        reply_ = await answer(f"{server.url}/", strategy="browser")
        assert (reply_.text, reply_.tokens_from) == ("Hi there", "browser")
        assert server.counts[1] == 1


async def test_a_cookie_of_the_error_page_itself_and_a_refresh_let_a_browser_in(traces: Traces) -> None:
    async with serving(behind(META, 409, {"Set-Cookie": "seen=1; Path=/"})) as server:
        assert (await answer(f"{server.url}/", strategy="browser")).text == "Hi there"


@pytest.mark.parametrize("status", [403, 409, 503])
async def test_a_page_that_loads_itself_again_as_an_error_for_ever_is_a_challenge(
    traces: Traces, status: int
) -> None:
    async with serving(behind("<script>location.reload()</script>", status)) as server:
        error = await failure(f"{server.url}/", strategy="browser")
        assert (error.code, error.status, server.counts[1]) == ("challenge", status, 0)


@pytest.mark.parametrize("body", ["", "<h1>No</h1>", "<h1>No</h1><script>let a = 1</script>"])
async def test_an_error_page_that_stays_is_told_by_its_status(traces: Traces, body: str) -> None:
    async with serving(behind(body, 404)) as server:
        error = await failure(f"{server.url}/", strategy="browser")
        assert (error.code, error.status) == ("http_error", 404)


async def test_a_page_that_ends_as_an_error_page_is_that_error(traces: Traces) -> None:
    async def serve(connection: Connection, got: Got) -> bool:
        if got.path == "/gone":
            await connection.send(reply(f"<h1>Gone</h1>{CHAT}", status=410))
        else:
            await connection.send(reply("<script>location.href = '/gone'</script>"))
        return True

    async with serving(serve) as server:
        error = await failure(f"{server.url}/", strategy="browser")
        assert (error.code, error.status, error.url) == ("http_error", 410, f"{server.url}/gone")


@pytest.mark.parametrize(
    "when", ["", "setTimeout(go, 40)", "setTimeout(go, 300)", "document.addEventListener('mousemove', go)"]
)
async def test_a_page_that_goes_on_at_any_moment_is_given_a_visitors_input_again(
    traces: Traces, when: str
) -> None:
    """What waits for a visitor on the second document gets one, whatever the first document interrupted."""
    first = f"<script>function go() {{ location.href = '/second' }} {when or 'go()'}</script>"
    second = f"""<script>
        let done = false;
        addEventListener("mousemove", () => {{ if (!done) {{ done = true; document.body.innerHTML = `{CHAT}`; }} }});
    </script><body>"""

    async def serve(connection: Connection, got: Got) -> bool:
        if got.is_message:
            await connection.send(stream_reply())
        else:
            await connection.send(reply(second if got.path == "/second" else first))
        return True

    async with serving(serve) as server:
        reply_ = await answer(f"{server.url}/", strategy="browser")
        assert reply_.page == f"{server.url}/second"


async def test_a_page_that_never_settles_is_no_failure_of_the_browser(traces: Traces) -> None:
    async def serve(connection: Connection, got: Got) -> bool:
        await connection.send(reply("<p>Wait</p><script>location.href = '/?' + Math.random()</script>"))
        return True

    async with serving(serve) as server:
        assert (await failure(f"{server.url}/", strategy="browser")).code in ("no_chat_box", "challenge")


@pytest.mark.parametrize("how", ["meta", "header"])
async def test_a_page_that_refreshes_to_another_one_is_followed(traces: Traces, how: str) -> None:
    async def serve(connection: Connection, got: Got) -> bool:
        if got.is_message:
            await connection.send(stream_reply())
        elif got.path == "/chat":
            await connection.send(reply(CHAT))
        elif how == "header":
            await connection.send(reply("<p>Go</p>", headers={"Refresh": "0; url=/chat"}))
        else:
            await connection.send(reply('<meta http-equiv="refresh" content="1;URL=\'/chat\'"><p>Go</p>'))
        return True

    async with serving(serve) as server:
        reply_ = await answer(f"{server.url}/", strategy="browser")
        assert (reply_.text, reply_.page) == ("Hi there", f"{server.url}/chat")


@pytest.mark.parametrize(
    "wall",
    [
        '<script>document.cookie = "seen=1"; document.location.reload(true)</script>',
        '<script src="/aes.js"></script><script>var slowAES = {decrypt: () => 1}; document.cookie = "seen=" + '
        'slowAES.decrypt(); location.href = "?i=1"</script>',
    ],
    ids=["host", "testcookie"],
)
async def test_the_cookie_of_a_check_that_names_no_path_is_for_the_message_too(
    traces: Traces, wall: str
) -> None:
    """A browser keeps it to the page's folder, and the check stands before the message endpoint as well."""
    async with serving(behind(wall, 409)) as server:
        assert (await answer(f"{server.url}/help/chat/", strategy="browser")).text == "Hi there"
        assert server.counts[1] == 1


async def test_a_check_that_nobody_passes_is_a_challenge_with_a_hint_for_who_has_a_browser(
    traces: Traces,
) -> None:
    wall = "<script>document.cookie = 'other=1; path=/'; setTimeout(() => location.reload(), 400)</script>"
    async with serving(behind(wall, 200)) as server:
        error = await failure(f"{server.url}/", strategy="browser")
    assert error.code == "challenge", error.as_dict()
    assert "--strategy" not in error.hint
