from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import NONCE, PAGE, page, params

from chatgptt.protocols.page import Page, maybe_nonce, read_assigned_object
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES
from chatgptt.protocols.wpaicg import find_page_nonce, find_script_nonce

CODE = params()
BASE64 = base64.b64encode(CODE.encode()).decode()


@pytest.mark.parametrize(
    ("text", "nonce"),
    [
        (NONCE, NONCE),
        ("3FA4C91B07", None),
        ("3fa4c91b0", None),
        ("3fa4c91b07a", None),
        ("3fa4c91b0g", None),
        (f"{NONCE}\n", None),
        ("0000000000", None),
        ("aaaaaaaaaa", None),
        ("1234567890", None),
        ("__litespeed_var_0__", None),
        ("", None),
        (None, None),
        (1234567890, None),
    ],
    ids=repr,
)
def test_a_nonce_is_10_hex_digits_and_no_placeholder(text: object, nonce: str | None) -> None:
    assert maybe_nonce(text) == nonce


SCRIPTS = [
    pytest.param(f"<script>{CODE}</script>", id="inline"),
    pytest.param(f"<script id=wpaicg-init-js-extra>/* <![CDATA[ */{CODE}/* ]]> */</script>", id="inline with CDATA"),
    pytest.param(f'<script type="litespeed/javascript">{CODE}</script>', id="delayed by LiteSpeed"),
    pytest.param(f'<script src="data:text/javascript;base64,{BASE64}" defer></script>', id="deferred by LiteSpeed"),
    pytest.param(f'<script type="text/rocketlazyloadscript" data-rocket-type="text/javascript">{CODE}</script>', id="delayed by WP Rocket"),
    pytest.param(f'<script type="text/rocketlazyloadscript" data-rocket-src="data:text/javascript;base64,{BASE64}"></script>', id="moved by WP Rocket"),
    pytest.param(f'<script type="pmdelayedscript">{CODE}</script>', id="delayed by Perfmatters"),
    pytest.param(f'<script data-pmdelayedscript="data:text/javascript;base64,{BASE64}"></script>', id="delayed by older Perfmatters"),
    pytest.param(f'<script type="a1b2c3-text/javascript">{CODE}</script>', id="delayed by Cloudflare"),
    pytest.param(f'<script src="data:text/javascript,{quote(CODE)}"></script>', id="url-encoded"),
    pytest.param(f'<script src="data:application/x-javascript;charset=utf-8;base64,{quote(BASE64)}"></script>', id="both"),
    pytest.param(f'<script src="data:text/javascript;base64,{BASE64.rstrip("=")}"></script>', id="base64 without padding"),
    pytest.param(f'<script src="data:text/javascript;base64,{BASE64[:40]}%0A{BASE64[40:]}"></script>', id="base64 on two lines"),
    pytest.param(f"<script>window.wpaicgParams={{search_nonce:'{NONCE}',ajax_url:'\\/x'}}</script>", id="unquoted keys"),
    pytest.param(f'<script>var a={{}},wpaicgParams = {{ "search_nonce" : "{NONCE}", }};</script>', id="a trailing comma"),
    pytest.param(f"<script>wpaicgParams = {{}}; x();wpaicgParams={{'search_nonce':'{NONCE}'}}</script>", id="assigned twice"),
    pytest.param(f"<script>if(!window.wpaicgParams){{}}</script><script>{CODE}</script>", id="named before"),
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_nonce_is_read_from_a_script_however_wrapped(script: str) -> None:
    assert find_page_nonce(Page(page(script), PAGE)) == NONCE


@pytest.mark.parametrize(
    "body",
    [
        f"<!-- <script>{CODE}</script> -->",
        f"<textarea><script>{CODE}</script></textarea>",
        f"<template><script>{CODE}</script></template>",
        f"<p>{CODE}</p>",
        f"<script>otherwpaicgParamsX = {{'search_nonce':'{NONCE}'}}</script>",
        f"<script>wpaicgParams == {{'search_nonce':'{NONCE}'}}</script>",
        '<script>var wpaicgParams = {"search_nonce":"__litespeed_var_0__"};</script>',
        '<script>var wpaicgParams = {"search_nonce":5};</script>',
        "<script>var wpaicgParams = {};</script>",
        '<script src="data:text/javascript;base64,A"></script>',
        f'<script src="data:text/javascript;base64,{BASE64[:20]}"></script>',
        f'<script src="data:image/png;base64,{BASE64}"></script>',
        "<script>" + "wpaicgParams={" * 100_000 + "</script>",
    ],
    ids=["comment", "textarea", "template", "text", "another name", "a comparison", "a placeholder", "a number", "empty",
    "broken base64", "cut base64", "an image", "many beginnings"],
)  # fmt: skip
def test_what_only_looks_like_the_script_gives_no_nonce(body: str) -> None:
    assert find_page_nonce(Page(page(body), PAGE)) is None


def test_a_script_of_its_own_gives_the_nonce() -> None:
    assert find_script_nonce(f"(function(){{}})();{CODE}") == NONCE
    assert find_script_nonce("var a = 1;") is None


def test_string_members_of_an_object_are_read() -> None:
    assert read_assigned_object('x = {"a":"1","b":2,"c":{"d":"3"}}', "x") == {"a": "1"}


ROOTS = [
    pytest.param("", "https://shop.example/", id="nothing"),
    pytest.param('<link rel="EditURI" href="https://shop.example/blog/xmlrpc.php?rsd">', "https://shop.example/blog/", id="EditURI"),
    pytest.param('<link rel="https://api.w.org/" href="https://shop.example/blog/wp-json/">', "https://shop.example/blog/", id="REST"),
    pytest.param('<script src="/blog/wp-includes/js/a.js"></script>', "https://shop.example/blog/", id="script"),
    pytest.param('<link href="/blog/wp-includes/a.css" rel=stylesheet>', "https://shop.example/blog/", id="style"),
    pytest.param(
        '<script src="/blog/wp-content/plugins/gpt3-ai-content-generator/a.js?ver=1"></script><link rel="EditURI" href="/xmlrpc.php">',
        "https://shop.example/blog/", id="the plugin first",
    ),
    pytest.param('<script src="https://cdn.example/blog/wp-includes/js/a.js"></script>', "https://shop.example/", id="another site's script"),
    pytest.param('<script src="https://[/wp-includes/js/a.js"></script>', "https://shop.example/", id="no address"),
    pytest.param('<link rel="EditURI" href="http://shop.example/blog/xmlrpc.php">', "https://shop.example/blog/", id="http on https"),
    pytest.param('<link rel="EditURI"><link rel="EditURI" href="/b/xmlrpc.php">', "https://shop.example/b/", id="no href"),
    pytest.param('<script src="/wp/wp-includes/js/a.js"></script><link rel="https://api.w.org/" href="/wp-json/">', "https://shop.example/wp/", id="core before REST"),
    pytest.param(
        '<link href="/wp-content/plugins/gpt3-ai-content-generator/a.css"><script src="/wp/wp-includes/js/a.js"></script>',
        "https://shop.example/wp/", id="core before the plugin",
    ),
    pytest.param('<link rel="https://api.w.org/" href="/wp-json/"><link rel="EditURI" href="/wp/xmlrpc.php?rsd">', "https://shop.example/wp/", id="EditURI before REST"),
    pytest.param('<link rel="https://api.w.org/" href="https://shop.example/blog/?rest_route=/">', "https://shop.example/blog/", id="REST without permalinks"),
    pytest.param('<link rel="https://api.w.org/" href="https://shop.example/blog/index.php/wp-json/">', "https://shop.example/blog/", id="REST behind index.php"),
    pytest.param('<script src="/blog/wp-content/plugins/gpt3-ai-content-generator-premium/a.js"></script>', "https://shop.example/blog/", id="the premium edition"),
    pytest.param('<script type="x" data-rocket-src="/blog/wp-includes/js/a.js"></script>', "https://shop.example/blog/", id="a moved script"),
    pytest.param('<script src="/wp-content/cache/min/1/wp-content/plugins/gpt3-ai-content-generator/a.js"></script>', "https://shop.example/", id="a cache's copy of the plugin"),
    pytest.param('<script src="/app/cache/min/1/wp/wp-includes/js/a.js"></script>', "https://shop.example/", id="a cache's copy of core"),
    pytest.param('<script src="https://cdn.shop.example/blog/wp-includes/js/a.js"></script>', "https://shop.example/", id="a CDN below the site's domain"),
    pytest.param('<script src="https://example/blog/wp-includes/js/a.js"></script>', "https://shop.example/", id="a CDN above the site's domain"),
    pytest.param('<script src="https://www.shop.example/blog/wp-includes/js/a.js"></script>', "https://shop.example/blog/", id="www"),
    pytest.param('<script src="/load.php?files=/blog/wp-includes/js/a.js"></script>', "https://shop.example/", id="a path in a query"),
]  # fmt: skip


@pytest.mark.parametrize(("in_head", "root"), ROOTS)
def test_the_sites_root_is_read_from_the_page(in_head: str, root: str) -> None:
    found = Page(page("", in_head=in_head), PAGE)
    assert found.roots[0] == root
    assert found.guessed_ajax_urls[0] == f"{root}wp-admin/admin-ajax.php"


GUESSES = [
    pytest.param("", "", ["/wp-admin/admin-ajax.php", "/help/wp-admin/admin-ajax.php"], id="the folders of the page"),
    pytest.param(
        '<link rel="https://api.w.org/" href="/de/wp-json/"><script src="/wp/wp-includes/js/a.js"></script>', "",
        ["/wp/wp-admin/admin-ajax.php", "/de/wp-admin/admin-ajax.php", "/wp-admin/admin-ajax.php"], id="the home and the origin",
    ),
    pytest.param(
        "", "<div class=wpaicg-chatbox data-url=https://shop.example/blog/x>",
        ["/wp-admin/admin-ajax.php", "/blog/wp-admin/admin-ajax.php", "/blog/x/wp-admin/admin-ajax.php"], id="the folders of the box",
    ),
    pytest.param(
        '<script src="/a/wp-includes/x.js"></script>', r'<script>var ajaxurl = "https:\/\/shop.example\/wp\/wp-admin\/admin-ajax.php?lang=de";</script>',
        ["/wp/wp-admin/admin-ajax.php?lang=de", "/a/wp-admin/admin-ajax.php", "/wp-admin/admin-ajax.php"], id="the theme's ajaxurl",
    ),
    pytest.param(
        "", r'<script>var woo = {"ajax_url":"\/wp\/wp-admin\/admin-ajax.php","x":1};</script>',
        ["/wp/wp-admin/admin-ajax.php", "/wp-admin/admin-ajax.php", "/help/wp-admin/admin-ajax.php"], id="another plugin's",
    ),
    pytest.param(
        "", '<div data-url="https://shop.example/wp/wp-admin/admin-ajax.php"></div>',
        ["/wp/wp-admin/admin-ajax.php", "/wp-admin/admin-ajax.php", "/help/wp-admin/admin-ajax.php"], id="an element's",
    ),
    pytest.param(
        "", '<script>var ajaxurl = "https://cdn.shop.example/wp-admin/admin-ajax.php"; x = location + "/wp-admin/admin-ajax.php";</script>',
        ["/wp-admin/admin-ajax.php", "/help/wp-admin/admin-ajax.php"], id="no others",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("in_head", "body", "paths"), GUESSES)
def test_an_endpoint_that_the_page_does_not_name_is_guessed(
    in_head: str, body: str, paths: list[str]
) -> None:
    found = Page(page(body, in_head=in_head), PAGE)
    guesses = tuple(f"https://shop.example{path}" for path in paths)
    assert found.ajax_guesses(None) == guesses
    assert found.ajax_url(None) == guesses[0]
    assert found.ajax_guesses("/ajax/") == ()


def test_the_home_is_told_by_rest_and_wordpress_by_its_own_files() -> None:
    head = (
        '<link rel="https://api.w.org/" href="/de/wp-json/"><script src="/wp/wp-includes/js/a.js"></script>'
    )
    found = Page(page("", in_head=head), PAGE)
    assert (found.home, found.roots[0]) == ("https://shop.example/de/", "https://shop.example/wp/")
    assert Page(page(""), PAGE).home == "https://shop.example/"


@pytest.mark.parametrize(
    ("named", "url"),
    [
        (
            "https://shop.example/wp-admin/admin-ajax.php?lang=de",
            "https://shop.example/wp-admin/admin-ajax.php?lang=de",
        ),
        ("http://shop.example/wp-admin/admin-ajax.php", "https://shop.example/wp-admin/admin-ajax.php"),
        ("/wp-admin/admin-ajax.php", "https://shop.example/wp-admin/admin-ajax.php"),
        ("https://www.shop.example/ajax", "https://www.shop.example/ajax"),
        ("//shop.example/wp-admin/admin-ajax.php", "https://shop.example/wp-admin/admin-ajax.php"),
        ("ajax.php", "https://shop.example/help/ajax.php"),
        ("https://evil.example/ajax", ""),
        ("javascript:alert(1)", "https://shop.example/wp-admin/admin-ajax.php"),
        ("", "https://shop.example/wp-admin/admin-ajax.php"),
        (None, "https://shop.example/wp-admin/admin-ajax.php"),
        (5, "https://shop.example/wp-admin/admin-ajax.php"),
    ],
    ids=repr,
)
def test_a_message_is_only_posted_to_the_pages_site(named: object, url: str) -> None:
    assert Page(page(""), PAGE).ajax_url(named) == url


def test_an_http_page_keeps_https_for_messages() -> None:
    assert (
        Page(page(""), "http://shop.example/").ajax_url("https://shop.example/a") == "https://shop.example/a"
    )


@pytest.mark.parametrize(
    ("in_head", "version"),
    [
        ('<link id="wp-ai-content-generator-css" href="/a.css?ver=1.9.18">', "1.9.18"),
        ('<script id="wp-ai-content-generator-js" src="/a.js?x=1&amp;ver=1.8.79"></script>', "1.8.79"),
        ('<script id="aipkit-public-main-js" src="/a.js?ver=2.4.71"></script>', "2.4.71"),
        ('<link id="aipkit-public-main-css" href="/a.css?ver=1700000000">', ""),
        ('<script id="aipkit-public-main-js" src="/a.js?ver=1700000000"></script>', ""),
        ('<script id="aipkit-public-main-js"></script>', ""),
        ('<script id="jquery-js" src="/a.js?ver=3.7.1"></script>', ""),
    ],
    ids=["1.x style", "1.x script", "2.x script", "2.x style", "a date", "no address", "another script"],
)
def test_the_plugins_version_is_read_from_its_assets(in_head: str, version: str) -> None:
    assert Page(page("", in_head=in_head), PAGE).plugin_version == version


def test_scripts_of_caches_are_listed() -> None:
    body = (
        '<script src="/wp-content/cache/a.js"></script><script data-rocket-src="/wp-content/litespeed/b.js?ver=1"></script>'
        '<script src="/wp-includes/js/c.js"></script><script src="/wp-content/plugins/x/d.js"></script>'
        '<script src="https://cdn.example/e.js"></script><script src="/wp-content/cache/a.js"></script><script defer></script>'
    )
    scripts = Page(page(body), PAGE).combined_scripts
    assert scripts == (
        "https://shop.example/wp-content/cache/a.js",
        "https://shop.example/wp-content/litespeed/b.js?ver=1",
    )


def test_a_title_is_folded() -> None:
    assert Page(page("", title=" A\n  b &amp; c "), PAGE).title == "A b & c"
    assert Page(b"", PAGE).title == ""


def test_the_beginning_is_64_kb_of_text() -> None:
    assert Page(b"\xff" + b"x" * 100_000, PAGE).beginning == "\ufffd" + "x" * (2**16 - 1)


def test_a_page_knows_that_it_was_cut() -> None:
    assert not Page(b"<p>", PAGE).is_cut
    assert Page(b"<p>", PAGE, is_cut=True).is_cut
    assert Page(b"<p>" + b"x" * MAX_PAGE_BYTES, PAGE).is_cut


def test_a_login_in_the_sites_own_addresses_is_left_out() -> None:
    asset = "sub/wp-content/plugins/gpt3-ai-content-generator/x.js"
    head = f'<script src="https://me:geheim@a.example/{asset}"></script>'
    found = Page(head.encode(), "https://a.example/sub/chat/")
    assert found.guessed_ajax_urls[0] == "https://a.example/sub/wp-admin/admin-ajax.php"
    named = "https://me:geheim@a.example/x/wp-admin/admin-ajax.php"
    assert found.ajax_url(named) == "https://a.example/x/wp-admin/admin-ajax.php"


def test_few_of_very_many_elements_are_read() -> None:
    assert len(Page(b"<i class=a></i>" * 10_000, PAGE).select(".a")) == 200


def test_a_large_script_in_an_address_is_passed_over() -> None:
    small, large = ("a" * size for size in (1000, 400_000))
    found = Page(
        f"<script src='data:text/javascript,{small}'></script><script src='data:text/javascript,{large}'></script>".encode(),
        PAGE,
    )
    assert "".join(found.scripts) == small


def test_a_member_is_found_behind_a_name_of_any_length() -> None:
    assert read_assigned_object(f"x = {{{'a' * 10_000}, nonce: 'b'}}", "x") == {"nonce": "b"}


@given(
    st.binary() | st.text().map(str.encode),
    st.sampled_from([PAGE, "http://[::1]:8000/", "https://a.example:8443/x/"]),
)
def test_any_bytes_are_a_page(html: bytes, url: str) -> None:
    found = Page(html, url)
    assert found.roots[0].startswith("http")
    assert isinstance(found.title, str)
    assert isinstance(found.scripts, tuple)
    assert isinstance(found.combined_scripts, tuple)
    assert isinstance(found.plugin_version, str)


@given(st.text(st.sampled_from("x={}'\":, \\/ab\n")))
def test_any_script_is_read(script: str) -> None:
    assert isinstance(read_assigned_object(f"x={{{script}", "x"), dict)
