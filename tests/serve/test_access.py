"""Who may use the endpoint, and what a client may hold open."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import httpx
import pytest
from serve.conftest import Endpoints
from serve.serving import CHAT, PATIENCE, chat, error_of, serving
from starlette.requests import Request
from starlette.responses import Response

from chatgptt import InvalidInputError
from chatgptt.demo import DemoSite
from chatgptt.serve.app import build_app
from chatgptt.serve.models import Catalogue
from chatgptt.serve.options import ServeOptions
from chatgptt.serve.server import Connection
from chatgptt.sites.named import NamedSite

KEY = "made-up-key"
PAGE = "https://app.example"


@pytest.fixture
def endpoint(demo: DemoSite, endpoints: Endpoints) -> httpx.Client:
    return endpoints(demo.page("wpaicg/"), ServeOptions(port=0))


@pytest.fixture
def locked(demo: DemoSite, endpoints: Endpoints) -> httpx.Client:
    return endpoints(demo.page("wpaicg/"), ServeOptions(port=0, api_key=KEY, origins=(PAGE,)))


# The key


@pytest.mark.parametrize(
    "given", ["", KEY, "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \xe9"]
)
def test_a_request_without_the_key_is_a_401(given: str, locked: httpx.Client, demo: DemoSite) -> None:
    headers = httpx.Headers({"authorization": given} if given else {}, encoding="latin-1")
    response = locked.post(CHAT, json=chat(), headers=headers)
    assert error_of(response) == (401, "invalid_api_key")
    assert error_of(locked.get("/health?level=page", headers=headers))[0] == 401
    assert demo.requests == []
    assert locked.get("/health", headers=headers).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host", ["localhost/health#", "localhost/health?", "x@localhost", "localhost:1/health"]
)
def test_no_host_takes_the_key_s_place(host: str, locked: httpx.Client, demo: DemoSite) -> None:
    response = locked.post(CHAT, json=chat(), headers={"host": host})
    assert error_of(response)[0] == 403
    assert demo.requests == []


def test_a_request_with_the_key_is_answered(locked: httpx.Client) -> None:
    assert locked.post(CHAT, json=chat(), headers={"authorization": f"Bearer {KEY}"}).status_code == 200


def test_a_key_is_optional_on_loopback(endpoint: httpx.Client) -> None:
    assert endpoint.post(CHAT, json=chat(), headers={"authorization": "Bearer none"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "box.example"])
def test_other_machines_need_a_key(host: str) -> None:
    with pytest.raises(InvalidInputError, match="without an API key"):
        ServeOptions(host=host).check()
    ServeOptions(host=host, api_key=KEY).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    ServeOptions(host=host).check()


@pytest.mark.parametrize("key", ["with blank", "schlüssel", "line\nbreak"])
def test_a_key_that_no_header_can_hold_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be sent"):
        ServeOptions(api_key=key).check()


# Host and Origin


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8780", "127.0.0.1.evil.example", "192.0.2.1", "", "["]
)
def test_a_foreign_host_is_refused(host: str, endpoint: httpx.Client, demo: DemoSite) -> None:
    response = endpoint.post(CHAT, json=chat(), headers={"host": host})
    assert error_of(response) == (403, "forbidden")
    assert demo.requests == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8780", "[::1]:8780", "127.0.0.2"])
def test_this_machine_s_own_names_are_taken(host: str, endpoint: httpx.Client) -> None:
    assert endpoint.get("/v1/models", headers={"host": host}).status_code == 200


def test_a_name_can_be_allowed(demo: DemoSite) -> None:
    options = ServeOptions(port=0, hosts=("Chat.example",), host="0.0.0.0", api_key=KEY)
    headers = {"authorization": f"Bearer {KEY}"}
    with serving(demo.page("wpaicg/"), options) as endpoint:
        for host, status in (("chat.example", 200), ("192.0.2.1:8780", 200), ("evil.example", 403)):
            assert endpoint.get("/v1/models", headers={"host": host, **headers}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_foreign_page_is_refused(headers: dict[str, str], endpoint: httpx.Client, demo: DemoSite) -> None:
    simple = {"content-type": "text/plain", **headers}  # what a browser sends without asking first
    assert error_of(endpoint.post(CHAT, json=chat(), headers=simple)) == (403, "forbidden")
    assert error_of(endpoint.get("/health?level=page", headers=headers)) == (403, "forbidden")
    assert demo.requests == []


def test_a_page_can_be_allowed(locked: httpx.Client) -> None:
    asks = {"origin": PAGE, "access-control-request-method": "POST", "sec-fetch-site": "cross-site"}
    preflight = locked.options(CHAT, headers={**asks, "access-control-request-headers": "authorization"})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, PAGE)
    headers = {"origin": PAGE, "sec-fetch-site": "cross-site"}
    response = locked.post(CHAT, json=chat(), headers=headers)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, PAGE)
    readable = set(response.headers["access-control-expose-headers"].split(", "))
    assert readable == {"x-should-retry", "retry-after", "x-chatgptt-ignored"}
    assert error_of(locked.post(CHAT, json=chat(), headers={"origin": "https://evil.example"}))[0] == 403


def test_no_page_is_allowed_by_itself(endpoint: httpx.Client) -> None:
    assert not [name for name in endpoint.get("/v1/models").headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "app.example",
        "",
        "null",
        f"{PAGE}/",
        f"{PAGE}/chat",
        f"{PAGE}?a",
        f"{PAGE}#a",
        "https://ada@app.example",
        "https://App.example",
        "HTTPS://app.example",
        f"{PAGE}:443",
        "http://app.example:80",
        f"{PAGE}:",
        f"{PAGE} ",
        "https://bücher.example",
    ],
)
def test_an_origin_that_no_page_has_is_refused(origin: str) -> None:
    with pytest.raises(InvalidInputError, match="not the origin of a page"):
        ServeOptions(origins=(origin,)).check()


@pytest.mark.parametrize(
    "origin",
    [PAGE, f"{PAGE}:8443", f"{PAGE}:80", "http://127.0.0.1:3000", "http://[::1]:80443", "app://obsidian.md"],
)
def test_an_origin_of_a_page_is_taken(origin: str) -> None:
    ServeOptions(origins=(origin,)).check()


@pytest.mark.parametrize(
    "host",
    ["", " ", "https://chat.example", "chat.example:8780", "cafe:80", "chat.example/", "[fd00::1]", "*"],
)
def test_a_name_that_no_machine_has_is_refused(host: str) -> None:
    with pytest.raises(InvalidInputError, match="not a name of a machine"):
        ServeOptions(hosts=(host,)).check()


@pytest.mark.parametrize("host", ["chat.example", "Chat_1", "192.0.2.1", "fd00::1"])
def test_a_name_of_a_machine_is_taken(host: str) -> None:
    ServeOptions(hosts=(host,)).check()


def test_an_empty_address_to_listen_on_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="address to listen on is empty"):
        ServeOptions(host="", api_key=KEY).check()


# Bounds


def test_a_large_body_is_refused(endpoint: httpx.Client, demo: DemoSite) -> None:
    def in_chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 50_000

    for content in (b" " * 1_000_001, in_chunks()):
        assert error_of(endpoint.post(CHAT, content=content)) == (413, "too_large")
    assert demo.requests == []


class Impatient(Connection):
    head_seconds: ClassVar[float] = 0.2


ONE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(("before", "sent"), [(b"", b""), (b"", ONE[:30]), (ONE, ONE[:30])])
def test_a_head_that_does_not_end_ends_the_connection(before: bytes, sent: bytes, demo: DemoSite) -> None:
    with serving(demo.page("wpaicg/"), connection=Impatient) as endpoint:
        address = (endpoint.base_url.host, endpoint.base_url.port or 0)
        with socket.create_connection(address, PATIENCE) as connection:
            if before:
                connection.sendall(before)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
            connection.sendall(sent)
            while b"HTTP" not in (data := connection.recv(65536)) and data:
                pass
    assert data == b""


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
def test_a_client_that_takes_no_bytes_loses_its_connection(fields: dict[str, bool], demo: DemoSite) -> None:
    ended = threading.Event()

    class Blocked(Connection):
        write_seconds: ClassVar[float] = 0.2

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            ended.set()

    body = json.dumps(chat("BIG 1000000", **fields)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with serving(demo.page("wpaicg/"), connection=Blocked) as endpoint, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((endpoint.base_url.host, endpoint.base_url.port or 0))
        client.sendall(head.encode() + body)
        assert ended.wait(PATIENCE)


def test_a_large_head_gets_no_answer(endpoint: httpx.Client) -> None:
    try:
        status = endpoint.get("/health", headers={"x": "y" * 2_000_000}).status_code
    except httpx.TransportError:  # the connection ended while the head was being sent
        return
    assert status == 400


def test_a_body_that_breaks_off_asks_nothing(
    endpoint: httpx.Client, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    address = (endpoint.base_url.host, endpoint.base_url.port or 0)
    with socket.create_connection(address, PATIENCE) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + json.dumps(chat()).encode()[:20])
    assert endpoint.get("/health").status_code == 200
    assert (
        demo.requests,
        [record.getMessage() for record in caplog.records if record.levelname == "ERROR"],
    ) == ([], [])


@pytest.mark.anyio
async def test_a_failure_of_its_own_is_a_500_without_words(caplog: pytest.LogCaptureFixture) -> None:
    async def break_down(request: Request) -> Response:
        raise RuntimeError("secret")

    page = NamedSite(url="http://127.0.0.1:9/")
    app = build_app(Catalogue.of_page(page), ServeOptions(), asyncio.Event())
    app.add_route("/broken", break_down)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/broken")
    assert error_of(response) == (500, "internal")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "chatgptt.serve"]
    assert "the endpoint broke with RuntimeError" in line
    assert "break_down" in line
    assert "secret" not in response.text + line.replace('RuntimeError("secret")', "")


# Ways that lead nowhere


@pytest.mark.parametrize("path", ["/", "/v1"])
def test_the_root_says_where_to_go(path: str, endpoint: httpx.Client) -> None:
    assert "/v1/chat/completions" in endpoint.get(path).json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models/default", 405, "method_not_allowed"),
        ("POST", "/chat/completions", 404, "not_found"),
        ("GET", "/v1/embeddings", 404, "not_found"),
        ("GET", "/v1/", 404, "not_found"),
        ("POST", f"{CHAT}/", 404, "not_found"),
    ],
)
def test_another_way_says_where_to_go(
    method: str, path: str, status: int, code: str, endpoint: httpx.Client
) -> None:
    response = endpoint.request(method, path)
    assert error_of(response) == (status, code)
    assert "/v1/chat/completions" in response.json()["error"]["message"]
    assert ("allow" in response.headers) is (status == 405)


# Health


def test_health_sends_nothing(endpoint: httpx.Client, demo: DemoSite) -> None:
    assert endpoint.get("/health").json() == {"status": "ok"}
    assert demo.requests == []


def test_health_of_the_page_sends_no_message(endpoint: httpx.Client, demo: DemoSite) -> None:
    response = endpoint.get("/health?level=page")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.json()["sites"]["default"]["verdict"] == "ok"
    assert demo.messages == []
    assert demo.requests != []


def test_health_of_the_page_is_asked_once_for_many(demo: DemoSite) -> None:
    def check(endpoint: httpx.Client) -> httpx.Response:
        return endpoint.get("/health?level=page")

    options = ServeOptions(port=0, check_every=3600)
    with serving(demo.page("wpaicg/"), options) as endpoint, ThreadPoolExecutor(8) as threads:
        first, *others = threads.map(check, [endpoint] * 8)
        assert [each.json() for each in others] == [first.json()] * 7
    assert 0 < len(demo.requests) < 8


def test_health_of_the_page_is_asked_again_later(demo: DemoSite) -> None:
    with serving(demo.page("wpaicg/"), ServeOptions(port=0, check_every=0)) as endpoint:
        for _ in range(2):
            demo.clear()
            assert endpoint.get("/health?level=page").json()["status"] == "ok"
            assert demo.requests != []


def test_health_tells_a_page_that_fails(demo: DemoSite) -> None:
    with serving(demo.page("wpaicg/nochat/")) as endpoint:
        response = endpoint.get("/health?level=page")
    assert (response.status_code, response.json()["status"]) == (503, "failing")
    assert response.json()["sites"]["default"]["code"] == "no_chat_box"


def test_health_at_another_level_is_refused(endpoint: httpx.Client) -> None:
    assert error_of(endpoint.get("/health?level=full")) == (400, "invalid_input")
