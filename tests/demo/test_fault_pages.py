from __future__ import annotations

import time

import httpx
import pytest
from demo.visitors import Wpaicg, boxes

from chatgptt.demo import DemoSite
from chatgptt.demo.fault_pages import HUGE_SIZE


def test_challenges(site: DemoSite, client: httpx.Client) -> None:
    marked = client.get(site.page("challenge/cloudflare/"))
    assert (marked.status_code, marked.headers["cf-mitigated"]) == (403, "challenge")
    bare = client.get(site.page("challenge/body/"))
    assert bare.status_code == 503
    assert "cf-mitigated" not in bare.headers
    for reply in (marked, bare):
        assert "<title>Just a moment...</title>" in reply.text
        assert "/cdn-cgi/challenge-platform/" in reply.text


@pytest.mark.parametrize("status", [404, 408, 410, 500, 502, 504, 521])
def test_every_status_is_there(site: DemoSite, client: httpx.Client, status: int) -> None:
    assert client.get(site.page(f"status/{status}/")).status_code == status


def test_too_many_requests_for_an_hour(site: DemoSite, client: httpx.Client) -> None:
    reply = client.get(site.page("status/429/"))
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "3600")


@pytest.mark.parametrize("status", ["200", "x", "", "600"])
def test_other_statuses_are_not(site: DemoSite, client: httpx.Client, status: str) -> None:
    assert client.get(site.page(f"status/{status}")).status_code == 404


def test_unavailable_twice_and_then_a_working_page(site: DemoSite, client: httpx.Client) -> None:
    for _ in range(2):
        reply = client.get(site.page("status/503/"))
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert Wpaicg(site, client, "status/503/", prefix="status/503").text("Hello").endswith("Hello")
    site.clear()
    assert client.get(site.page("status/503/")).status_code == 503


def test_pages_that_are_none(site: DemoSite, client: httpx.Client) -> None:
    assert client.get(site.page("pdf/")).headers["content-type"] == "application/pdf"
    assert client.get(site.page("json-page/")).json() == {"no": "page"}
    assert client.get(site.page("deep/")).text.count("<div>") == 100_000


def test_redirects(site: DemoSite, client: httpx.Client) -> None:
    moved = client.get(site.page("moved/"))
    assert (moved.status_code, moved.headers["location"]) == (301, site.page("wpaicg/"))
    with pytest.raises(httpx.TooManyRedirects):
        client.get(site.page("loop/"), follow_redirects=True)


def test_a_slow_page_comes_in_the_end(site: DemoSite, client: httpx.Client) -> None:
    assert boxes(client.get(site.page("slow/?seconds=0.01")).text)
    with pytest.raises(httpx.ReadTimeout):
        client.get(site.page("slow/"), timeout=0.05)
    assert boxes(client.get(site.page("slow/?seconds=x")).text)
    assert Wpaicg(site, client, "slow/?seconds=0", prefix="slow").text("Hello").endswith("Hello")


def settled(site: DemoSite) -> int:
    """What the last request was sent, as soon as that has stopped growing."""
    sent = -1
    while (now := site.requests[-1].sent_bytes) != sent:
        sent = now
        time.sleep(0.1)
    return sent


@pytest.mark.parametrize("path", ["huge/", "huge-with-box/"])
def test_a_huge_page_stops_when_nobody_reads(site: DemoSite, client: httpx.Client, path: str) -> None:
    with client.stream("GET", site.page(path)) as stream:
        first = next(stream.iter_bytes(100_000))
    assert bool(boxes(first.decode())) == (path == "huge-with-box/")
    assert settled(site) < HUGE_SIZE / 2


def test_the_box_of_a_huge_page_works(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "huge-with-box/")
    with client.stream("GET", site.page(visitor.page)) as stream:
        nonce = boxes(next(stream.iter_bytes(100_000)).decode())[0]["data-nonce"]
    fields = {"action": "wpaicg_chat_shortcode_message", "_wpnonce": nonce, "message": "Hello"}
    assert "[DONE]" in client.post(visitor.ajax, data=fields).text


def test_a_huge_page_ends_if_somebody_reads_it_all(
    site: DemoSite, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatgptt.demo.fault_pages.HUGE_SIZE", 1_000_000)
    text = client.get(site.page("huge/")).text
    assert text.endswith("</html>\n")
    assert len(text) > 900_000
