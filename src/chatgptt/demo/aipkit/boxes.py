r"""The bots of a 2.x site, and the markup of their boxes: a container with all its data in `data-config`.

The config is JSON in which the dangerous characters of strings are escaped as `\u00XX`, put into an
attribute between single quotes with its own quotation marks as `&quot;`. (docs/protocols.md A1)
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass

from chatgptt.demo.installation import Version
from chatgptt.demo.wordpress import php_json

_VISITOR_IP = "127.0.0.1"
"""Old versions print the visitor's address in the page. Here all visitors have this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A bot's settings.

    Attributes:
        streams: what versions up to 2.4.0 print in the page. The server accepts both ways all the same.
        quota: messages for each visitor; None is no limit.
    """

    name: str
    is_popup: bool = False
    streams: bool = True
    needs_consent: bool = False
    is_draft: bool = False
    allows_guests: bool = True
    quota: int | None = None


BOTS: dict[int, Bot] = {
    4: Bot(name="Not streaming", streams=False),
    5: Bot(name="Inline bot"),
    6: Bot(name='Popup "bot" & friends', is_popup=True),
    7: Bot(name="The other inline bot"),
    8: Bot(name="Bot that asks first", needs_consent=True),
    9: Bot(name="Bot with a quota", quota=2),
    10: Bot(name="Draft bot", is_draft=True),
    11: Bot(name="Bot for members", allows_guests=False),
    12: Bot(name="Ada &amp; Zoë&#8217;s “café” 🤖 <i>\"x\"</i> 'y' C:\\ /"),
}


def config(bot_id: int, *, version: Version, ajax_url: str, nonce: str, post_id: int) -> dict[str, object]:
    """The keys of `data-config` in this version."""
    bot = BOTS[bot_id]
    return {
        "botId": bot_id,
        "ajaxUrl": ajax_url,
        "nonce": nonce,
        "postId": post_id,
        "theme": "light",
        "popupEnabled": bot.is_popup,
        **json.loads(_APPEARANCE),
        "headerName": bot.name,
        "enableStarters": True,
        "starters": ["What is a demo?", "Who's there?"],
        "requireConsentCompliance": bot.needs_consent,
        **json.loads(_FEATURES),
        "customThemeSettings": json.loads(_THEME),
        "text": json.loads(_TEXTS),
        "customTypingText": "",
        **({"streamEnabled": bot.streams} if version < (2, 4, 1) else {}),
        **({"userIp": _VISITOR_IP} if version < (2, 3, 88) else {}),
        **({"webToggleDefaultOn": False} if version >= (2, 3, 72) else {}),
        **({"enableGoogleConversationState": False} if version >= (2, 4, 67) else {}),
    }


# Settings that are the same for every bot, as JSON.

_APPEARANCE = """{
    "popupPosition": "bottom-right", "popupDelay": 0, "popupIconType": "default", "popupIconStyle": "circle",
    "popupIconValue": "chat-bubble", "popupIconSize": "medium",
    "popupLabelEnabled": false, "popupLabelText": "", "popupLabelMode": "on_delay",
    "popupLabelDelaySeconds": 1, "popupLabelAutoHideSeconds": 0, "popupLabelDismissible": true,
    "popupLabelFrequency": "once_per_visitor", "popupLabelShowOnMobile": true,
    "popupLabelShowOnDesktop": true, "popupLabelVersion": "", "popupLabelSize": "large", "footerText": "",
    "headerAvatarType": "inherit", "headerAvatarValue": "chat-bubble", "headerAvatarUrl": "",
    "headerOnlineText": "Online", "enableFullscreen": true, "enableDownload": false, "enableCopyButton": true,
    "enableFeedback": false, "enableSidebar": false, "pdfDownloadActive": false
}"""
_FEATURES = """{
    "ttsEnabled": false, "ttsAutoPlay": false, "ttsProvider": "Google", "ttsVoiceId": "",
    "enableVoiceInputUI": false, "enableRealtimeVoiceUI": false, "directVoiceMode": false,
    "sttProvider": "OpenAI", "imageTriggers": "/image, /generate", "fileUploadEnabledUI": false,
    "imageUploadEnabledUI": false, "inputActionButtonEnabled": false, "provider": "OpenAI",
    "fileUploadProvider": "openai", "vectorStoreProvider": "openai", "enableOpenAIConversationState": false,
    "allowWebSearchTool": false, "showSources": true, "allowGoogleSearchGrounding": false
}"""
_THEME = """{
    "primary_color": "#224466", "font_family": "inherit", "bubble_border_radius": 12, "container_height": 600
}"""
_TEXTS = """{
    "sendMessage": "Send", "sending": "On its way", "typeMessage": "Your message", "thinking": "Let me think",
    "errorPrefix": "Error:", "userPrefix": "User", "clearChat": "Start again",
    "streamError": "The stream broke off.", "connError": "There is no connection.",
    "initialGreeting": "Hi there!", "initialSubgreeting": "Nobody is here, but you get an answer.",
    "newChat": "New chat", "historyGuests": "Guests have no history — it isn't kept.",
    "consentTitle": "May we?",
    "consentMessage": "What you write is read by a <b>made-up</b> AI. Please agree first.",
    "consentButton": "Agreed", "webSearchToggle": "Search the web", "dismissHint": "Away"
}"""


def config_attribute(value: object) -> str:
    """A value as the plugin prints it between single quotes."""
    text = php_json(value, unescaped_unicode=True)
    for char in "<>'&":
        text = text.replace(char, f"\\u{ord(char):04X}")
    # Take escapes pairwise, so that an escaped backslash does not escape the quotation mark behind it.
    text = re.sub(r"\\(.)", lambda escape: "\\u0022" if escape[1] == '"' else escape[0], text)
    return text.replace('"', "&quot;")


def inline_html(bot_id: int, attribute: str | None) -> str:
    """A box in the content. With `attribute` None it has no `data-config`, a fault of a site."""
    data = "" if attribute is None else f" data-config='{attribute}'"
    theme = config_attribute(json.loads(_THEME))
    return (
        '<div class="aipkit_chat_container aipkit-theme-light  aipkit-sidebar-state-closed   " '
        f'id="aipkit_chat_container_{bot_id}" data-bot-id="{bot_id}"{data} '
        f"data-custom-theme='{theme}' style=\"--demo-accent:#246\" >\n"
        f"{_inside(bot_id)}</div>\n"
    )


def popup_html(bot_id: int, attribute: str) -> str:
    """A box behind a button. The container inside has no data."""
    return f"""<div class="aipkit_popup_wrapper aipkit-popup-theme-light aipkit-popup-standard" \
id="aipkit_popup_wrapper_{bot_id}" data-config='{attribute}' data-bot-id="{bot_id}" data-icon-size="medium">
<button type="button" class="aipkit_popup_trigger aipkit_popup_position-bottom-right" \
id="aipkit_popup_trigger_{bot_id}" aria-label="Open" aria-controls="aipkit_chat_container_{bot_id}" \
aria-expanded="false"></button>
<div class="aipkit_popup_hint" id="aipkit_popup_hint_{bot_id}" hidden data-bot-id="{bot_id}"></div>
<div class="aipkit_chat_container aipkit_popup_content aipkit-theme-light  aipkit-sidebar-state-closed   " \
id="aipkit_chat_container_{bot_id}" aria-hidden="true" inert \
data-custom-theme='{config_attribute(json.loads(_THEME))}' >
{_inside(bot_id)}</div>
</div>
"""


def _inside(bot_id: int) -> str:
    return f"""<div class="aipkit_chat_body"><div class="aipkit_chat_main">
<div class="aipkit_chat_header"><div class="aipkit_header_name">{html.escape(BOTS[bot_id].name)}</div></div>
<div class="aipkit_chat_messages"></div>
<div class="aipkit_conversation_starters"></div>
<div class="aipkit_chat_input"><div class="aipkit_chat_input_wrapper">
<textarea id="aipkit_chat_input_field_{bot_id}" name="aipkit_chat_message_{bot_id}" class="aipkit_chat_input_field" placeholder="Your message" rows="1"></textarea>
<button class="aipkit_input_action_btn aipkit_chat_action_btn aipkit_send_btn" aria-label="Send" type="button"></button>
</div></div>
</div></div>
"""  # noqa: E501
