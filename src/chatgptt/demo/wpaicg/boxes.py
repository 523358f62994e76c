"""The markup of a 1.x chat box: its attributes in each version, and its content.

All data is on the container's own element. Names mix `-` and `_`, some `=` have spaces around them, and the
widget of the last versions has a stray `<` in its post id. (docs/protocols.md W1)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from chatgptt.demo.installation import Version

BoxKind = Literal["shortcode", "widget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The data of one box.

    Attributes:
        nonce: its own; with None the attribute is missing.
        streams: what the page says. The server may do otherwise.
        image_nonce: a nonce of another action. Every box contains one.
    """

    kind: BoxKind
    bot: int
    nonce: str | None
    post_id: str
    url: str
    streams: bool
    is_assistant: bool
    image_nonce: str


# Attributes that are the same on every box.

_AVATARS = """data-use-avatar="0" data-user-avatar="" data-you="You" data-ai-avatar="" data-ai-name="AI" """
_SPEECH = """data-speech="" data-voice="" data-elevenlabs-model="" data-voice-error=""
data-typewriter-effect = "" data-typewriter-speed="1" """
_VOICE = """data-text_rounded="8" data-chat_rounded="8" data-voice_service="" data-voice_language="en-US"
data-voice_name="en-US-Studio-M" data-voice_device="" data-voice_speed="1" data-voice_pitch="0"
data-openai_model="tts-1" data-openai_voice="alloy" data-openai_output_format="mp3"
data-openai_voice_speed="1.0" """
_FEEDBACK = """data-autoload_chat_conversations="0" data-copy_btn="" data-feedback_btn = ""
data-feedback_title = "How was it?" data-feedback_message = "Tell us more, if you like"
data-feedback_success = "Thanks!" data-user-voice-control = "" data-voice-muted-by-default="" """
_LEADS = """data-lead-collection = "0" data-lead-title = "How can we reach you?" data-lead-name = "Name"
data-enable-lead-name = "0" data-lead-email = "Email" data-enable-lead-email = "0" data-lead-phone = "Phone"
data-enable-lead-phone = "0" data-bg_text_field = "#ffffff" data-bg_text_field_font_color = "#333333"
data-bg_text_field_border_color = "#cccccc" """


def _attributes(box: Box, version: Version) -> str:
    """The attributes of this version, as the plugin writes them."""
    in_content = box.kind == "shortcode"
    colors = (
        ("#d9f2e6", "#333333", "14", "#e0e8f5") if in_content else ("#3a3f4b", "#f5f5f5", "13", "#2b2f38")
    )
    width, height, text_height = ("360px", "420px", "60") if in_content else ("30%", "40%", "40")
    stray = "<" if not in_content and version >= (1, 9, 16) else ""
    parts = (
        f'data-user-bg-color="{colors[0]}" data-color="{colors[1]}" data-fontsize="{colors[2]}"',
        _AVATARS if version < (1, 8, 96) else "",
        f'data-ai-bg-color="{colors[3]}"',
        "" if box.nonce is None else f'data-nonce="{box.nonce}"',
        f'data-post-id="{stray}{box.post_id}" data-url="{box.url}" data-bot-id="{box.bot}"',
        f'data-width="{width}" data-height="{height}" data-footer="false"',
        'data-has-bar="false"' if in_content else "",
        f'{_SPEECH} data-text_height="{text_height}" {_VOICE}',
        f'data-openai_stream_nav="{"1" if box.streams else "0"}" {_FEEDBACK}',
        'data-memory-limit = "100"' if version >= (1, 8, 80) else "",
        _LEADS if version >= (1, 8, 87) else "",
        f'data-assistant-enabled="{str(box.is_assistant).lower()}"' if version >= (1, 8, 95) else "",
        'data-sidebar-enabled=""' if version >= (1, 9, 4) and in_content else "",
        f'data-type="{box.kind}"',
    )
    return " ".join(parts)


def box_html(box: Box, version: Version, *, minified: bool = False, closed: bool = True) -> str:
    """One box; `closed` False forgets its last `</div>`, as the shortcode of 1.9.4 to 1.9.7 does."""
    is_widget = box.kind == "widget"
    classes = "wpaicg-chatbox wpaicg-chat-widget-no-footer" if is_widget else "wpaicg-chat-shortcode"
    inside = (_WIDGET if is_widget else _SHORTCODE).format(dots=_DOTS, image_nonce=box.image_nonce)
    attributes = re.findall(r'(\S+?)( ?= ?)"([^"]*)"', _attributes(box, version))
    end = "</div>\n" if closed else ""
    if minified:
        # As minifiers print it: sorted, with few quotes, without empty values and spaces.
        named = sorted([("class", classes), *((name, value) for name, _, value in attributes)])
        start = " ".join(["<div", *(_unquoted(name, value) for name, value in named)])
        return start + ">" + re.sub(r"\s*\n\s*", "", inside) + end.strip()
    lines = "".join(f'\n     {name}{equals}"{value}"' for name, equals, value in attributes)
    return f'<div class="{classes}"{lines}\n>\n{inside}{end}'


def widget_html(box: Box, version: Version, *, number: int, minified: bool = False) -> str:
    """A floating widget: the box in its frame, and the button that opens it."""
    return (
        f'<div data-id="{number}" id="wpaicgChat{number}" class="wpaicg_chat_widget wpaicg_widget_left">\n'
        f'<div class="wpaicg_chat_widget_content">\n{box_html(box, version, minified=minified)}</div>\n'
        f'<div class="wpaicg_toggle" id="wpaicg_toggle_{number}"><span aria-hidden="true">Chat</span></div>\n'
        "</div>\n"
    )


def _unquoted(name: str, value: str) -> str:
    if not value:
        return name
    if re.search(r"""[\s"'=<>`]""", value):
        return f'{name}="{value}"'
    return f"{name}={value}"


_DOTS = "".join(f'<span class="wpaicg-dot-{n}">.</span>' for n in (1, 2, 3))


_SHORTCODE = """<div class="wpaicg-chat-content-wrapper">
    <div class="wpaicg-chat-shortcode-content">
        <ul class="wpaicg-chat-shortcode-messages">
            <li class="wpaicg-ai-message" style="font-size: 14px">
                <span class="wpaicg-chat-message">Hi 👋 This box is a made-up one. What would you say to it?</span>
            </li>
        </ul>
        <span class="wpaicg-bot-thinking">One moment&nbsp;<span class="wpaicg-jumping-dots">{dots}</span></span>
        <div class="wpaicg-chat-shortcode-type">
            <textarea type="text" name="wpaicg-chat-shortcode-typing" class="auto-expand wpaicg-chat-shortcode-typing" placeholder="Your message"></textarea>
            <div class="wpaicg_chat_additions">
                <span class="wpaicg-mic-icon" data-type="shortcode" role="button" tabindex="0" style="display:none"></span>
                <span class="wpaicg-img-icon" data-type="shortcode" style="display:none">
                    <input type="file" id="imageUpload" class="wpaicg-img-file" accept="image/png, image/jpeg" />
                    <input type="hidden" id="wpaicg-img-nonce" value="{image_nonce}" />
                </span>
                <span class="wpaicg-chat-shortcode-send" role="button" aria-label="Send" tabindex="0"></span>
            </div>
        </div>
    </div>
</div>
"""  # noqa: E501
_WIDGET = """<div class="wpaicg-chatbox-content">
    <ul class="wpaicg-chatbox-messages">
        <li class="wpaicg-chat-ai-message">
            <span class="wpaicg-chat-message">Hi 👋 I float, and I am made up too.</span>
        </li>
    </ul>
</div>
<span class="wpaicg-bot-thinking">One moment&nbsp;<span class="wpaicg-jumping-dots">{dots}</span></span>
<div class="wpaicg-chatbox-type">
    <textarea type="text" class="auto-expand wpaicg-chatbox-typing" placeholder="Your message"></textarea>
    <div class="wpaicg_chat_additions">
        <span class="wpaicg-img-icon" data-type="widget" style="display:none">
            <input type="file" id="imageUpload" class="wpaicg-img-file" accept="image/png, image/jpeg" />
            <input type="hidden" id="wpaicg-img-nonce" value="{image_nonce}" />
        </span>
        <span class="wpaicg-chatbox-send" role="button" aria-label="Send" tabindex="0"></span>
    </div>
</div>
"""
