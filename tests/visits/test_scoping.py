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


def test_an_http_site_has_what_its_https_pages_left_and_never_the_other_way_round() -> None:
    secure, entry = cookie(is_secure=True), item(origin="https://www.site.example")
    kept = visit(secure, site="http://site.example", storage=(entry,))
    assert (kept.cookies, kept.storage) == ((secure,), (entry,))
    assert visit(storage=(item(origin="http://site.example"),)).storage == ()


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
        ("a", " "),
        ("a", "b "),
        ("a", "\tb"),
    ],
)
def test_a_cookie_that_cannot_be_sent_is_not_kept(name: str, value: str) -> None:
    assert cookies_of(SITE, [cookie(name, value)]) == ()


def test_a_cookie_with_an_overlong_path_is_not_kept() -> None:
    assert cookies_of(SITE, [cookie(path=f"/{'x' * 5000}")]) == ()


def test_what_is_kept_has_bounds() -> None:
    many = visit(
        *(cookie(f"c{number}") for number in range(1000)),
        storage=(item("big", "\U0001f600" * 100_000), *(item(str(n), "x" * 300_000) for n in range(9))),
    )
    assert len(many.cookies) == 300
    assert [one.name for one in many.storage] == ["0", "1", "2"]


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
        ((login_cookie(ends_at=MADE_AT - 60),), True),
        ((login_cookie(ends_at=MADE_AT - 60), login_cookie(".site.example", MADE_AT + 60)), False),
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


def test_an_empty_cookie_is_no_login_and_one_that_comes_later_is() -> None:
    empty = cookie("wordpress_logged_in_1f2e", "")
    guest = visit(empty)
    assert not guest.is_member
    member = guest.with_changes(changes_between(guest.cookies, (login_cookie(),), now=MADE_AT))
    assert member.is_member
    assert has_ended(member.with_changes(changes_between(member.cookies, (), now=MADE_AT)), MADE_AT)


def test_a_login_whose_cookie_ended_in_1970_has_ended() -> None:
    ended = cookie("wordpress_logged_in_1f2e", login_cookie(ends_at=MADE_AT + 60).value, expires=0.0)
    assert has_ended(visit(ended), MADE_AT)


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


@given(COOKIES, COOKIES, st.floats(0, 10_000))
def test_the_changes_make_the_new_cookies_of_the_old_ones(
    old: tuple[StoredCookie, ...], new: tuple[StoredCookie, ...], now: float
) -> None:
    changed = changes_between(old, new, now=now).apply(old)
    assert {(one.name, one.domain, one.value) for one in changed} == {
        (one.name, one.domain, one.value) for one in new
    }
    assert not changes_between(changed, new, now=now)


@pytest.mark.parametrize(
    ("left", "later", "expected"),
    [
        (86400, 600, False),
        (86400, 7200, True),
        (1800, 600, False),
        (1800, 1000, True),
        (3, 1797, True),
        (-5, 1, True),
        (86400, None, True),
    ],
)
def test_an_end_that_only_slides_is_a_change_once_it_matters(
    left: float, later: float | None, expected: bool
) -> None:
    """`left` are the seconds that the kept cookie has, `later` those by which the site moves its end."""
    old = cookie(expires=MADE_AT + left)
    new = cookie(expires=None if later is None else MADE_AT + left + later)
    assert bool(changes_between((old,), (new,), now=MADE_AT)) is expected


@pytest.mark.parametrize("ours", [(), (cookie("a", "ours"),)])
@pytest.mark.parametrize("theirs", [(), (cookie("a", "theirs"),)])
def test_a_cookie_that_another_process_changed_first_stays_as_that_one_left_it(
    ours: tuple[StoredCookie, ...], theirs: tuple[StoredCookie, ...]
) -> None:
    changes = changes_between((cookie("a", "old"),), ours, now=MADE_AT)
    assert changes.apply(theirs) == theirs
