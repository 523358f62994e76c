"""`ChatGptt` as code written for gpt4free's async-generator providers uses it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from typing import ClassVar

import pytest
from asking import ECHO
from faults import NONCE, WPAICG_PAGE, Connection, Got, reply, serving, stream_reply
from proxies import http_proxy

from chatgptt import ChatGptt, ChatGpttError, InvalidInputError
from chatgptt.demo import DemoSite

USER: list[dict[str, object]] = [{"role": "user", "content": "Hello"}]


def test_its_attributes_are_those_of_a_provider() -> None:
    assert ChatGptt.url == "https://chatgptt.me"
    assert ChatGptt.api_endpoint == "https://chatgptt.me/wp-admin/admin-ajax.php"
    assert isinstance(ChatGptt.working, bool)
    assert ChatGptt.supports_stream is True
    assert ChatGptt.supports_system_message is True
    assert ChatGptt.supports_message_history is True
    assert ChatGptt.default_model == "gpt-4o"
    assert ChatGptt.models == ["gpt-4", "gpt-4o", "gpt-4o-mini"]


def test_get_model_gives_the_default_for_none_and_lists_the_models_for_an_unknown_one() -> None:
    assert ChatGptt.get_model("") == ChatGptt.get_model(None) == ChatGptt.get_model() == "gpt-4o"
    assert ChatGptt.get_model("gpt-4") == "gpt-4"
    with pytest.raises(ValueError, match="unknown model 'gpt-9'; the models are: gpt-4, gpt-4o, gpt-4o-mini"):
        ChatGptt.get_model("gpt-9")


def test_get_model_takes_auto_and_a_subclass_s_aliases() -> None:
    class Aliased(ChatGptt):
        model_aliases: ClassVar[dict[str, str]] = {"four": "gpt-4"}

    assert Aliased.get_model("auto", provider="x") == "gpt-4o"
    assert Aliased.get_model("four") == "gpt-4"


def test_it_has_the_names_that_gpt4free_looks_up() -> None:
    assert ChatGptt.get_dict() == {"name": "ChatGptt", "url": "https://chatgptt.me", "label": "ChatGptt"}
    assert at("https://site.example").get_dict()["name"] == at("https://site.example").get_parent() == "There"
    assert ChatGptt.get_models(api_key="x", timeout=5) == ChatGptt.models
    assert (ChatGptt.live, ChatGptt.use_stream_timeout, ChatGptt.model_aliases) == (0, True, {})
    assert [*ChatGptt.image_models, *ChatGptt.vision_models, *ChatGptt.video_models] == []


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["claude-9", "", None])
async def test_any_model_is_asked_for_since_the_site_chooses_it(model: str | None, demo: DemoSite) -> None:
    assert await drain(at(demo.page("wpaicg/")).create_async_generator(model, USER)) == f"{ECHO}Hello"


def at(page: str) -> type[ChatGptt]:
    class There(ChatGptt):
        url = page

    return There


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "wpaicg/json/", "aipkit/"])
async def test_pieces_stream_from_a_subclass_s_url_and_from_a_site_in_the_call(
    demo: DemoSite, path: str
) -> None:
    generators: tuple[AsyncGenerator[str, None], ...] = (
        at(demo.page(path)).create_async_generator("gpt-4o", USER),
        ChatGptt.create_async_generator(
            model="", messages=USER, proxy=None, site=demo.page(path), stream=True, api_key="x"
        ),
    )
    for generator in generators:
        assert inspect.isasyncgenfunction(ChatGptt.create_async_generator)
        assert await drain(generator) == f"{ECHO}Hello"


@pytest.mark.anyio
async def test_messages_become_one_prompt_as_gpt4free_makes_it(demo: DemoSite) -> None:
    table: dict[str, list[dict[str, object]]] = {
        "Hello": USER,
        "System: Be brief.\nUser: Hello\nAssistant:": [{"role": "system", "content": "Be brief."}, *USER],
        "User: a\nAssistant: b\nUser: Hello\nAssistant:": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            *USER,
        ],
        "User: a\nTool: sum: 4\nUser: Hello\nAssistant:": [
            {"role": "user", "content": ["a"]},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "name": "sum", "content": "4"},
            *USER,
        ],
    }
    for prompt, messages in table.items():
        for path in ("wpaicg/", "aipkit/"):
            demo.clear()
            await drain(at(demo.page(path)).create_async_generator("gpt-4o", messages))
            (seen,) = demo.messages
            assert seen.message == prompt
            assert seen.fields.get("wpaicg_chat_history", "[]") == "[]"


@pytest.mark.anyio
async def test_its_default_headers_are_a_browser_s(demo: DemoSite) -> None:
    await drain(at(demo.page("wpaicg/")).create_async_generator("gpt-4o", USER))
    headers = demo.messages[0].headers
    assert headers["accept"] == "application/json"
    assert headers["origin"] == demo.url
    assert headers["referer"] == demo.page("wpaicg/")
    assert "Chrome/" in headers["user-agent"]


@pytest.mark.anyio
async def test_no_tokens_is_a_runtime_error(demo: DemoSite) -> None:
    with pytest.raises(RuntimeError, match=r"^Required authentication tokens not found in page HTML"):
        await drain(at(demo.page("never/")).create_async_generator("gpt-4o", USER, strategy="static"))


@pytest.mark.anyio
async def test_bad_input_is_an_error_at_the_first_piece_and_reaches_nobody(demo: DemoSite) -> None:
    there = at(demo.page("wpaicg/"))
    no_user: list[dict[str, object]] = [{"role": "system", "content": "x"}]
    for messages in ([], no_user):
        with pytest.raises(InvalidInputError):
            await drain(there.create_async_generator("gpt-4o", messages))
    with pytest.raises(InvalidInputError, match=r"^media\[0\] cannot be sent"):
        await drain(there.create_async_generator("gpt-4o", USER, media=[(b"x", "x.png")]))
    with pytest.raises(ChatGpttError):
        await drain(there.create_async_generator("gpt-4o", "QUOTA"))
    assert len(demo.requests) == 2


@pytest.mark.anyio
async def test_the_proxy_and_the_headers_are_used_on_every_hop(demo: DemoSite) -> None:
    async with http_proxy() as proxy:
        await drain(
            at(demo.page("wpaicg/")).create_async_generator(
                "gpt-4o", USER, proxy=proxy.url, headers={"X-Own": "1"}
            )
        )
        assert len(proxy.targets) == len(demo.requests) == 2
    assert {seen.headers["x-own"] for seen in demo.requests} == {"1"}


@pytest.mark.anyio
async def test_leaving_it_early_closes_the_connection() -> None:
    async def site(connection: Connection, got: Got) -> None:
        if got.is_message:
            await connection.send(
                stream_reply().split(b"\n\n")[0].replace(b"Content-Length: ", b"X: ") + b"\n\n" * 3
            )
            await connection.until_closed()
        else:
            await connection.send(reply(WPAICG_PAGE.format(nonce=NONCE)))

    async with serving(site) as server:
        generator = at(server.url).create_async_generator("gpt-4o", USER, timeout=20)
        async for piece in generator:
            assert piece == "Hi "
            break
        await generator.aclose()
        await server.until_all_closed()


@pytest.mark.anyio
async def test_a_subclass_s_own_endpoint_is_posted_to(demo: DemoSite) -> None:
    class There(ChatGptt):
        url = demo.page("wpaicg/")
        api_endpoint = demo.page("wpaicg-1.8.98/wp-admin/admin-ajax.php")

    with pytest.raises(ChatGpttError) as caught:  # the nonce of one site is none of another's
        await drain(There.create_async_generator("gpt-4o", USER, strategy="static"))
    assert caught.value.code == "token_rejected"
    assert {seen.path for seen in demo.requests if seen.method == "POST"} == {
        "/wpaicg-1.8.98/wp-admin/admin-ajax.php"
    }


async def drain(pieces: AsyncGenerator[str, None]) -> str:
    return "".join([piece async for piece in pieces])
