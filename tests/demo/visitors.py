"""What the tests of the demo talk to it with: visitors who read pages and post as a browser does.

They share nothing with the package's client, for here the demo is what is tested.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx
from selectolax.lexbor import LexborHTMLParser, LexborNode

from chatgptt.demo import DemoSite

BOXES = "div.wpaicg-chat-shortcode[data-bot-id], div.wpaicg-chatbox[data-bot-id]"
CONFIGS = ".aipkit_chat_container[data-config], .aipkit_popup_wrapper[data-config]"


def browser() -> httpx.Client:
    return httpx.Client(verify=False, trust_env=False, timeout=20)


def attributes(node: LexborNode) -> dict[str, str]:
    return {name: value or "" for name, value in node.attributes.items()}


def boxes(html: str) -> list[dict[str, str]]:
    """The 1.x boxes of a page."""
    return [attributes(node) for node in LexborHTMLParser(html).css(BOXES)]


def configs(html: str) -> list[dict[str, object]]:
    """The configs of the 2.x boxes of a page."""
    found = [attributes(node)["data-config"] for node in LexborHTMLParser(html).css(CONFIGS)]
    return [json.loads(text) for text in found if text != "{broken"]


@dataclass(frozen=True)
class Event:
    kind: str
    data: str

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.data)
        assert isinstance(found, dict)
        return found


def events(body: str) -> list[Event]:
    """The events of a stream whose lines end in LF, without comments."""
    found: list[Event] = []
    for block in body.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        if "data" in lines:
            found.append(Event(lines.get("event", ""), lines["data"]))
    return found


def field_of(data: object, *path: str | int) -> object:
    """The value at the end of a path of keys and places."""
    for step in path:
        if isinstance(step, int):
            assert isinstance(data, list)
            data = data[step]
        else:
            assert isinstance(data, dict)
            data = data[step]
    return data


@dataclass
class Wpaicg:
    """A visitor of a page with a 1.x box."""

    site: DemoSite
    client: httpx.Client
    page: str = "wpaicg/"
    client_id: str = "abcDEF1234"

    prefix: str = ""
    """Of the site, where it has more than one segment."""

    @property
    def ajax(self) -> str:
        return self.site.page(f"{self.prefix or self.page.partition('/')[0]}/wp-admin/admin-ajax.php")

    def box(self) -> dict[str, str]:
        return boxes(self.client.get(self.site.page(self.page)).text)[0]

    def fields(self, message: str, **more: str) -> dict[str, str]:
        box = self.box()
        is_widget = box["data-type"] == "widget"
        action = "wpaicg_chatbox_message" if is_widget else "wpaicg_chat_shortcode_message"
        return {
            "_wpnonce": box.get("data-nonce", ""),
            "post_id": box["data-post-id"],
            "url": box["data-url"],
            "action": action,
            "message": message,
            "bot_id": box["data-bot-id"],
            "chatbot_identity": box["data-type"],
            "wpaicg_chat_history": "[]",
            "wpaicg_chat_client_id": self.client_id,
            **more,
        }

    def send(self, message: str, **more: str) -> httpx.Response:
        return self.client.post(self.ajax, data=self.fields(message, **more))

    def text(self, message: str, **more: str) -> str:
        """The text of an answer, streamed or not."""
        return text_of(self.send(message, **more))


def text_of(response: httpx.Response) -> str:
    """The text of a 1.x answer."""
    if response.headers["content-type"].startswith("application/json"):
        data = response.json()["data"]
        assert isinstance(data, str)
        return data
    texts = []
    for event in events(response.text):
        if event.data in ("[DONE]", "") or event.kind in ("thread_id", "assistant_error"):
            continue
        if event.kind == "thread.message.delta":
            texts.append(field_of(event.json, "delta", "content", 0, "text", "value"))
        elif not event.kind and "choices" in event.data:
            delta = field_of(event.json, "choices", 0, "delta")
            assert isinstance(delta, dict)
            texts.append(delta.get("content", ""))
    return "".join(map(str, texts))


@dataclass
class Aipkit:
    """A visitor of a page with a 2.x box."""

    site: DemoSite
    client: httpx.Client
    page: str = "aipkit/"
    session: str = "11111111-2222-4333-8444-555555555555"
    conversation: str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

    @property
    def ajax(self) -> str:
        return self.site.page(f"{self.page.partition('/')[0]}/wp-admin/admin-ajax.php")

    def config(self) -> dict[str, object]:
        return configs(self.client.get(self.site.page(self.page)).text)[0]

    def hold(self, message: str, **more: str) -> httpx.Response:
        """The first request."""
        config = self.config()
        fields = {
            "action": "aipkit_cache_sse_message",
            "message": message,
            "_ajax_nonce": str(config["nonce"]),
            "bot_id": str(config["botId"]),
            **more,
        }
        return self.client.post(self.ajax, data=fields)

    def key(self, message: str) -> str:
        return str(field_of(self.hold(message).json(), "data", "cache_key"))

    def open(self, key: str, /, *, origin: str | None = None, **more: str) -> httpx.Response:
        """The second request."""
        config = self.config()
        params = {
            "action": "aipkit_frontend_chat_stream",
            "cache_key": key,
            "bot_id": str(config["botId"]),
            "session_id": self.session,
            "conversation_uuid": self.conversation,
            "post_id": str(config["postId"]),
            "_ajax_nonce": str(config["nonce"]),
            **more,
        }
        headers = {} if origin is None else {"Origin": origin}
        return self.client.get(self.ajax, params=params, headers=headers)

    def send(self, message: str, **more: str) -> httpx.Response:
        return self.open(self.key(message), origin=None, **more)

    def events(self, message: str, **more: str) -> list[Event]:
        return events(self.send(message, **more).text)

    def text(self, message: str, **more: str) -> str:
        """The answer: deltas and warnings."""
        texts = []
        for event in self.events(message, **more):
            if not event.kind:
                texts.append(event.json["delta"])
            elif event.kind == "warning":
                texts.append(event.json["error"])
        return "".join(map(str, texts))

    def refusal(self, message: str, **more: str) -> str:
        """The text of a refusal, which is an error and then the end."""
        found = self.events(message, **more)
        assert [event.kind for event in found] == ["error", "done"]
        return str(found[0].json["error"])

    def plain(self, message: str, **more: str) -> httpx.Response:
        """The one request of a bot that doesn't stream."""
        config = self.config()
        fields = {
            "action": "aipkit_frontend_chat_message",
            "_ajax_nonce": str(config["nonce"]),
            "bot_id": str(config["botId"]),
            "session_id": self.session,
            "conversation_uuid": self.conversation,
            "message": message,
            **more,
        }
        return self.client.post(self.ajax, files={name: (None, value) for name, value in fields.items()})
