"""The same message by chatgptt and by what one would write without it; each reads the answer to its end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import httpx

import chatgptt

MESSAGE = "Hello, who are you?"
_NONCE = re.compile(r'data-nonce="([0-9a-f]{10})"')
_POST_ID = re.compile(r'data-post-id="(\d+)"')

Ask = Callable[[], Awaitable[str]]
"""Sends the message; gives the answer, or the bytes of its reply as text."""


@asynccontextmanager
async def by_chatgptt(page: str) -> AsyncIterator[Ask]:
    """`AsyncClient.ask`, tokens known."""
    async with chatgptt.AsyncClient(page, state_dir=None) as client:
        await client.find_boxes()

        async def ask() -> str:
            return (await client.ask(MESSAGE)).text

        yield ask


@asynccontextmanager
async def by_httpx(page: str) -> AsyncIterator[Ask]:
    """A POST of the same fields, whose reply is read and not understood."""
    no_limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=no_limits, timeout=120) as http:
        fields = fields_of((await http.get(page)).text, page)

        async def ask() -> str:
            reply = bytearray()
            async with http.stream("POST", f"{page}wp-admin/admin-ajax.php", data=fields) as response:
                async for data in response.aiter_bytes():
                    reply += data
            return reply.decode()

        yield ask


@asynccontextmanager
async def by_aiohttp(page: str) -> AsyncIterator[Ask]:
    """The same by aiohttp, whose parser is written in C."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        async with http.get(page) as response:
            fields = fields_of(await response.text(), page)

        async def ask() -> str:
            async with http.post(f"{page}wp-admin/admin-ajax.php", data=fields) as response:
                return (await response.read()).decode()

        yield ask


ASKING: dict[str, Callable[[str], AbstractAsyncContextManager[Ask]]] = {
    "chatgptt": by_chatgptt,
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
}


async def by_two_requests(page: str) -> str:
    """What a provider of gpt4free did for each answer: a session, the page, two searches, the message."""
    async with aiohttp.ClientSession() as http:
        async with http.get(page) as response:
            fields = fields_of(await response.text(), page)
        async with http.post(f"{page}wp-admin/admin-ajax.php", data=fields) as response:
            return (await response.read()).decode()


def fields_of(html: str, page: str) -> dict[str, str]:
    """The fields of the message, from a page of 1.x."""
    nonce, post_id = _NONCE.search(html), _POST_ID.search(html)
    assert nonce is not None
    assert post_id is not None
    return {
        "_wpnonce": nonce[1],
        "post_id": post_id[1],
        "url": page,
        "action": "wpaicg_chat_shortcode_message",
        "message": MESSAGE,
        "bot_id": "0",
        "chatbot_identity": "shortcode",
        "wpaicg_chat_history": "[]",
        "wpaicg_chat_client_id": "bench12345",
    }
