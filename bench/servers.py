"""The sites that are asked, each in a process of its own, which ends by SIGTERM within a bounded wait.

`demo_process` is the demo site. `quick_site` answers in microseconds from bytes that are made once, so that
nearly all of the time is the client's: run as a program, this module is that site.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORDS = 15
"""Deltas of an answer of the quick site."""

LAST = f"word{WORDS - 1} "


@contextmanager
def demo_process() -> Iterator[str]:
    """The URL of a demo site in another process."""
    with _running("-m", "chatgptt", "demo", "--port", "0", "--json") as process:
        document = ""
        while not document.endswith("}\n"):
            assert process.stdout is not None
            document += process.stdout.readline()
        yield json.loads(document)["url"]


@contextmanager
def quick_site(together: int = 1) -> Iterator[str]:
    """The URL of a 1.x page whose answers come at once.

    Args:
        together: how many messages are awaited before the first of them is answered beyond its first word.
    """
    with _running(str(Path(__file__)), str(together)) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()  # a background job's programs may ignore SIGINT
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()


# The quick site


def _frame(data: str) -> bytes:
    frame = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(frame), frame)


def _delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "model": "gpt-4o-mini"}
    return _frame(json.dumps({**chunk, "choices": [choice]}))


_BOX = (
    b'<!doctype html><html><body><div class="wpaicg-chat-shortcode" data-type="shortcode" data-bot-id="0" '
    b'data-post-id="9" data-nonce="1a2b3c4d5e" data-openai_stream_nav="1"></div></body></html>'
)
_PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: %d\r\n\r\n" % len(_BOX)
) + _BOX
_BEGINNING = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/event-stream;charset=UTF-8\r\n"
    b"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
) + _delta("word0 ")
_REST = b"".join(_delta(f"word{number} ") for number in range(1, WORDS)) + _frame("[DONE]") + b"0\r\n\r\n"


class _Answers(asyncio.Protocol):
    """One connection."""

    waiting: list[asyncio.Transport]
    together: int

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._arrived = b""

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        head, end, body = self._arrived.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self._transport.write(_PAGE)
        elif len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        elif self.together == 1:
            self._transport.write(_BEGINNING + _REST)
        else:
            self._wait()
        self._arrived = b""

    def _wait(self) -> None:
        self._transport.write(_BEGINNING)
        self.waiting.append(self._transport)
        if len(self.waiting) == self.together:
            for transport in self.waiting:
                transport.write(_REST)
            self.waiting.clear()


async def _serve(together: int) -> None:
    _Answers.waiting, _Answers.together = [], together
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answers, "127.0.0.1", 0, backlog=10_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
