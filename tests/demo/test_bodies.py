from __future__ import annotations

import httpx
import pytest

from chatgptt.demo.bodies import read_fields, read_query

TEXTS = {
    "message": 'naïve ✓ "quotes" & <b>\r\nsecond = line%20+',
    "empty": "",
    "spaces": "  x  ",
    "dashes": "--boundary--\n--",
    "header": "A: b\r\n\r\nc",
}


def body_of(request: httpx.Request) -> tuple[str, bytes]:
    return request.headers["content-type"], request.read()


def test_urlencoded_and_multipart_fields_arrive_as_they_were_sent() -> None:
    assert read_fields(*body_of(httpx.Request("POST", "http://x", data=TEXTS))) == TEXTS
    parts = {name: (None, text) for name, text in TEXTS.items()}
    assert read_fields(*body_of(httpx.Request("POST", "http://x", files=parts))) == TEXTS


def test_of_a_file_the_name_is_kept() -> None:
    request = httpx.Request("POST", "http://x", data={"a": "1"}, files={"image": ("cat.png", b"\x89PNG\xff")})
    assert read_fields(*body_of(request)) == {"a": "1", "image": "[file cat.png]"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b"a=1"),
        ("application/json", b'{"a": 1}'),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"a=1"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nnameless\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Type: multipart/mixed; boundary=y\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
            b"--y\r\n\r\n1\r\n--y--\r\n--x--\r\n",
        ),
    ],
)
def test_what_is_no_form_has_no_fields(content_type: str, body: bytes) -> None:
    assert read_fields(content_type, body) == {}


def test_the_last_of_equal_names_counts() -> None:
    assert read_query("a=1&a=2&b&c=%F0%9F%98%80%FF") == {"a": "2", "b": "", "c": "😀\ufffd"}
