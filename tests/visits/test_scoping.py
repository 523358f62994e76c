"""A visit has what a browser would send to its site, and nothing of any other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from visits.samples import MADE_AT, SITE, cookie, item, login_cookie, visit

from chatgptt._models import StoredCookie
from chatgptt.visits.visit import changes_between, cookies_of, find_login, has_ended, is_carried


@pytest.mark.parametrize(
    ("domain", "is_secure", "url", "expected"),
    [
        ("site.example", False, "https://site.example/x", True),
        ("site.example", False, "https://SITE.example:8443/", True),
        ("site.example", True, "http://site.example/", False),
        ("site.example", False, "https://www.site.example/", False),
        ("site.example", False, "https://notsite.example/", False),
        (".site.example", False, "https://site.example/", True),
        (".site.example", False, "https://deep.www.site.example/", True),
        (".site.example", False, "https://notsite.example/", False),
        (".example", False, "https://site.example/", False),
        ("", False, "https://site.example/", False),
        (".", False, "https://site.example/", False),
        ("www.site.example", False, "https://site.example/", False),
        ("localhost.local", False, "http://localhost:8000/", True),
        ("127.0.0.1", False, "http://127.0.0.1:8000/", True),
        ("127.0.0.2", False, "http://127.0.0.1:8000/", False),
    ],
)
def test_a_cookie_goes_where_a_browser_sends_it(
    domain: str, is_secure: bool, url: str, expected: bool
) -> None:
    assert is_carried(cookie(domain=domain, is_secure=is_secure), url) is expected


def test_a_visit_keeps_its_site_alone() -> None:
    ours = (
        cookie("1"),
        cookie("2", domain=".site.example"),
        cookie("3", domain="www.site.example", path="/wp-admin"),
    )
    others = (
        cookie("4", domain="other.example"),
        cookie("5", domain="shop.site.example"),
        cookie("6", domain=".com"),
    )
    kept = visit(
        *ours,
        *others,
        storage=(
            item("1"),
            item("2", origin="https://www.site.example"),
            item("3", origin="http://site.example"),
            item("4", origin="https://site.example:8443"),
            item("5", origin="https://other.example"),
        ),
    )
    assert kept.cookies == ours
    assert [one.name for one in kept.storage] == ["1", "2"]
    assert visit(*ours, site="https://www.site.example").cookies == ours


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "b\r\nx: y"),
        ("a", "b; c=d"),
        ("a", "ü"),
        ("a b", "c"),
        ("", "c"),
        ("a=b", "c"),
        ("a", "x" * 5000),
    ],
)
def test_a_cookie_that_cannot_be_sent_is_not_kept(name: str, value: str) -> None:
    assert cookies_of(SITE, [cookie(name, value)]) == ()


def test_what_is_kept_has_bounds() -> None:
    many = visit(
        *(cookie(f"c{number}") for number in range(1000)),
        storage=(item("big", "x" * 600_000), *(item(str(number), "x" * 100_000) for number in range(9))),
    )
    assert len(many.cookies) == 300
    assert [one.name for one in many.storage] == ["0", "1", "2", "3"]


# The login


def test_whose_login_it_is_and_when_it_ends_are_read_from_the_cookie() -> None:
    kept = visit(login_cookie(user="ada l|ovelace".replace("|", ""), ends_at=MADE_AT + 60))
    login = find_login(kept, MADE_AT)
    assert login is not None
    assert (login.user, login.ends_at) == ("ada lovelace", MADE_AT + 60)
    assert kept.is_member


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ((login_cookie(ends_at=MADE_AT + 60),), False),
        ((login_cookie(ends_at=MADE_AT - 60),), False),  # WordPress takes a message for an hour more
        ((login_cookie(ends_at=MADE_AT - 3700),), True),
        ((login_cookie(ends_at=MADE_AT - 3700), login_cookie(".site.example", MADE_AT + 60)), False),
        ((cookie(expires=MADE_AT - 60),), False),  # a guest's
        ((), False),
    ],
)
def test_a_login_ends_with_the_time_in_its_cookie(cookies: tuple[StoredCookie, ...], expected: bool) -> None:
    assert has_ended(visit(*cookies), MADE_AT) is expected


def test_a_login_ends_with_its_cookie() -> None:
    ending = cookie(
        "wordpress_logged_in_1f2e", login_cookie(ends_at=MADE_AT + 999).value, expires=MADE_AT + 10
    )
    assert not has_ended(visit(ending), MADE_AT)
    assert has_ended(visit(ending), MADE_AT + 20)


# Changes

COOKIES = st.lists(
    st.builds(
        cookie,
        st.sampled_from("abc"),
        st.sampled_from("xy"),
        st.sampled_from(["site.example", ".site.example"]),
        expires=st.none() | st.floats(0, 10_000),
    ),
    max_size=6,
    unique_by=lambda one: (one.name, one.domain),
).map(tuple)


@given(COOKIES, COOKIES)
def test_the_changes_make_the_new_cookies_of_the_old_ones(
    old: tuple[StoredCookie, ...], new: tuple[StoredCookie, ...]
) -> None:
    changed = changes_between(old, new).apply(old)
    assert {(one.name, one.domain, one.value) for one in changed} == {
        (one.name, one.domain, one.value) for one in new
    }
    assert not changes_between(changed, new)


def test_an_end_that_only_slides_is_no_change() -> None:
    old, new = cookie(expires=MADE_AT), cookie(expires=MADE_AT + 600)
    assert not changes_between((old,), (new,))
    assert changes_between((old,), (cookie(expires=MADE_AT + 7200),))
    assert changes_between((old,), (cookie(),))
