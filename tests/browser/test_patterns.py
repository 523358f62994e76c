"""Every way in which a page's tokens come by script ends as it should, in a real Chromium."""

from __future__ import annotations

import re

import pytest
from browser.acquiring import Acquiring

from chatgptt import ChallengeError, ChatBoxNotFoundError, RefusedError, TokensNotFoundError
from chatgptt.demo import DemoSite
from chatgptt.demo.scripted import PLACEHOLDER

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "path",
    [
        "browser/fetched/",
        "browser/late/",
        "browser/delayed/",
        "browser/frame/",
        "browser/shadow-open/",
        "browser/shadow-closed/",
        "browser/injected/",
        "browser/global/",
        "browser/reply/",
        "browser/request/",
        "browser/popup/",
        "browser/busy/",
        "browser/error/",
        "browser/heavy/",
        "browser/pushy/",
        "browser-2x/embed/",
        "scripted/",
        "scripted/flicker/",
        "scripted-aipkit/",
    ],
)
async def test_tokens_come_from_the_browser(acquiring: Acquiring, demo: DemoSite, path: str) -> None:
    acquired = await acquiring.acquire(demo.page(path))
    tokens = acquired.tokens
    assert tokens.rung == "browser"
    assert tokens.box.found_by == "browser"
    assert tokens.box.ajax_url == demo.page(f"{path.partition('/')[0]}/wp-admin/admin-ajax.php")
    assert re.fullmatch("[0-9a-f]{10}", tokens.nonce)
    home = demo.page(path.partition("/")[0])
    genuine = await acquiring.acquire(f"{home}/fetched/") if path.startswith("browser/") else acquired
    assert tokens.nonce == genuine.tokens.nonce


async def test_a_frame_of_another_host_gives_no_tokens(acquiring: Acquiring, demo: DemoSite) -> None:
    with pytest.raises(ChatBoxNotFoundError) as caught:
        await acquiring.acquire(demo.page("browser/frame-elsewhere/"))
    assert demo.page("browser/fetched/").replace("127.0.0.1", "localhost") in caught.value.message


async def test_a_rejected_placeholder_is_waited_out(acquiring: Acquiring, demo: DemoSite) -> None:
    first = await acquiring.acquire(demo.page("browser/placeholder/"))
    assert (first.tokens.rung, first.tokens.nonce) == ("html", PLACEHOLDER)
    rejected = frozenset({PLACEHOLDER})
    second = await acquiring.acquire(demo.page("browser/placeholder/"), rejected=rejected)
    assert (second.tokens.rung, second.tokens.nonce) == ("html", PLACEHOLDER)  # tried once more
    second = await acquiring.acquire(
        demo.page("browser/placeholder/"), rejected=rejected, is_last_resort=True
    )
    assert second.tokens.rung == "browser"
    assert second.tokens.nonce != PLACEHOLDER


async def test_a_nonce_that_stays_rejected_is_handed_on_for_want_of_another(
    acquiring: Acquiring, demo: DemoSite
) -> None:
    good = (await acquiring.acquire(demo.page("browser/fetched/"))).tokens.nonce
    again = await acquiring.acquire(demo.page("browser/fetched/"), rejected=frozenset({good}))
    assert again.tokens.nonce == good
    assert "known not to do" in again.findings[-1].saw


async def test_static_pages_start_no_browser(acquiring: Acquiring, demo: DemoSite) -> None:
    acquired = await acquiring.acquire(demo.page("wpaicg/"))
    assert acquired.tokens.rung == "html"
    assert acquiring.browser.is_running is False


async def test_strategy_browser_reads_a_static_page_too(acquiring: Acquiring, demo: DemoSite) -> None:
    static = await acquiring.acquire(demo.page("wpaicg/"))
    run = await acquiring.acquire(demo.page("wpaicg/"), strategy="browser")
    assert run.tokens.rung == "browser"
    assert run.tokens.nonce == static.tokens.nonce
    assert run.requests == 1


async def test_a_page_without_a_box(acquiring: Acquiring, demo: DemoSite) -> None:
    with pytest.raises(ChatBoxNotFoundError) as caught:
        await acquiring.acquire(demo.page("browser/nochat/"))
    assert [finding.rung for finding in caught.value.findings] == ["html", "browser"]
    with pytest.raises(ChatBoxNotFoundError):
        await acquiring.acquire(demo.page("browser/nochat/"), strategy="browser")


async def test_a_box_that_never_gets_its_nonce(acquiring: Acquiring, demo: DemoSite) -> None:
    with pytest.raises(TokensNotFoundError) as caught:
        await acquiring.acquire(demo.page("browser/never/"), strategy="browser")
    assert "1 chat box, none with a usable nonce" in caught.value.findings[-1].saw


async def test_consent_is_not_given(acquiring: Acquiring, demo: DemoSite) -> None:
    with pytest.raises(RefusedError) as caught:
        await acquiring.acquire(demo.page("browser/consent/"))
    assert caught.value.reason == "consent_required"
    await acquiring.acquire(demo.page("browser/popup/"))  # a question lies over its button
    assert not [seen for seen in demo.requests if "agreed" in seen.path]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("challenge/cloudflare/", "header cf-mitigated"),
        ("browser/challenged/", "body"),
    ],
)
async def test_a_challenge_is_reported(acquiring: Acquiring, demo: DemoSite, path: str, seen: str) -> None:
    with pytest.raises(ChallengeError) as caught:
        await acquiring.acquire(demo.page(path), strategy="browser")
    assert seen in caught.value.message
    assert any(finding.rung == "browser" for finding in caught.value.findings)


async def test_what_tokens_do_not_need_is_not_loaded(acquiring: Acquiring, demo: DemoSite) -> None:
    demo.clear()
    await acquiring.acquire(demo.page("browser/heavy/"), strategy="browser")
    paths = {seen.path for seen in demo.requests}
    assert "/browser/wp-content/elsewhere.js" in paths
    assert not [path for path in paths if "heavy." in path or "pixel" in path or "beacon" in path]
    assert not [path for path in paths if path.endswith(".css")]
