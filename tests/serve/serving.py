"""The endpoint on loopback, in a thread of its own, and requests to it."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from cli.commands import read_until, started

from chatgptt.serve.models import Catalogue
from chatgptt.serve.options import ServeOptions
from chatgptt.serve.server import Connection, build_server, listen, url_of
from chatgptt.sites.named import NamedSite

PATIENCE = 120.0
"""Seconds after which something that should have happened is a failure."""
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


@contextmanager
def serving(
    sites: Catalogue | str, options: ServeOptions | None = None, connection: type[Connection] = Connection
) -> Iterator[httpx.Client]:
    """A client of the endpoint for these sites, or for one page."""
    options = options or ServeOptions(port=0)
    catalogue = Catalogue.of_page(NamedSite(url=sites)) if isinstance(sites, str) else sites
    with listen(options) as listening:
        server = build_server(catalogue, options, connection)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            url = url_of(listening, options.host)
            with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def endpoint(*argv: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client, list[str]]]:
    """The command under way, a client of it, and its models."""
    with started("serve", "--port", "0", "--json", *argv) as process:
        document = json.loads(read_until(process, b"}\n"))
        with httpx.Client(
            base_url=document["url"].removesuffix("/v1"), timeout=PATIENCE, trust_env=False
        ) as client:
            yield process, client, document["models"]


def chat(text: str = "Hello", **fields: object) -> dict[str, object]:
    """The body of a chat completion of one message."""
    return {"model": "default", "messages": [{"role": "user", "content": text}], **fields}


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    name: str
    data: str

    @property
    def document(self) -> dict[str, object]:
        document = json.loads(self.data)
        assert isinstance(document, dict)
        return document


def events_of(text: str) -> list[Event]:
    """The events of a whole stream; comments are left out."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    return [Event(each.get("event", ""), each["data"]) for each in fields]


def chunks_of(response: httpx.Response) -> list[Mapping[str, object]]:
    """The chunks of a chat completion that is complete."""
    *chunks, end = events_of(response.text)
    assert end.data == "[DONE]"
    return [chunk.document for chunk in chunks]


def delta_of(chunk: Mapping[str, object]) -> Mapping[str, object]:
    """What a chunk adds."""
    choices = chunk["choices"]
    assert isinstance(choices, list)
    delta = choices[0]["delta"]
    assert isinstance(delta, dict)
    return delta


def text_of(response: httpx.Response) -> str:
    """The text of a chat completion, whole or streamed."""
    if response.headers["content-type"] == "application/json":
        text = response.json()["choices"][0]["message"]["content"]
    else:
        chunks = [chunk for chunk in chunks_of(response) if chunk["choices"]]
        text = "".join(str(delta_of(chunk).get("content", "")) for chunk in chunks)
    assert isinstance(text, str)
    return text


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a failure, whose form is that of all."""
    assert response.headers["x-should-retry"] == "false"
    document = response.json()
    assert document.keys() == {"error"}
    assert document["error"].keys() == {"message", "type", "param", "code"}
    assert document["error"]["message"]
    return response.status_code, document["error"]["code"]


def curl(command: str) -> httpx.Response:
    """What a command of curl gets. Not every machine has curl."""
    program, *words = shlex.split(command)
    assert program == "curl"
    urls = [word for word in words if word.startswith("http")]
    body = words[words.index("-d") + 1] if "-d" in words else None
    with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
        return client.request("GET" if body is None else "POST", *urls, content=body)
