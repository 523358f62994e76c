"""A box that belongs to another site than the page's: nothing is sent there, and the error says where to ask it."""

from __future__ import annotations

import html
import json

import pytest
from asking import answer, client_of, failure
from browser.processes import Traces
from faults import NONCE, WPAICG_PAGE, Answer, Connection, Got, reply, serving, stream_reply

pytestmark = pytest.mark.anyio

OTHER = "http://localhost:{port}"
BOX = WPAICG_PAGE.format(nonce=NONCE).partition("</title>")[2]
MAKE = "document.body.insertAdjacentHTML('beforeend', `{markup}`);"
ROUTE = "/wp-json/aipkit/v1/chatbots/27/embed-config"


def config(port: int) -> str:
    ajax = f"{OTHER.format(port=port)}/wp-admin/admin-ajax.php"
    return json.dumps({"botId": 27, "ajaxUrl": ajax, "nonce": NONCE, "postId": 0, "text": {}})


def aipkit_box(port: int) -> str:
    return f"<div class='aipkit_chat_container' data-bot-id='27' data-config='{html.escape(config(port))}'></div>"


def later(script: str) -> str:
    return f"<body><script>setTimeout(() => {{ {script} }}, 50)</script>"


def framed(port: int) -> str:
    return f"<iframe src='{OTHER.format(port=port)}/chat/'></iframe>"


def pages(port: int) -> dict[str, str]:
    other = OTHER.format(port=port)
    params = f'wpaicgParams = {{ajax_url: "{other}/wp-admin/admin-ajax.php", search_nonce: "{NONCE}"}};'
    return {
        "a frame": framed(port),
        "a frame by script": later(MAKE.format(markup=framed(port))),
        "a frame in a frame": "<iframe src='/inner/'></iframe>",
        "a frame in a shadow root": "<p id=host></p><script>document.getElementById('host')"
        f".attachShadow({{mode: 'closed'}}).innerHTML = `{framed(port)}`;</script>",
        "an embed by script": later(MAKE.format(markup=aipkit_box(port))),
        "a 1.x embed by script": later(MAKE.format(markup=BOX) + params),
        "a fetched embed that stays with the script": later(
            f"fetch('{other}{ROUTE}').then(reply => reply.json()).then(bot => {{ let kept = bot; }});"
        ),
    }


def site(what: str) -> Answer:
    """The page's own site, 127.0.0.1, and the box's, localhost; both take messages."""

    async def serve(connection: Connection, got: Got) -> bool:
        port = int(got.headers["host"].partition(":")[2])
        is_other = got.headers["host"].startswith("localhost")
        if got.is_message:
            await connection.send(stream_reply())
        elif got.path == ROUTE:
            cors = {"Access-Control-Allow-Origin": "*"}
            body = f'{{"config": {config(port)}, "html": "<p>"}}'
            await connection.send(reply(body, kind="application/json", headers=cors))
        elif is_other:
            await connection.send(reply(f"<!doctype html><title>Other</title>{BOX}"))
        elif got.path == "/inner/":
            await connection.send(reply(f"<!doctype html>{framed(port)}"))
        else:
            await connection.send(reply(f"<!doctype html><title>A</title>{pages(port)[what]}"))
        return True

    return serve


@pytest.mark.parametrize("what", pages(0))
async def test_nothing_is_sent_for_a_box_of_another_site(traces: Traces, what: str) -> None:
    async with serving(site(what)) as server:
        error = await failure(f"{server.url}/", strategy="browser")
        assert error.code == "no_chat_box"
        assert server.counts[1] == 0
        place = OTHER.format(port=server.port) + ("/chat/" if "a frame" in what else "")
        assert place in error.message
        assert place in error.hint
        assert any(place in finding.saw for finding in error.findings)


async def test_what_the_static_rungs_saw_gives_way_to_what_the_frame_showed(traces: Traces) -> None:
    async with serving(site("a frame")) as server:
        error = await failure(f"{server.url}/")
        assert error.code == "no_chat_box"
        assert f"{OTHER.format(port=server.port)}/chat/" in error.message
        assert {finding.rung for finding in error.findings} == {"html", "browser"}
        assert server.counts[1] == 0


async def test_a_box_in_a_frame_is_asked_by_who_names_its_page(traces: Traces) -> None:
    async with serving(site("a frame")) as server:
        page = f"{OTHER.format(port=server.port)}/chat/"
        reply_ = await answer(page, strategy="browser")
        assert (reply_.text, reply_.page) == ("Hi there", page)
        (message,) = (got for got in server.got if got.is_message)
        assert message.headers["host"] == f"localhost:{server.port}"


async def test_an_own_box_beside_one_of_another_site_is_asked(traces: Traces) -> None:
    def both(port: int) -> str:
        return (
            f"<!doctype html><title>A</title>{framed(port)}{aipkit_box(port)}{later(MAKE.format(markup=BOX))}"
        )

    async def serve(connection: Connection, got: Got) -> bool:
        port = int(got.headers["host"].partition(":")[2])
        is_page = got.headers["host"].startswith("127.") and not got.is_message
        if is_page:
            await connection.send(reply(both(port)))
            return True
        return bool(await site("a frame")(connection, got))

    async with serving(serve) as server:
        reply_ = await answer(f"{server.url}/", strategy="browser")
        assert (reply_.protocol, reply_.page) == ("wpaicg", f"{server.url}/")
        (message,) = (got for got in server.got if got.is_message)
        assert message.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("frame", ["<iframe src='/chat/'>", '<iframe srcdoc="{box}">'])
async def test_a_frame_of_the_pages_own_site_is_asked(traces: Traces, frame: str) -> None:
    async def serve(connection: Connection, got: Got) -> bool:
        if got.is_message:
            await connection.send(stream_reply())
        elif got.path == "/chat/":
            await connection.send(reply(BOX))
        else:
            await connection.send(reply(f"<!doctype html>{frame.format(box=html.escape(BOX))}"))
        return True

    async with serving(serve) as server:
        reply_ = await answer(f"{server.url}/shop/", strategy="browser")
        assert reply_.page == f"{server.url}/{'chat' if 'src=' in frame else 'shop'}/"


@pytest.mark.parametrize("how", ["redirect", "refresh", "script"])
async def test_a_page_that_leads_to_another_site_is_followed_and_the_reply_says_where(
    traces: Traces, how: str
) -> None:
    async def serve(connection: Connection, got: Got) -> bool:
        there = f"{OTHER.format(port=got.headers['host'].partition(':')[2])}/chat/"
        if got.is_message or got.headers["host"].startswith("localhost"):
            return bool(await site("a frame")(connection, got))
        if how == "redirect":
            await connection.send(reply("", status=302, headers={"Location": there}))
        elif how == "refresh":
            await connection.send(reply(f"<meta http-equiv='refresh' content='0; url={there}'>"))
        else:
            await connection.send(reply(f"<script>location.href = '{there}'</script>"))
        return True

    async with serving(serve) as server:
        reply_ = await answer(f"{server.url}/", strategy="browser")
        assert reply_.page == f"{OTHER.format(port=server.port)}/chat/"
        assert reply_.site == OTHER.format(port=server.port)


async def test_another_sites_box_is_none_of_the_pages_boxes(traces: Traces) -> None:
    async with serving(site("a frame")) as server, client_of(f"{server.url}/", strategy="browser") as client:
        report = await client.health_check("tokens")
        assert report.code == "no_chat_box"
        assert server.counts[1] == 0
