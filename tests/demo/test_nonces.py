from __future__ import annotations

import httpx
import pytest
from demo.visitors import Aipkit, Wpaicg, boxes

from chatgptt.demo import DemoSite
from chatgptt.demo.nonces import TICK, Nonces

NONCES = Nonces(b"key")
START = 40_510 * TICK
"""The last moment of a half-day; the next one begins just after it."""


def test_a_nonce_is_ten_hexadecimal_digits_and_stays_the_same_for_half_a_day() -> None:
    nonce = NONCES.make("a", at=START + 1)
    assert len(nonce) == 10
    int(nonce, 16)
    assert NONCES.make("a", at=START + TICK) == nonce
    assert NONCES.make("a", at=START + TICK + 1) != nonce
    assert NONCES.make("a", at=START) != nonce


@pytest.mark.parametrize(
    ("made", "age", "good"),
    [
        (1.0, 0.0, True),
        (1.0, TICK, True),
        (1.0, 2 * TICK - 1, True),
        (1.0, 2 * TICK, False),
        (TICK, TICK, True),
        (TICK, TICK + 1, False),
        (1.0, -2.0, False),
    ],
)
def test_a_nonce_lives_for_its_half_day_and_the_next(made: float, age: float, good: bool) -> None:
    nonce = NONCES.make("a", at=START + made)
    assert NONCES.is_good(nonce, "a", at=START + made + age) is good


def test_a_nonce_is_bound_to_its_action_user_and_site() -> None:
    nonce = NONCES.make("a", at=START)
    assert not NONCES.is_good(nonce, "b", at=START)
    assert not NONCES.is_good(nonce, "a", at=START, user="7")
    assert not Nonces(b"other key").is_good(nonce, "a", at=START)
    assert not NONCES.is_good("", "a", at=START)
    assert not NONCES.is_good("ünïcödé", "a", at=START)


def test_1x_accepts_a_nonce_until_the_second_border(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    fields = visitor.fields("Hello")
    for advanced, status in ((43_140, 200), (43_199, 200), (60, 403)):
        site.advance(advanced)
        assert client.post(visitor.ajax, data=fields).status_code == status
    assert visitor.send("Hello").status_code == 200


def test_2x_accepts_a_nonce_until_the_second_border(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    nonce = str(visitor.config()["nonce"])
    for advanced, status in ((43_140, 200), (43_199, 200), (60, 403)):
        site.advance(advanced)
        assert visitor.hold("Hello", _ajax_nonce=nonce).status_code == status


def test_all_guests_share_a_nonce_but_sites_do_not(site: DemoSite, client: httpx.Client) -> None:
    with httpx.Client(trust_env=False) as other:
        nonce = Wpaicg(site, client).box()["data-nonce"]
        assert Wpaicg(site, other).box()["data-nonce"] == nonce
        assert Wpaicg(site, other, "wpaicg-1.8.98/").box()["data-nonce"] != nonce
        older = Wpaicg(site, client, "wpaicg-1.8.98/")
        assert older.send("Hello", _wpnonce=nonce).status_code == 403
    found = boxes(client.get(site.page("wpaicg/many/")).text)
    assert {box["data-nonce"] for box in found} == {nonce}


def test_the_picture_nonce_in_a_box_is_good_for_no_message(site: DemoSite, client: httpx.Client) -> None:
    page = client.get(site.page("wpaicg/")).text
    picture = page.partition('id="wpaicg-img-nonce" value="')[2][:10]
    assert Wpaicg(site, client).send("Hello", _wpnonce=picture).status_code == 403


def test_a_guest_with_a_cookie_has_a_nonce_of_their_own(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "cookies/")
    fields = visitor.fields("Hello")
    assert client.post(visitor.ajax, data=fields).status_code == 200
    assert visitor.fields("Hello")["_wpnonce"] == fields["_wpnonce"]
    assert client.get(site.page("cookies/nowhere/")).status_code == 404
    client.cookies.clear()
    assert client.post(visitor.ajax, data=fields).status_code == 403
    assert visitor.fields("Hello")["_wpnonce"] != fields["_wpnonce"]
