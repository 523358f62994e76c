from __future__ import annotations

import base64
import json
import re
from urllib.parse import unquote

import httpx
import pytest
from demo.visitors import Wpaicg, boxes
from selectolax.lexbor import LexborHTMLParser

from chatgptt.demo import DemoSite

VERSIONS = ("wpaicg", "wpaicg-1.8.79", "wpaicg-1.8.90", "wpaicg-1.8.98")
A_DAY = 90_000.0


def get(site: DemoSite, client: httpx.Client, path: str, **headers: str) -> str:
    return client.get(site.page(path), headers=headers).text


@pytest.mark.parametrize(
    ("version", "shortcode", "widget"),
    [("wpaicg-1.8.79", 46, 45), ("wpaicg-1.8.90", 58, 57), ("wpaicg-1.8.98", 54, 53), ("wpaicg", 55, 53)],
)
def test_a_box_has_the_attributes_of_its_version(
    site: DemoSite, client: httpx.Client, version: str, shortcode: int, widget: int
) -> None:
    found = boxes(get(site, client, f"{version}/json-and-widget/"))
    assert [len(box) - 1 for box in found] == [shortcode, widget]  # one is the class


def test_attributes_appear_and_vanish_with_versions(site: DemoSite, client: httpx.Client) -> None:
    names = {version: boxes(get(site, client, f"{version}/"))[0] for version in VERSIONS}
    assert "data-memory-limit" not in names["wpaicg-1.8.79"]
    assert "data-ai-name" in names["wpaicg-1.8.90"]
    assert "data-assistant-enabled" in names["wpaicg-1.8.98"]
    assert "data-ai-name" not in names["wpaicg-1.8.98"]
    assert "data-sidebar-enabled" in names["wpaicg"]


def test_spaces_stand_around_the_equals_sign_of_some(site: DemoSite, client: httpx.Client) -> None:
    page = get(site, client, "wpaicg/")
    assert 'data-memory-limit = "100"' in page
    assert 'data-openai_stream_nav="1"' in page


def test_the_latest_widget_has_a_stray_sign_in_its_post_id(site: DemoSite, client: httpx.Client) -> None:
    assert re.search(r'data-post-id="<\d+"', get(site, client, "wpaicg/widget/"))
    assert re.search(r'data-post-id="\d+"', get(site, client, "wpaicg-1.8.98/widget/"))


def test_pages_show_the_boxes_they_promise(site: DemoSite, client: httpx.Client) -> None:
    def shown(slug: str) -> list[tuple[str, str, str]]:
        return [
            (box["data-type"], box["data-bot-id"], box["data-openai_stream_nav"])
            for box in boxes(get(site, client, f"wpaicg/{slug}"))
        ]

    assert shown("") == [("shortcode", "0", "1")]
    assert shown("json/") == [("shortcode", "4", "0")]
    assert shown("widget/") == [("widget", "0", "1")]
    assert shown("many/") == [
        ("shortcode", "4", "0"),
        ("shortcode", "5", "1"),
        ("shortcode", "0", "1"),
        ("widget", "0", "1"),
    ]
    assert shown("nochat/") == []
    assert shown("google/") == [("shortcode", "10", "1")]
    assert shown("widget-streams/") == [("widget", "11", "0")]


def test_every_page_of_a_site_has_the_nonce_in_its_script(site: DemoSite, client: httpx.Client) -> None:
    nonce = boxes(get(site, client, "wpaicg/"))[0]["data-nonce"]
    missing = client.get(site.page("wpaicg/nowhere/at/all/"))
    assert missing.status_code == 404
    for page in (missing.text, get(site, client, "wpaicg/nochat/")):
        params = json.loads(re.findall(r"var wpaicgParams = (\{.*\});", page)[0])
        assert params["search_nonce"] == nonce
        assert params["ajax_url"] == site.page("wpaicg/wp-admin/admin-ajax.php")
        assert params["logged_in"] == "0"


def test_the_decoys_are_no_boxes_of_the_page(site: DemoSite, client: httpx.Client) -> None:
    page = get(site, client, "wpaicg/decoy/")
    nonce = Wpaicg(site, client).box()["data-nonce"]
    assert len(set(re.findall(r'data-nonce="(\w{10})"', page))) == 9
    in_sight = [
        box for box in boxes(page) if box["data-bot-id"] not in ("96", "94")
    ]  # <noscript>, <template>
    assert [box["data-nonce"] for box in in_sight] == [nonce]
    assert 'data-postid="996"' in page


def test_an_unclosed_box_swallows_the_next(site: DemoSite, client: httpx.Client) -> None:
    page = get(site, client, "wpaicg/unclosed/")
    assert page.count("<div") - page.count("</div>") == 2
    outer = LexborHTMLParser(page).css("div.wpaicg-chat-shortcode[data-nonce]")[0]
    assert [node.attributes["data-bot-id"] for node in outer.css("[data-bot-id]")] == ["4", "5", "0"]
    assert get(site, client, "wpaicg/many/").count("<div") == get(site, client, "wpaicg/many/").count(
        "</div>"
    )


def test_a_minified_page_says_the_same(site: DemoSite, client: httpx.Client) -> None:
    page = get(site, client, "wpaicg/minified/")
    shortcode, widget = boxes(page)
    assert f"data-nonce={shortcode['data-nonce']} " in page
    assert list(shortcode)[:4] != list(boxes(get(site, client, "wpaicg/"))[0])[:4]
    plain = boxes(get(site, client, "wpaicg/custom/"))[0]
    changed = {"data-post-id", "data-url"}
    assert {k: v for k, v in shortcode.items() if k not in changed} == {
        k: v for k, v in plain.items() if k not in changed
    }
    assert widget["data-post-id"].startswith("<")


def test_a_soft_cache_is_bypassed_and_a_hard_one_is_not(site: DemoSite, client: httpx.Client) -> None:
    old = boxes(get(site, client, "wpaicg/cached/"))[0]["data-nonce"]
    site.advance(A_DAY)
    fresh = Wpaicg(site, client).box()["data-nonce"]
    assert fresh != old
    reply = client.get(site.page("wpaicg/cached/"))
    assert (reply.headers["age"], boxes(reply.text)[0]["data-nonce"]) == ("90000", old)
    assert boxes(get(site, client, "wpaicg/cached/?x=1"))[0]["data-nonce"] == fresh
    assert (
        boxes(get(site, client, "wpaicg/cached/", **{"Cache-Control": "no-cache"}))[0]["data-nonce"] == fresh
    )
    assert boxes(get(site, client, "wpaicg/cached/"))[0]["data-nonce"] == old
    hard = get(site, client, "wpaicg/cached-hard/?x=1", **{"Cache-Control": "no-cache"})
    assert boxes(hard)[0]["data-nonce"] == old
    assert fresh not in hard
    assert fresh in get(site, client, "wpaicg/nowhere/")


def test_boxes_without_a_good_nonce_of_their_own(site: DemoSite, client: httpx.Client) -> None:
    fresh = Wpaicg(site, client).box()["data-nonce"]
    for slug, own in (("empty-nonce", ""), ("placeholder", "0000000000"), ("no-nonce", None)):
        page = get(site, client, f"wpaicg/{slug}/")
        assert boxes(page)[0].get("data-nonce") == own
        assert (fresh in page) == (slug != "no-nonce")


def test_optimisers_wrap_the_script_and_keep_its_content(site: DemoSite, client: httpx.Client) -> None:
    fresh = Wpaicg(site, client).box()["data-nonce"]

    def script(slug: str, selector: str, name: str = "") -> str:
        page = LexborHTMLParser(get(site, client, f"wpaicg/wrapped-{slug}/"))
        assert "data-nonce" not in boxes(page.html or "")[0]
        node = page.css(selector)[0]
        return (node.attributes[name] or "") if name else node.text()

    def decoded(uri: str) -> str:
        head, _, data = uri.partition(",")
        return base64.b64decode(data).decode() if head.endswith(";base64") else unquote(data)

    for text in (
        decoded(script("datauri", "script[src^='data:']", "src")),
        script("type", "script[type=rocketlazyloadscript]"),
        decoded(script("litespeed", "script[type='litespeed/javascript']", "data-src")),
        decoded(script("delayed", "script[type=pmdelayedscript]", "data-pmsrc")),
        client.get(script("combined", "script[src$='combined.js']", "src")).text,
    ):
        assert f'"search_nonce":"{fresh}"' in text
        assert "var wpaicgParams = {" in text
    assert f'search_nonce:"{fresh}"' in get(site, client, "wpaicg/wrapped-minified/")
    assert "var wpaicgParams" not in get(site, client, "wpaicg/wrapped-minified/")


def test_a_site_without_nonces_has_none_anywhere(site: DemoSite, client: httpx.Client) -> None:
    for path in ("never/", "never/json/", "never/widget/", "never/nowhere/", "never/?x=1"):
        page = get(site, client, path)
        assert "search_nonce" not in page
        assert all(box["data-nonce"] == "" for box in boxes(page))
    assert Wpaicg(site, client, "never/").send("Hello").status_code == 403


def test_a_scripted_site_gives_its_nonce_to_scripts_only(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "scripted/")
    assert visitor.send("Hello").status_code == 403
    assert "0123456789" in get(site, client, "scripted/flicker/")
    assert "2000" in get(site, client, "scripted/late/")
    given = client.get(visitor.ajax, params={"action": "demo_late_nonce"}).json()["data"]["nonce"]
    assert given not in get(site, client, "scripted/")
    assert visitor.send("Hello", _wpnonce=given).status_code == 200
    other = Wpaicg(site, client).ajax
    assert client.get(other, params={"action": "demo_late_nonce"}).text == "0"


def test_an_ajax_url_elsewhere_is_in_the_script_only(site: DemoSite, client: httpx.Client) -> None:
    assert '"ajax_url":"https:\\/\\/collector.example\\/' in get(site, client, "wpaicg/elsewhere/")
    assert Wpaicg(site, client, "wpaicg/elsewhere/").text("Hello").endswith("Hello")


def test_a_page_may_be_no_utf8(site: DemoSite, client: httpx.Client) -> None:
    reply = client.get(site.page("latin1/"))
    assert reply.headers["content-type"] == "text/html; charset=UTF-8"
    with pytest.raises(UnicodeDecodeError):
        reply.content.decode()
    assert "Café" in reply.content.decode("latin-1")
    assert Wpaicg(site, client, "latin1/").text("Hello").endswith("Hello")


def test_assistants_exist_where_the_version_has_them(site: DemoSite, client: httpx.Client) -> None:
    assert boxes(get(site, client, "wpaicg-1.8.98/assistant/"))[0]["data-assistant-enabled"] == "true"
    assert client.get(site.page("wpaicg-1.8.90/assistant/")).status_code == 404


def test_files_and_the_rest_api(site: DemoSite, client: httpx.Client) -> None:
    for url in re.findall(r"(?:src|href)='([^']+\.(?:js|css)[^']*)'", get(site, client, "wpaicg/")):
        assert client.get(url).status_code == 200
    assert client.get(site.page("wpaicg/wp-json/")).json()["namespaces"] == ["oembed/1.0", "wp/v2"]
    assert client.get(site.page("wpaicg/wp-json/aipkit/v1/x")).json()["code"] == "rest_no_route"
