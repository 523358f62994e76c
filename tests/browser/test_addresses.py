"""Behind an HTTP proxy what an address says by itself is refused in the browser, as everywhere."""

from __future__ import annotations

import pytest
from asking import client_of, failure
from browser.processes import Traces
from faults import NONCE, Connection, Got, always, reply, serving, stream_reply

from chatgptt import ChatGpttError

pytestmark = pytest.mark.anyio

INWARD = (
    "http://127.0.0.1/a",
    "http://localhost/b",
    "http://2130706433/c",
    "http://0x7f.1/d",
    "http://[::1]/e",
    "http://[::ffff:10.0.0.1]/f",
    "http://10.0.0.1/g",
    "http://169.254.169.254/latest/meta-data/",
    "http://printer.local/h",
)
PAGE = """<!doctype html><title>A</title><script>
const inward = %s;
for (const url of inward) {
    fetch(url, {mode: "no-cors"}).catch(() => 0);
    const frame = document.createElement("iframe");
    frame.src = url;
    const script = document.createElement("script");
    script.src = url + ".js";
    document.documentElement.append(frame, script);
}
fetch("/hop", {mode: "no-cors"}).catch(() => 0);
setTimeout(() => {
    const box = document.createElement("div");
    box.className = "wpaicg-chat-shortcode";
    for (const [name, value] of Object.entries({nonce: "%s", "post-id": "7", "bot-id": "0", type: "shortcode"}))
        box.setAttribute("data-" + name, value);
    document.body.append(box);
}, 300);
</script><link href="/wp-content/a.css"><body>"""


def target_of(got: Got) -> str:
    return f"{got.method} {got.target.partition('?')[0]}"


async def test_a_page_does_not_get_inward_through_an_http_proxy(traces: Traces) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        if got.is_message:
            await connection.send(stream_reply())
        elif got.path == "/hop":
            await connection.send(reply("", status=302, headers={"Location": "http://127.0.0.1/hopped"}))
        else:
            await connection.send(reply(PAGE % (list(INWARD), NONCE)))
        return True

    async with serving(answer) as proxy:
        async with client_of("http://shop.example/", strategy="browser", proxy=proxy.url) as client:
            reply_ = await client.ask("Hello")
        assert (reply_.text, reply_.tokens_from) == ("Hi there", "browser")
        assert "GET http://shop.example/hop" in map(target_of, proxy.got)
        hosts = {got.target.partition("//")[2].partition("/")[0] for got in proxy.got}
        assert hosts == {"shop.example"}


async def test_a_page_that_redirects_inward_through_an_http_proxy_is_an_error(traces: Traces) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(reply("", status=302, headers={"Location": "http://127.0.0.1/"}))
        return True

    async with serving(answer) as proxy:
        async with client_of("http://shop.example/", strategy="browser", proxy=proxy.url) as client:
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("Hello")
        assert {got.target for got in proxy.got} == {"http://shop.example/"}
    assert caught.value.code == "http_error"
    assert "further inside this network" in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        "<meta http-equiv=refresh content='0; url=http://127.0.0.1/inner'>",
        "<script>location.href = 'http://127.0.0.1/inner'</script>",
    ],
)
async def test_a_page_that_goes_on_inward_through_an_http_proxy_gets_nowhere(
    traces: Traces, body: str
) -> None:
    async with serving(always(reply(f"<!doctype html>{body}"))) as proxy:
        error = await failure("http://shop.example/", strategy="browser", proxy=proxy.url)
        assert not [got.target for got in proxy.got if "127.0.0.1" in got.target]
    assert error.code == "no_chat_box"
