"""What of a page is parsed: all of any ordinary page, and of a costly one what the parser reads in bounded time.

What the parser then takes is measured in tests/hostile/test_sizes.py.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser
from wire import PAGE, aipkit_box, wpaicg_box

from chatgptt.protocols.box_choice import find_boxes
from chatgptt.protocols.page import Page
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES, bounded_bytes


def numbered(html: str, count: int = 3000) -> bytes:
    return "".join(html.format(number) for number in range(count)).encode()


def read(body: bytes) -> Page:
    return Page(b"<p class=first></p>" + body + b"<p class=last>", PAGE)


WHOLE = [
    pytest.param(b"<div></div>" * 14_000, id="elements in a row"),
    pytest.param(b"<p><br>" * 14_000, id="elements without end tags"),
    pytest.param(b"<svg><path d='M0 0'/><circle r=1 /></svg>" * 7000, id="icons"),
    pytest.param(b"<table><tr><td>x<td>y</table>" * 5000, id="tables with open cells"),
    pytest.param(b"<p class=a id=b>some words of a text</p>" * 14_000, id="paragraphs"),
    pytest.param(b"<style>.a .b { color: #123456; margin: 0 auto }</style>" * 14_000, id="styles"),
    pytest.param(b"<style>" + b".a>.b{color:red;margin:0}" * 70_000 + b"</style>", id="a large style"),
    pytest.param(b"<script>" + (b"for(i=0;i<n;i++){a = {'b': \"c\"}}\n" * 100 + b"if(a>b)c()\n") * 250 + b"</script>", id="a large script"),
    pytest.param(b"<img src='data:image/png;base64," + b"QUJD" * 400_000 + b"'>", id="a picture in an attribute"),
    pytest.param(b"<img src=data:image/png;base64," + b"QUJD" * 400_000 + b"==>", id="the same without quotes"),
    pytest.param(b"some words " * 100_000, id="text"),
    pytest.param(b"<pre>it's a \"quote\" < that</pre>\n" * 9000, id="quotes in text"),
    pytest.param(b"<!-- <b> -->" * 14_000, id="comments"),
    pytest.param(b"<p title='a > \"b\" <i>' class=x>" * 14_000, id="tags in attributes"),
    pytest.param(b"<p " + numbered("a{}=1 ", 1500) + b">" + b"x" * 90_000, id="many attributes"),
    pytest.param(b"</p" + numbered(" a{}", 30_000) + b">", id="attributes of an end tag"),
    pytest.param(numbered("<b id={}><p>", 5000), id="open formatting"),
    pytest.param(numbered("<a id={}>x<p>y</p>", 5000), id="links that the next one closes"),
]  # fmt: skip


@pytest.mark.parametrize("body", WHOLE)
def test_ordinary_markup_is_parsed_to_its_end(body: bytes) -> None:
    found = read(body)
    assert not found.is_cut
    assert len(found.select(".last")) == 1


ATTRIBUTES = numbered(" a{}", 30_000)
"""More than an element may have, in more bytes than a small page has."""

CUT = [
    pytest.param(b"<div>" * 100_000, id="tags"),
    pytest.param(b"</div>" * 100_000, id="end tags"),
    pytest.param(b"<" * 100_000, id="what looks like tags"),
    pytest.param(b"<p" + ATTRIBUTES + b">", id="attributes"),
    pytest.param(b"<p" + numbered("/a{}", 30_000) + b">", id="attributes behind slashes"),
    pytest.param(b"<p" + numbered("a{}='>'", 30_000) + b">", id="attributes behind quotes"),
    pytest.param(b"<p" + numbered(' a{}=">"', 30_000) + b">", id="attributes whose values hold a tag's end"),
    pytest.param(b"<p a=x\"b= '>'" + ATTRIBUTES + b">", id="a quote within a value"),
    pytest.param(b"<p =\"x y=\" z='>'" + ATTRIBUTES + b">", id="a quote within a name"),
    pytest.param(b'<p"x y=" z=\'>\'' + ATTRIBUTES + b">", id="a quote within a tag's name"),
    pytest.param(b"<!--><p a='-->'" + ATTRIBUTES + b">", id="behind a comment that is none"),
    pytest.param(b"<!-- a='--!><p" + ATTRIBUTES + b">", id="behind a comment that ends otherwise"),
    pytest.param(b"<svg><style><p" + ATTRIBUTES + b"></style>", id="in a drawing's style"),
    pytest.param(b"<svg><![CDATA[ <p a=\" ]]><p" + ATTRIBUTES + b">", id="behind a drawing's text"),
    pytest.param(b"<select><style></select><p" + ATTRIBUTES + b"></style>", id="behind what a choice ignores"),
    pytest.param(b"<script><!--<script>'</script><p a=\"--></script><p" + ATTRIBUTES + b">", id="behind a script in a script"),
    pytest.param(b"<p" + b" a=1" * 1900 + b">" + (b"<p" + b" a" * 1900 + b">") * 200, id="attributes of many elements"),
    pytest.param(b"x" * MAX_PAGE_BYTES, id="text"),
]  # fmt: skip


@pytest.mark.parametrize("body", CUT)
def test_a_page_ends_before_what_is_too_much(body: bytes) -> None:
    found = read(body)
    assert found.is_cut
    assert len(found.select(".first")) == 1
    assert not found.select(".last")


PIECES = (
    *("<p ", "</p ", "<script>", "</script>", "<!--", "-->", "--!>", "<svg>", "</svg>", "<select>", "</select>"),
    *("<style>", "</style>", "<title>", "</title>", "<textarea>", "<![CDATA[", "]]>", "<frameset>", "<?", "<x\0"),
    *("=", "='", '="', "'", '"', ">", "/", "/>", " ", "\n", "\v", "\f", "a=b=\"", "q=\"x=\"", "x", "y=1"),
)  # fmt: skip
BUNCH = numbered(" a{}", 1200).decode()


@given(st.lists(st.sampled_from([*PIECES, BUNCH]), min_size=2, max_size=30))
def test_no_element_gets_more_attributes_than_are_allowed(pieces: list[str]) -> None:
    named = (piece.replace(" a", f" a{place}x") for place, piece in enumerate(pieces))
    html = "".join(named).encode() + b"\n" + b"x" * 80_000
    tree = LexborHTMLParser(html[: bounded_bytes(html)])
    assert all(len(node.attributes) <= 2001 for node in tree.css("*"))


@pytest.mark.parametrize("name", ["b", "A", "font", "strong"])
def test_a_box_among_formatting_that_is_left_open_is_found(name: str) -> None:
    formatting = "".join(f"<{name} id=i{number}><p>text</p>" for number in range(1000))
    same = f"<p>{wpaicg_box()}</p>{aipkit_box()}"
    found = find_boxes(Page(f"{formatting}{same}{formatting}".encode(), PAGE))
    assert found == find_boxes(Page(same.encode(), PAGE))
    assert len(found) == 2


def test_a_box_that_is_nested_deeper_than_any_is_none() -> None:
    assert not find_boxes(Page(b"<div>" * 6000 + wpaicg_box().encode(), PAGE))
    assert len(find_boxes(Page(b"<div>" * 4000 + wpaicg_box().encode(), PAGE))) == 1
