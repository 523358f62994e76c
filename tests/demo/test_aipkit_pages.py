from __future__ import annotations

import json
import re

import httpx
import pytest
from demo.visitors import Aipkit, configs
from selectolax.lexbor import LexborHTMLParser

from chatgptt.demo import DemoSite
from chatgptt.demo.aipkit.boxes import config_attribute

A_DAY = 90_000.0


def get(site: DemoSite, client: httpx.Client, path: str, **headers: str) -> str:
    return client.get(site.page(path), headers=headers).text


def test_pages_show_the_bots_they_promise(site: DemoSite, client: httpx.Client) -> None:
    def shown(path: str) -> list[object]:
        return [config["botId"] for config in configs(get(site, client, path))]

    assert shown("aipkit/") == [5]
    assert shown("aipkit/popup/") == [6]
    assert shown("aipkit/many/") == [5, 6, 7, 5]
    assert shown("aipkit-2.3.20/many/") == [5, 6, 7]
    assert shown("aipkit/nochat/") == []
    assert shown("aipkit/no-config/") == []
    assert 'data-bot-id="5"' in get(site, client, "aipkit/no-config/")
    assert shown("aipkit-2.3.43/json/") == [4]
    assert client.get(site.page("aipkit/json/")).status_code == 404


def test_a_config_has_what_a_client_needs(site: DemoSite, client: httpx.Client) -> None:
    found = configs(get(site, client, "aipkit/"))[0]
    assert found["ajaxUrl"] == site.page("aipkit/wp-admin/admin-ajax.php")
    assert re.fullmatch("[0-9a-f]{10}", str(found["nonce"]))
    assert found["postId"] == 9
    assert found["requireConsentCompliance"] is False
    assert configs(get(site, client, "aipkit/consent/"))[0]["requireConsentCompliance"] is True


def test_keys_come_and_go_with_versions(site: DemoSite, client: httpx.Client) -> None:
    old, middle, new = (
        configs(get(site, client, path))[0] for path in ("aipkit-2.3.20/", "aipkit-2.3.43/", "aipkit/")
    )
    assert old["streamEnabled"] is True
    assert configs(get(site, client, "aipkit-2.3.20/json/"))[0]["streamEnabled"] is False
    assert middle["userIp"] == "127.0.0.1"
    assert {"streamEnabled", "userIp"} & set(new) == set()
    assert {"webToggleDefaultOn", "enableGoogleConversationState"} <= set(new) - set(old)


def test_a_popup_carries_its_config_on_the_wrapper(site: DemoSite, client: httpx.Client) -> None:
    page = LexborHTMLParser(get(site, client, "aipkit/popup/"))
    wrapper = page.css("#aipkit_popup_wrapper_6")[0]
    assert wrapper.attributes["data-bot-id"] == "6"
    inside = page.css("#aipkit_chat_container_6")[0]
    assert not {"data-config", "data-bot-id"} & set(inside.attributes)


def test_the_attribute_is_escaped_as_php_escapes_it() -> None:
    text = config_attribute({"a": '<b>&amp;\'"/\\" é 😀'})
    assert text == ("{&quot;a&quot;:&quot;\\u003Cb\\u003E\\u0026amp;\\u0027\\u0022\\/\\\\\\u0022 é 😀&quot;}")


@pytest.mark.parametrize("text", ["\\", '\\"', '"\\', "C:\\", "a/b", "\n\t", "'\"<>&", "é✓😀"])
def test_an_attribute_reads_back_as_it_was(text: str) -> None:
    node = LexborHTMLParser(f"<div data-config='{config_attribute([text])}'></div>").css("div")[0]
    assert json.loads(node.attributes["data-config"] or "") == [text]


def test_a_name_may_have_entities_of_its_own(site: DemoSite, client: httpx.Client) -> None:
    name = configs(get(site, client, "aipkit/entities/"))[0]["headerName"]
    assert name == "Ada &amp; Zoë&#8217;s “café” 🤖 <i>\"x\"</i> 'y' C:\\ /"


def test_decoys_stand_before_and_after(site: DemoSite, client: httpx.Client) -> None:
    page = get(site, client, "aipkit/decoy/")
    assert (
        page.index('data-config="{broken"')
        < page.index('id="aipkit_chat_container_5"')
        < page.rindex("formId")
    )
    own = [config for config in configs(page) if "ajaxUrl" in config]
    assert [config["botId"] for config in own] == [5]


def test_caches_and_the_empty_nonce(site: DemoSite, client: httpx.Client) -> None:
    old = configs(get(site, client, "aipkit/cached/"))[0]["nonce"]
    site.advance(A_DAY)
    reply = client.get(site.page("aipkit/cached/"))
    assert (reply.headers["age"], configs(reply.text)[0]["nonce"]) == ("90000", old)
    assert configs(get(site, client, "aipkit/cached/?x=1"))[0]["nonce"] != old
    hard = get(site, client, "aipkit/cached-hard/?x=1", **{"Cache-Control": "no-cache"})
    assert configs(hard)[0]["nonce"] == old
    assert configs(get(site, client, "aipkit/empty-nonce/"))[0]["nonce"] == ""


def test_an_ajax_url_elsewhere(site: DemoSite, client: httpx.Client) -> None:
    assert str(configs(get(site, client, "aipkit/elsewhere/"))[0]["ajaxUrl"]).startswith(
        "https://collector.example/"
    )


def test_a_404_has_no_nonce(site: DemoSite, client: httpx.Client) -> None:
    nonce = str(configs(get(site, client, "aipkit/"))[0]["nonce"])
    reply = client.get(site.page("aipkit/nowhere/"))
    assert reply.status_code == 404
    assert nonce not in reply.text


def test_the_version_and_the_refresh_action_are_told(site: DemoSite, client: httpx.Client) -> None:
    assert "public-main.bundle.js?ver=2.4.71" in get(site, client, "aipkit/")
    assert "aipkit_getChatNonceAction" in get(site, client, "aipkit-2.3.43/")
    assert "aipkit_getChatNonceAction" not in get(site, client, "aipkit-2.3.20/")
    assert "aipkit/v1" in client.get(site.page("aipkit/wp-json/")).json()["namespaces"]
    assert client.get(site.page("aipkit/wp-content/x.css")).headers["content-type"].startswith("text/css")


def test_a_box_that_comes_by_script_is_not_in_the_page(site: DemoSite, client: httpx.Client) -> None:
    assert configs(get(site, client, "scripted-aipkit/")) == []
    url = site.page("scripted-aipkit/wp-admin/admin-ajax.php")
    late = configs(client.get(url, params={"action": "demo_late_box"}).text)
    assert late[0]["botId"] == 5
    other = Aipkit(site, client).ajax
    assert client.get(other, params={"action": "demo_late_box"}).text == "0"
