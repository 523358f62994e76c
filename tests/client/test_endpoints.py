"""Where messages go: the endpoint that a page names, the places where one may be, and what keeps visitors from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import pytest
from asking import answer, client_of, failure
from faults import AIPKIT_PAGE, NONCE, WPAICG_PAGE, Answer, Connection, Got, reply, serving, stream_reply

from chatgptt import AsyncClient, MemoryStore, PageError, Strategy
from chatgptt._models import Tokens

pytestmark = pytest.mark.anyio

STREAM_2X = b'data: {"delta":"Hi there"}\n\nevent: done\ndata: {"finished":true}\n\n'
KEY = reply('{"success":true,"data":{"cache_key":"aipkit_sse_x"}}', kind="application/json")
NO_CACHE = {"Expires": "Wed, 11 Jan 1984 05:00:00 GMT", "X-Robots-Tag": "noindex"}
NOT_FOUND = reply("<!doctype html><title>Page not found</title>", status=404, headers=NO_CACHE)
PAGES = {"1.x": WPAICG_PAGE.format(nonce=NONCE), "2.x": AIPKIT_PAGE.format(nonce=NONCE)}
GENERATIONS = tuple(PAGES)


def is_step(got: Got) -> str:
    """Which request of a message this is, "" for none."""
    if "aipkit_frontend_chat_stream" in got.target:
        return "stream"
    return "message" if got.method == "POST" else ""


def good(got: Got) -> bytes:
    """What a site of either generation answers to each request of a message."""
    if is_step(got) == "stream":
        return stream_reply(STREAM_2X)
    return KEY if "aipkit" in got.fields["action"] else stream_reply()


def wordpress(html: str, at: str) -> Answer:
    """A site that shows this page and has its endpoint at this path alone."""

    async def site(connection: Connection, got: Got) -> bool:
        is_page = got.method == "GET" and not is_step(got)
        data = reply(html) if is_page else good(got) if got.path == at else NOT_FOUND
        await connection.send(data)
        return True

    return site


def refusing(html: str, refusal: Callable[[Got], bytes], step: str) -> Answer:
    """A site whose endpoint refuses this step of a message."""

    async def site(connection: Connection, got: Got) -> bool:
        if is_step(got):
            await connection.send(refusal(got) if is_step(got) == step else good(got))
        else:
            await connection.send(reply(html))
        return True

    return site


# Where WordPress is

CORE = '<script src="/wp/wp-includes/js/jquery.js"></script>'
LANGUAGE_S_HOME = '<link rel="https://api.w.org/" href="/de/wp-json/">'
REST = '<link rel="https://api.w.org/" href="/wp-json/">'
COPY = '<script src="/wp-content/cache/min/1/wp-content/plugins/gpt3-ai-content-generator/a.js"></script>'
FIRST_TRY = [
    pytest.param(REST + CORE, "/wp/wp-admin/admin-ajax.php", id="its own folder"),
    pytest.param(COPY + REST, "/wp-admin/admin-ajax.php", id="a cache's copies"),
    pytest.param(
        '<script>var ajaxurl = "/x/wp-admin/admin-ajax.php";</script>' + CORE,
        "/x/wp-admin/admin-ajax.php",
        id="ajaxurl",
    ),
    pytest.param(
        '<script src="/shop/wp-content/plugins/gpt3-ai-content-generator-premium/dist/js/a.js"></script>',
        "/shop/wp-admin/admin-ajax.php",
        id="the premium edition",
    ),
]
LATER_TRY = [
    pytest.param(LANGUAGE_S_HOME, "/wp-admin/admin-ajax.php", 2, id="a language's home"),
    pytest.param(
        '<script src="/wp-content/plugins/gpt3-ai-content-generator/a.js"></script><link rel="EditURI" href="/wp/xmlrpc.php?rsd">',
        "/wp/wp-admin/admin-ajax.php", 2, id="the plugin's folder moved",
    ),
    pytest.param("", "/blog/wp-admin/admin-ajax.php", 2, id="a folder of the page"),
]  # fmt: skip


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("head", "path"), FIRST_TRY)
async def test_a_message_goes_where_the_page_s_signs_say_that_wordpress_is(
    generation: str, head: str, path: str
) -> None:
    async with serving(wordpress(head + PAGES[generation], path)) as server:
        result = await answer(f"{server.url}/chat/", strategy="static")
        assert (result.text, result.attempts) == ("Hi there", 1)
        assert result.site == f"{server.url}{path.removesuffix('/wp-admin/admin-ajax.php')}"


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("head", "path", "attempts"), LATER_TRY)
async def test_a_guess_that_is_not_there_gives_way_to_the_next_one_and_is_not_made_again(
    generation: str, head: str, path: str, attempts: int, tmp_path: Path
) -> None:
    async with (
        serving(wordpress(head + PAGES[generation], path)) as server,
        client_of(f"{server.url}/blog/chat/", strategy="static", state_dir=tmp_path) as client,
    ):
        result = await client.ask("Hello")
        assert (result.text, result.attempts) == ("Hi there", attempts)
        posted = [got.path for got in server.got if got.method == "POST"]
        assert len(set(posted)) == len(posted)
        assert (await client.ask("Hello")).attempts == 1
        later = await answer(f"{server.url}/blog/chat/", strategy="static", state_dir=tmp_path)
        assert (later.attempts, later.tokens_from) == (1, "cache")


class HangingStore(MemoryStore):
    """A store that never ends writing down where an endpoint is."""

    async def put(self, site: str, key: str, tokens: Tokens, *, is_lesson: bool = True) -> None:
        if not is_lesson:
            await anyio.sleep_forever()
        await super().put(site, key, tokens, is_lesson=is_lesson)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_an_answer_comes_where_its_endpoint_cannot_be_kept(generation: str) -> None:
    page = LANGUAGE_S_HOME + PAGES[generation]
    async with serving(wordpress(page, "/wp-admin/admin-ajax.php")) as server:
        result = await answer(f"{server.url}/blog/chat/", store=HangingStore())
    assert (result.text, result.attempts) == ("Hi there", 2)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_three_places_are_tried_for_an_endpoint_and_the_error_says_that_they_were_guesses(
    generation: str,
) -> None:
    async with serving(wordpress(CORE + REST + PAGES[generation], "/nowhere/")) as server:
        error = await failure(f"{server.url}/a/b/c/", strategy="static")
        assert len({got.path for got in server.got if got.method == "POST"}) == 3
        assert server.count("POST") == 3
    assert (error.code, error.status) == ("http_error", 404)
    assert "hidden or elsewhere" in error.hint
    assert "guessed" in error.hint
    assert "check the page's address" not in error.hint


async def test_a_2x_message_that_was_handed_in_is_sent_nowhere_else() -> None:
    page = CORE + REST + PAGES["2.x"]
    async with serving(refusing(page, lambda got: NOT_FOUND, "stream")) as server:
        error = await failure(server.url, strategy="static")
        assert (error.code, error.status) == ("http_error", 404)
        assert server.count("POST") == 1


async def test_the_nonce_action_is_looked_for_where_the_endpoint_may_be() -> None:
    shell = CORE + REST + '<div class="aipkit_chat_container" data-bot-id="5"></div>'

    async def site(connection: Connection, got: Got) -> bool:
        if got.path != "/wp-admin/admin-ajax.php":
            await connection.send(NOT_FOUND if is_step(got) else reply(shell))
        elif got.fields.get("action") == "aipkit_get_frontend_chat_nonce":
            fresh = f'{{"success":true,"data":{{"nonce":"{NONCE}"}}}}'
            await connection.send(reply(fresh, kind="application/json"))
        else:
            await connection.send(good(got))
        return True

    async with serving(site) as server:
        result = await answer(server.url, strategy="static")
    assert (result.text, result.tokens_from, result.attempts) == ("Hi there", "endpoint", 1)


async def test_a_cdn_s_host_moves_no_message() -> None:
    cdn = '<script src="http://cdn.localhost:{port}/cdn/wp-includes/js/a.js"></script>'

    async def site(connection: Connection, got: Got) -> bool:
        html = cdn.format(port=server.port) + PAGES["1.x"]
        await connection.send(stream_reply() if got.is_message else reply(html))
        return True

    async with serving(site) as server:
        result = await answer(f"http://localhost:{server.port}/", strategy="static")
    assert result.site == f"http://localhost:{server.port}"


# What keeps visitors from it


def named(generation: str, url: str = "/wp-admin/admin-ajax.php") -> str:
    """A page that names its endpoint."""
    if generation == "1.x":
        return f'{PAGES["1.x"]}<script>var wpaicgParams = {{"ajax_url":{json.dumps(url)}}};</script>'
    return PAGES["2.x"].replace("{&quot;", f"{{&quot;ajaxUrl&quot;:&quot;{url}&quot;,&quot;", 1)


STEPS = [("1.x", "message"), ("2.x", "message"), ("2.x", "stream")]


def to(location: str) -> Callable[[Got], bytes]:
    return lambda got: reply("", status=302, headers={"Location": location, **NO_CACHE})


REDIRECTS = [
    ("/", "to http://127.0.0.1", "keeps visitors out of wp-admin"),
    ("/wp-login.php?redirect_to=%2Fwp-admin%2F&key=sesame", "/wp-login.php (", "keeps visitors out of wp-admin"),
    ("https://ada:sesame@login.example/in?sesame#sesame", "to https://login.example/in (", "keeps visitors out of wp-admin"),
    ("https://www.shop.example/wp-admin/admin-ajax.php", "to https://www.shop.example/wp-admin/", "as the site itself writes it"),
    ("/wp-admin/admin-ajax.php", "to itself", "check of the site's host"),
    ("", "to no address", "firewall"),
    ("http://[", "to no address", "firewall"),
]  # fmt: skip


@pytest.mark.parametrize(("generation", "step"), STEPS)
@pytest.mark.parametrize(("location", "where", "hint"), REDIRECTS)
async def test_an_endpoint_that_redirects_is_told_with_its_target(
    generation: str, step: str, location: str, where: str, hint: str
) -> None:
    async with serving(refusing(named(generation), to(location), step)) as server:
        error = await failure(server.url)
        assert server.count("POST") == 1
    assert isinstance(error, PageError)
    assert error.status == 302
    assert where in error.message
    assert hint in error.hint
    assert "sesame" not in f"{error.message} {error.hint}"


MOD_SECURITY = "<title>Not Acceptable!</title><h1>Not Acceptable!</h1><p>Generated by ModSecurity, rule 7</p>"
REFUSALS: dict[int, tuple[str, str, str]] = {
    401: ("<title>Authorization Required</title>", "HTTP 401", "password"),
    404: ("<!doctype html><title>Oops</title>", "message endpoint answered with HTTP 404: 'Oops'", "hide wp-admin"),
    405: ("<title>405 Not Allowed</title>", "HTTP 405", "takes no messages"),
    409: ("<title>Conflict</title>", "HTTP 409: 'Conflict'", "check of the site's host"),
    413: ("<title>Too large</title>", "HTTP 413", "too long"),
    415: ("blocked by imunify360 tonight", "imunify360", "security plugin"),
    418: ("<title>No</title><p>NinjaFirewall says no", "blocked the request: NinjaFirewall", "firewall"),
}  # fmt: skip


@pytest.mark.parametrize(("generation", "step"), STEPS)
@pytest.mark.parametrize("status", REFUSALS)
async def test_an_endpoint_s_refusal_is_told_as_the_endpoint_s(
    generation: str, step: str, status: int
) -> None:
    body, words, hint = REFUSALS[status]
    refusal = reply(body, status=status, headers=NO_CACHE)
    async with serving(refusing(named(generation), lambda got: refusal, step)) as server:
        error = await failure(server.url)
        assert server.count("POST") == 1
    assert error.status == status
    assert words in error.message
    assert hint in error.hint
    for wrong in ("the site itself is failing", "check the page's address", "guessed"):
        assert wrong not in error.hint


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (302, {"Location": "/wp-login.php"}, "/wp-login.php (HTTP 302)"),
        (404, {}, "HTTP 404"),
        (401, {}, "HTTP 401"),
    ],
)
async def test_the_nonce_action_s_failure_is_a_finding_about_the_endpoint(
    status: int, headers: Mapping[str, str], words: str
) -> None:
    page = named("2.x").replace(NONCE, "")
    refusal = reply("", status=status, headers=headers)
    async with serving(refusing(page, lambda got: refusal, "message")) as server:
        error = await failure(server.url, strategy="static")
    assert error.code == "tokens_missing"
    (saw,) = [finding.saw for finding in error.findings if finding.saw.startswith("the nonce action")]
    assert "the site's message endpoint" in saw
    assert words in saw


# Whose box it is

SNIPPET = (
    "<div id='aipkit-chatbot-container-27'></div><script>(function(){{var s=document.createElement('script');"
    "s.src='{there}/wp-content/plugins/gpt3-ai-content-generator-premium/dist/js/embed-bootstrap.bundle.js';"
    "{more}document.body.appendChild(s);}})();</script>"
)
EMBEDS = [
    pytest.param(SNIPPET.format(there="https://bots.example/blog", more=""), "https://bots.example/blog", id="script"),
    pytest.param(
        SNIPPET.format(there="//cdn.example/x", more="s.dataset.wpUrl='https://bots.example/wp/';"),
        "https://bots.example/wp", id="named site",
    ),
    pytest.param(
        '<div id="aipkit-chatbot-container-3"></div><script async data-bot-id="3" data-wp-url="https://bots.example" '
        'src="https://bots.example/wp-content/plugins/gpt3-ai-content-generator-premium/dist/js/embed-bootstrap.bundle.js"></script>',
        "https://bots.example", id="element",
    ),
    pytest.param(named("1.x", "https://bots.example/wp/wp-admin/admin-ajax.php?lang=de"), "https://bots.example/wp", id="1.x box"),
    pytest.param(named("2.x", "https://bots.example/wp/wp-admin/admin-ajax.php"), "https://bots.example/wp", id="2.x box"),
    pytest.param(named("2.x", "//bots.example:8443/ajax/"), "http://bots.example:8443", id="2.x box without a scheme"),
]  # fmt: skip


@pytest.mark.parametrize("strategy", ["auto", "static"])
@pytest.mark.parametrize(("html", "site"), EMBEDS)
async def test_a_box_of_another_site_is_sent_nothing_and_the_error_says_where_to_ask_it(
    html: str, site: str, strategy: Strategy
) -> None:
    async with serving(
        wordpress(f"<!doctype html><h1>Shop</h1>{html}", "/wp-admin/admin-ajax.php")
    ) as server:
        error = await failure(f"{server.url}/shop/", strategy=strategy)
        assert [got.method for got in server.got] == ["GET"]
    assert error.code == "no_chat_box"
    assert f"belongs to another site, {site};" in error.message
    assert f"a page of {site} " in error.hint
    assert any(site in finding.saw for finding in error.findings)


async def test_a_box_of_another_site_is_asked_by_a_caller_who_names_that_site() -> None:
    async with serving(wordpress("", "/there/")) as there:
        page = named("2.x", f"{there.url}/wp-admin/admin-ajax.php")
        async with serving(wordpress(page, "/wp-admin/admin-ajax.php")) as here:
            client = AsyncClient(here.url, ajax_url=f"{there.url}/there/", state_dir=None, strategy="static")
            async with client:
                assert (await client.ask("Hello")).text == "Hi there"
            assert here.count("POST") == 0
    assert there.count("POST") == 1


async def test_an_own_box_beside_one_of_another_site_is_asked() -> None:
    own = (
        named("2.x").replace("&quot;botId&quot;:5", "&quot;botId&quot;:6").replace('bot-id="5"', 'bot-id="6"')
    )
    html = named("2.x", "https://bots.example/wp-admin/admin-ajax.php") + own
    async with serving(wordpress(html, "/wp-admin/admin-ajax.php")) as server:
        assert (await answer(server.url, strategy="static")).bot_id == 6
        error = await failure(server.url, bot=5, strategy="static")
    assert error.code == "no_chat_box"
    assert any("bots.example" in finding.saw for finding in error.findings)


async def test_a_redirect_of_the_page_leads_to_the_site_that_is_asked() -> None:
    async with serving(wordpress(named("1.x"), "/wp-admin/admin-ajax.php")) as there:
        moved = reply("", status=301, headers={"Location": f"{there.url}/chat/"})

        async def moves(connection: Connection, got: Got) -> bool:
            await connection.send(moved)
            return True

        async with serving(moves) as here:
            result = await answer(here.url, strategy="static")
            assert here.count("POST") == 0
    assert (result.site, result.page) == (there.url, f"{there.url}/chat/")
