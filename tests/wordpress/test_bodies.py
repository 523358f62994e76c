"""What WordPress itself answers, as docs/protocols.md C1 and W7 have it."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from wordpress.installation import Fault, WordPress
from wordpress.visitors import only_1x

MESSAGE = "wpaicg_chat_shortcode_message"
pytestmark = only_1x


def ask(wordpress: WordPress, fields: dict[str, str], **headers: str) -> httpx.Response:
    return httpx.post(wordpress.ajax(), data=fields, headers=headers, trust_env=False)


def assert_from_wordpress(reply: httpx.Response) -> None:
    assert reply.headers["content-type"] == "text/html; charset=UTF-8"
    assert reply.headers["x-robots-tag"] == "noindex"
    assert reply.headers["expires"] == "Wed, 11 Jan 1984 05:00:00 GMT"
    assert reply.headers["cache-control"].startswith("no-cache")


@pytest.mark.parametrize("fields", [{}, {"action": ""}, {"action": "nobody_handles_this"}])
def test_an_action_that_nobody_handles_is_400_and_0(wordpress: WordPress, fields: dict[str, str]) -> None:
    reply = ask(wordpress, fields)
    assert (reply.status_code, reply.text) == (400, "0")
    assert_from_wordpress(reply)


def test_an_action_for_members_alone_is_400_and_0_for_guests(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, members_only=True))
    reply = ask(wordpress, {"action": MESSAGE})
    assert (reply.status_code, reply.text) == (400, "0")
    assert_from_wordpress(reply)


def test_a_failed_check_of_an_ajax_nonce_is_403_and_minus_1(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="refuses with -1"))
    reply = ask(wordpress, {"action": MESSAGE})
    assert (reply.status_code, reply.text) == (403, "-1")
    assert_from_wordpress(reply)


def test_a_failed_check_of_a_forms_nonce_is_403_and_a_fragment(wordpress: WordPress) -> None:
    reply = ask(wordpress, {"action": MESSAGE, "_wpnonce": "0123456789"})
    assert (reply.status_code, reply.text) == (403, "The link you followed has expired.")
    assert_from_wordpress(reply)


def test_with_a_referer_of_the_site_it_has_a_link(wordpress: WordPress) -> None:
    reply = ask(wordpress, {"action": MESSAGE, "_wpnonce": "0123456789"}, referer=wordpress.chat())
    assert reply.status_code == 403
    assert reply.text == (
        f'The link you followed has expired.</p><p><a href="{wordpress.chat()}">Please try again.</a>'
    )
    assert_from_wordpress(reply)


def nonce_of(wordpress: WordPress) -> str:
    page = httpx.get(wordpress.chat(), trust_env=False).text
    return page.partition('"search_nonce":"')[2][:10]


@pytest.mark.parametrize(
    ("breaks", "status", "words"),
    [
        ("returns without a word", 200, "0"),
        ("message dies", 500, "There has been a critical error on this website."),
    ],
)
def test_a_handler_that_returns_is_200_and_0_and_one_that_dies_500(
    wordpress: WordPress, breaks: Fault, status: int, words: str
) -> None:
    nonce = nonce_of(wordpress)
    wordpress.set(replace(wordpress.conditions, breaks=breaks))
    reply = ask(wordpress, {"action": MESSAGE, "_wpnonce": nonce, "message": "Hello"})
    assert reply.status_code == status
    assert words in reply.text
    assert_from_wordpress(reply)


def test_maintenance_is_503_with_a_notice_and_a_retry_after(wordpress: WordPress) -> None:
    wordpress.begin_maintenance()
    reply = ask(wordpress, {"action": MESSAGE})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "600")
    assert reply.text == "Briefly unavailable for scheduled maintenance. Check back in a minute."
    assert "1984" in reply.headers["expires"]
    page = httpx.get(wordpress.chat())
    assert (page.status_code, page.headers["retry-after"]) == (503, "600")
    assert '<body id="error-page">' in page.text
    assert ">Briefly unavailable for scheduled maintenance." in page.text
