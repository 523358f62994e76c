from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgptt._errors import InvalidInputError
from chatgptt.protocols.urls import has_host, is_same_site, origin, page_url, without_credentials


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://a.example", "https://a.example/"),
        ("http://a.example/x?y=1#z", "http://a.example/x?y=1"),
        ("a.example/x", "https://a.example/x"),
        ("//a.example/x", "https://a.example/x"),
        ("localhost:8000", "https://localhost:8000/"),
        ("  HTTPS://A.example/ ", "https://a.example/"),
        ("https://a.example/ä b".replace(" ", "%20"), "https://a.example/%C3%A4%20b"),
        ("https://user:pw@a.example/", "https://user:pw@a.example/"),
        ("https://[::1]:80/", "https://[::1]:80/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_a_page_is_named(text: str, url: str) -> None:
    assert page_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "  ", "ftp://a.example", "mailto:a@b", "javascript:alert(1)", "https:a.example", "https://", "https:///x",
    "https://a b/", "https://a\n.example", "https://a.example:0/", "https://a:x/", "https://[1/", "https://a:99999",
    "https://\u2100.example/", "file:///etc/passwd", "https://:80"],
)  # fmt: skip
def test_what_is_no_page_is_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInputError):
        page_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://me:geheim@a b/",
        "https://me:geheim@a:x/",
        "https://me:geheim@\u2100.example",
        "https://me:geheim@:80",
    ],
)
def test_a_password_is_in_no_message(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        page_url(text)
    assert "geheim" not in str(caught.value)


@given(st.text() | st.text(st.sampled_from("htps:/[]@.a1?#%\u2100")))
def test_any_text_is_a_page_or_invalid_input(text: str) -> None:
    with suppress(InvalidInputError):
        assert has_host(page_url(text))


@pytest.mark.parametrize(
    ("url", "page", "is_same"),
    [
        ("https://a.example/x", "https://a.example/y", True),
        ("http://a.example/x", "https://a.example/y", True),
        ("https://www.a.example/x", "https://a.example/y", True),
        ("https://A.EXAMPLE/x", "https://a.example/y", True),
        ("https://a.example:443/x", "https://a.example/y", True),
        ("https://shop.a.example/x", "https://a.example/y", True),
        ("https://a.example/x", "https://shop.a.example/y", True),
        ("http://127.0.0.1:81/x", "http://127.0.0.1:81/y", True),
        ("https://a.example:8443/x", "https://a.example/y", False),
        ("https://b.example/x", "https://a.example/y", False),
        ("https://evila.example/x", "https://a.example/y", False),
        ("https://a.example.evil/x", "https://a.example/y", False),
        ("https://example/x", "https://a.example/y", False),
        ("http://0.0.1/x", "http://127.0.0.1/y", False),
        ("http://127.0.0.2/x", "http://127.0.0.1/y", False),
        ("https://a.example@evil.example/x", "https://a.example/y", False),
        ("/x", "https://a.example/y", False),
        ("ftp://a.example/x", "https://a.example/y", False),
        ("https://[1/x", "https://a.example/y", False),
        ("https://a.example:x/", "https://a.example/y", False),
        ("https://a.example/x", "about:blank", False),
    ],
)
def test_same_sites_are_told_from_others(url: str, page: str, is_same: bool) -> None:
    assert is_same_site(url, page) is is_same


@given(st.text(), st.text(st.sampled_from("htps:/[]@.a1?#")))
def test_any_two_texts_are_one_site_or_two(one: str, other: str) -> None:
    assert is_same_site(one, other) == is_same_site(other, one)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://A.example:443/x?y", "https://a.example"),
        ("http://a.example:8080/x", "http://a.example:8080"),
        ("https://u:p@a.example/x", "https://a.example"),
        ("http://[::1]:81/x", "http://[::1]:81"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://u:p@a.example/x@y", "https://a.example/x@y"),
        ("https://a.example/?mail=a@b", "https://a.example/?mail=a@b"),
        ("socks5://u:p@127.0.0.1:9", "socks5://127.0.0.1:9"),
        ("//u:p@a.example", "//a.example"),
        ("https://u:p@[::1]:8/x@y", "https://[::1]:8/x@y"),
        ("https://[::1]:8/x@y", "https://[::1]:8/x@y"),
        ("localhost:80/@x", "localhost:80/@x"),
        ("shop", "shop"),
        ("", ""),
        ("https://me:/geheim@a.example/", "https://a.example/"),
    ],
)
def test_credentials_are_taken_out(url: str, expected: str) -> None:
    assert without_credentials(url) == expected


@pytest.mark.parametrize(
    "text",
    [
        "me:geheim@a.example/x",
        "me:geheim@a.example:80",
        "geheim@a.example",
        "https:/me:geheim@a.example",
        "https:///me:geheim@a.example",
        "https:me:geheim@a.example",
        "https:\\\\me:geheim@a.example/",
        "  https://me:geheim@a.example",
        "https://me:ge heim@a.example/",
        "https://me:geheim/x@a.example/",
        "https://me:geheim?x@a.example/",
        "https://me:geheim#x@a.example/",
        "https://me:geheim@x@a.example/",
        "https://me:geheim%40a.example/",
        "https://me:geheim\uff20a.example/",
        "https://a https://me:geheim@a.example/",
        "me:geheim/x@a.example",
        "a.example:8080:me:geheim",
        "me:geheim:a.example:8080",
        "http://a.example:8080:me:geheim",
        "socks5h://me:geheim@127.0.0.1:9",
        "//me:geheim",
    ],
)
def test_a_login_is_taken_out_of_what_is_no_url_in_order_too(text: str) -> None:
    assert "geheim" not in without_credentials(text)
    url = "none"
    with suppress(InvalidInputError):
        url = page_url(text)
    assert "geheim" not in without_credentials(url)
    if url == "none":
        with pytest.raises(InvalidInputError) as caught:
            page_url(text)
        assert "geheim" not in str(caught.value)


JUNK = st.text(st.sampled_from("a1:@%.[] \uff20"))


@given(st.sampled_from(["", "https://", "https:/", "https:", "//", "socks5:\\\\"]), JUNK, JUNK, JUNK)
def test_no_password_stays_in_an_address_however_it_is_written(
    lead: str, before: str, behind: str, host: str
) -> None:
    assert "geheim" not in without_credentials(f"{lead}me:{before}geheim{behind}@a.example{host}")


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    without_credentials(text)
