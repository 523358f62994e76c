"""The markup of a 1.x chat box: its attributes in each version, and its content.

All data is on the container's own element. Names mix `-` and `_`, some `=` have spaces around them, and the
widget of the last versions has a stray `<` in its post id. (docs/protocols.md W1)
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Literal

Version = tuple[int, ...]
BoxKind = Literal["shortcode", "widget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The data of one box."""

    kind: BoxKind
    bot: int
    nonce: str | None
    """None: the attribute is missing."""
    post_id: str
    url: str
    streams: bool
    """The page's value. The server may do otherwise."""
    is_assistant: bool
    image_nonce: str
    """A nonce of another action. Every box contains one."""


_SPEECH = (
    ("speech", ""),
    ("voice", ""),
    ("elevenlabs-model", ""),
    ("voice-error", ""),
    ("typewriter-effect =", ""),
    ("typewriter-speed", "1"),
)
_VOICE = (
    ("text_rounded", "8"),
    ("chat_rounded", "8"),
    ("voice_service", ""),
    ("voice_language", "en-US"),
    ("voice_name", "en-US-Studio-M"),
    ("voice_device", ""),
    ("voice_speed", "1"),
    ("voice_pitch", "0"),
    ("openai_model", "tts-1"),
    ("openai_voice", "alloy"),
    ("openai_output_format", "mp3"),
    ("openai_voice_speed", "1.0"),
)
_FEEDBACK = (
    ("autoload_chat_conversations", "0"),
    ("copy_btn", ""),
    ("feedback_btn =", ""),
    ("feedback_title =", "How was it?"),
    ("feedback_message =", "Tell us more, if you like"),
    ("feedback_success =", "Thanks!"),
    ("user-voice-control =", ""),
    ("voice-muted-by-default", ""),
)
_LEADS = (
    ("lead-collection =", "0"),
    ("lead-title =", "How can we reach you?"),
    ("lead-name =", "Name"),
    ("enable-lead-name =", "0"),
    ("lead-email =", "Email"),
    ("enable-lead-email =", "0"),
    ("lead-phone =", "Phone"),
    ("enable-lead-phone =", "0"),
    ("bg_text_field =", "#ffffff"),
    ("bg_text_field_font_color =", "#333333"),
    ("bg_text_field_border_color =", "#cccccc"),
)
"""Attributes that are the same on every box. A name that ends in ` =` has spaces around its `=`."""


def _attributes(box: Box, version: Version) -> list[tuple[str, str, bool]]:
    """For each attribute its name without `data-`, its value, and whether spaces stand around the `=`."""
    is_content = box.kind == "shortcode"
    post_id = f"<{box.post_id}" if not is_content and version >= (1, 9, 16) else box.post_id
    rows: list[tuple[bool, str, str]] = [
        (True, "user-bg-color", "#d9f2e6" if is_content else "#3a3f4b"),
        (True, "color", "#333333" if is_content else "#f5f5f5"),
        (True, "fontsize", "14" if is_content else "13"),
        (version < (1, 8, 96), "use-avatar", "0"),
        (version < (1, 8, 96), "user-avatar", ""),
        (version < (1, 8, 96), "you", "You"),
        (version < (1, 8, 96), "ai-avatar", ""),
        (version < (1, 8, 96), "ai-name", "AI"),
        (True, "ai-bg-color", "#e0e8f5" if is_content else "#2b2f38"),
        (box.nonce is not None, "nonce", box.nonce or ""),
        (True, "post-id", post_id),
        (True, "url", box.url),
        (True, "bot-id", str(box.bot)),
        (True, "width", "360px" if is_content else "30%"),
        (True, "height", "420px" if is_content else "40%"),
        (True, "footer", "false"),
        (is_content, "has-bar", "false"),
        *((True, *row) for row in _SPEECH),
        (True, "text_height", "60" if is_content else "40"),
        *((True, *row) for row in _VOICE),
        (True, "openai_stream_nav", "1" if box.streams else "0"),
        *((True, *row) for row in _FEEDBACK),
        (version >= (1, 8, 80), "memory-limit =", "100"),
        *((version >= (1, 8, 87), *row) for row in _LEADS),
        (version >= (1, 8, 95), "assistant-enabled", "true" if box.is_assistant else "false"),
        (version >= (1, 9, 4) and is_content, "sidebar-enabled", ""),
        (True, "type", box.kind),
    ]
    return [(name.removesuffix(" ="), value, name.endswith(" =")) for there, name, value in rows if there]


def box_html(box: Box, version: Version, *, minified: bool = False, closed: bool = True) -> str:
    """One box; `closed` False forgets its last `</div>`, as the shortcode of 1.9.4 to 1.9.7 does."""
    classes = "wpaicg-chat-shortcode"
    if box.kind == "widget":
        classes = "wpaicg-chatbox wpaicg-chat-widget-no-footer"
    attributes = _attributes(box, version)
    inside = (_shortcode_inside if box.kind == "shortcode" else _widget_inside)(box)
    end = "</div>\n" if closed else ""
    if minified:
        # As minifiers print it: sorted, with few quotes, without empty values and spaces.
        named = sorted([("class", classes), *((f"data-{name}", value) for name, value, _ in attributes)])
        start = " ".join(["<div", *(_unquoted(name, value) for name, value in named)])
        return start + ">" + re.sub(r"\s*\n\s*", "", inside) + end.strip()
    lines = [
        f'data-{name}{" = " if spaced else "="}"{_attribute(value)}"' for name, value, spaced in attributes
    ]
    return "".join([f'<div class="{classes}"', *(f"\n     {line}" for line in lines), "\n>\n", inside, end])


def widget_html(box: Box, version: Version, *, number: int, minified: bool = False) -> str:
    """A floating widget: the box in its frame, and the button that opens it."""
    return (
        f'<div data-id="{number}" id="wpaicgChat{number}" class="wpaicg_chat_widget wpaicg_widget_left">\n'
        f'<div class="wpaicg_chat_widget_content">\n{box_html(box, version, minified=minified)}</div>\n'
        f'<div class="wpaicg_toggle" id="wpaicg_toggle_{number}"><span aria-hidden="true">Chat</span></div>\n'
        "</div>\n"
    )


def _attribute(value: str) -> str:
    return html.escape(value).replace("&lt;", "<")  # the stray one is printed as it is


def _unquoted(name: str, value: str) -> str:
    if not value:
        return name
    if re.search(r"""[\s"'=<>`]""", value):
        return f'{name}="{_attribute(value)}"'
    return f"{name}={value}"


_DOTS = "".join(f'<span class="wpaicg-dot-{n}">.</span>' for n in (1, 2, 3))


def _shortcode_inside(box: Box) -> str:
    return f"""<div class="wpaicg-chat-content-wrapper">
    <div class="wpaicg-chat-shortcode-content">
        <ul class="wpaicg-chat-shortcode-messages">
            <li class="wpaicg-ai-message" style="font-size: 14px">
                <span class="wpaicg-chat-message">Hi 👋 This box is a made-up one. What would you say to it?</span>
            </li>
        </ul>
        <span class="wpaicg-bot-thinking">One moment&nbsp;<span class="wpaicg-jumping-dots">{_DOTS}</span></span>
        <div class="wpaicg-chat-shortcode-type">
            <textarea type="text" name="wpaicg-chat-shortcode-typing" class="auto-expand wpaicg-chat-shortcode-typing" placeholder="Your message"></textarea>
            <div class="wpaicg_chat_additions">
                <span class="wpaicg-mic-icon" data-type="shortcode" role="button" tabindex="0" style="display:none"></span>
                <span class="wpaicg-img-icon" data-type="shortcode" style="display:none">
                    <input type="file" id="imageUpload" class="wpaicg-img-file" accept="image/png, image/jpeg" />
                    <input type="hidden" id="wpaicg-img-nonce" value="{box.image_nonce}" />
                </span>
                <span class="wpaicg-chat-shortcode-send" role="button" aria-label="Send" tabindex="0"></span>
            </div>
        </div>
    </div>
</div>
"""  # noqa: E501


def _widget_inside(box: Box) -> str:
    return f"""<div class="wpaicg-chatbox-content">
    <ul class="wpaicg-chatbox-messages">
        <li class="wpaicg-chat-ai-message">
            <span class="wpaicg-chat-message">Hi 👋 I float, and I am made up too.</span>
        </li>
    </ul>
</div>
<span class="wpaicg-bot-thinking">One moment&nbsp;<span class="wpaicg-jumping-dots">{_DOTS}</span></span>
<div class="wpaicg-chatbox-type">
    <textarea type="text" class="auto-expand wpaicg-chatbox-typing" placeholder="Your message"></textarea>
    <div class="wpaicg_chat_additions">
        <span class="wpaicg-img-icon" data-type="widget" style="display:none">
            <input type="file" id="imageUpload" class="wpaicg-img-file" accept="image/png, image/jpeg" />
            <input type="hidden" id="wpaicg-img-nonce" value="{box.image_nonce}" />
        </span>
        <span class="wpaicg-chatbox-send" role="button" aria-label="Send" tabindex="0"></span>
    </div>
</div>
"""
