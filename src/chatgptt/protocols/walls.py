"""Recognises a wall, which answers in the site's place: a challenge or a block.

A wall is known by its vendor's marks, or by its shape: a tiny page without a box, of scripts that set a
cookie, reload or go on. A documented header is proof. The plugin's own replies and ordinary pages may hold
the marks of a body. So a reply with a protocol's keys is no wall, and neither is an event stream
(docs/protocols.md C4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser

from chatgptt._models import ReplyHead
from chatgptt.protocols.text import find_objects, is_html, read_object, unescape, without_tags
from chatgptt.protocols.urls import AJAX_PATH

_MAX_MARKED_CHARACTERS = 64 * 2**10
"""Marks are in the head of a page."""

_MAX_TINY_CHARACTERS = 20_000
"""A page of nothing but scripts that pass a check has 100 to 10,000 characters."""

_MAX_WORDS_CHARACTERS = 300
"""Such a page says little: "Please wait", "This site requires Javascript to work"."""


_Kind = Literal["challenge", "block"]
_Marks = tuple[tuple[str, re.Pattern[str]], ...]
"""Vendors, and how each one shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """What stands in the site's place.

    Attributes:
        kind: a challenge offers a check to pass; a block offers nothing.
        what: who it is and how that shows.
        is_script: whether a browser passes it by running the page's scripts, without a person.
    """

    kind: _Kind
    what: str
    is_script: bool = False


def maybe_wall(head: ReplyHead, body: str) -> Wall | None:
    """The wall that a reply comes from; None for a reply of the site.

    `body` may be the beginning of what is no page with a box and no answer.
    """
    return _in_head(head) or _in_body(head, body)


# The head


_HEADERS: tuple[tuple[str, re.Pattern[str], str, _Kind], ...] = (
    ("cf-mitigated", re.compile("challenge"), "Cloudflare", "challenge"),
    ("x-amzn-waf-action", re.compile("challenge|captcha"), "AWS WAF", "challenge"),
    ("x-amzn-waf-action", re.compile("block"), "AWS WAF", "block"),
    ("x-vercel-mitigated", re.compile("challenge"), "Vercel", "challenge"),
    ("x-vercel-mitigated", re.compile("deny"), "Vercel", "block"),
    ("sg-captcha", re.compile("challenge"), "SiteGround", "challenge"),
)
_PLACES: _Marks = (
    ("LiteSpeed", re.compile(r"/\.lsrecap/")),
    ("SiteGround", re.compile(r"/\.well-known/sgcaptcha/")),
    ("Radware", re.compile(r"^https?://validate\.perfdrive\.com/")),
)


def _in_head(head: ReplyHead) -> Wall | None:
    for name, value, vendor, kind in _HEADERS:
        seen = head.headers.get(name, "")
        if value.search(seen.lower()):
            return Wall(kind=kind, what=f"{vendor} (header {name}: {seen[:40]})")
    target = head.headers.get("location", "")
    for vendor, place in _PLACES:
        found = place.search(head.url.partition("?")[0]) or place.search(target)
        if found:
            return Wall(kind="challenge", what=f"{vendor} (it leads to {found[0]})")
    if head.status == 307 and not target:
        server = head.headers.get("server", "")[:40]
        named = f", server: {server}" if server else ""
        return Wall(kind="challenge", what=f"HTTP {head.status} without a Location{named}", is_script=True)
    return None


# The body


_SCRIPT_MARKS: _Marks = (
    (
        "Imunify360",
        re.compile(r"\bwsidchk\b|<title>\s*One moment, please\.\.\.|\bImunify360 bot-protection\b", re.I),
    ),
    ("a host's cookie check", re.compile(r"\bhumans_\d+=1")),
    ("testcookie", re.compile(r"\bslowAES\.decrypt\(|src=[\"']?/aes(?:\.min)?\.js\b")),
    ("Alibaba Cloud", re.compile(r"\bacw_sc__v\d\b|\baliyun_waf_aa\b")),
    ("ArvanCloud", re.compile(r"\b__arcsjs\b|<title>\s*Transferring to the website")),
    ("CleanTalk", re.compile(r"\bct_sfw_pass_key=|SpamFireWall is (?:activated|checking)", re.I)),
    ("F5", re.compile(r"window\[\"bobcmn\"\]")),
    ("Sucuri", re.compile(r"\bsucuri_cloudproxy_js\b")),
)
"""Checks that a browser passes by running their scripts, on pages that have hardly a word beside."""

_CHALLENGE_MARKS: _Marks = (
    (
        "Cloudflare",
        re.compile(
            r"window\._cf_chl_opt|/cdn-cgi/challenge-platform/\S{0,80}?/orchestrate/|id=\"challenge-form\""
        ),
    ),
    ("Sucuri", re.compile(r"sucuri_cloudproxy_js")),
    ("DDoS-Guard", re.compile(r"check\.ddos-guard\.net|/\.well-known/ddos-guard/")),
    ("DDoS-Guard", re.compile(r"<title>\s*ddos-guard", re.I)),
    ("Imperva", re.compile(r"_Incapsula_Resource\?(?:SWCNGEEC|CWUDNSAI)|Incapsula incident ID")),
    ("DataDome", re.compile(r"captcha-delivery\.com")),
    ("SiteGround", re.compile(r"/\.well-known/sgcaptcha/")),
    ("Vercel", re.compile(r"<title>\s*Vercel Security Checkpoint")),
    ("AWS WAF", re.compile(r"awsWafCookieDomainList|window\.gokuProps")),
    ("Anubis", re.compile(r"/\.within\.website/x/cmd/anubis/|id=\"anubis_challenge\"")),
    ("HUMAN", re.compile(r"id=\"px-captcha\"|window\._pxAppId\b")),
    ("a shield", re.compile(r"<title>\s*(?:Bot Verification|Checking your browser|DDoS protection)", re.I)),
    ("Cloudflare", re.compile(r"<title>\s*Just a moment\.\.\.", re.I)),
    ("LiteSpeed", re.compile(r"/\.lsrecap/")),
    (
        "BitNinja",
        re.compile(r"<title>\s*Visitor anti-robot validation|\bBitNinja\b.{0,400}captcha", re.I | re.S),
    ),
    ("Radware", re.compile(r"//validate\.perfdrive\.com/")),
)

_WIDGET = re.compile(r"class=[\"']?[^\"'>]{0,100}\b(g-recaptcha|h-captcha|cf-turnstile)\b")

_BLOCK_MARKS: _Marks = (
    ("Wordfence", re.compile(r"generated by Wordfence|class=[\"']?block-data\b", re.I)),
    ("ModSecurity", re.compile(r"\bmod_?security\b", re.I)),
    ("Sucuri", re.compile(r"Sucuri Web[Ss]ite Firewall")),
    (
        "Cloudflare",
        re.compile(
            r"Attention Required! \| Cloudflare|Sorry, you have been blocked|used Cloudflare to restrict"
        ),
    ),
    ("NinjaFirewall", re.compile(r"\bNinjaFirewall\b")),
    ("Patchstack", re.compile(r"\bPatchstack\b", re.I)),
    ("MalCare", re.compile(r"\bMalCare\b|Blocked because of Malicious Activities", re.I)),
    ("Shield Security", re.compile(r"\bicwp-wpsf\b|\bShield Security\b")),
    ("SecuPress", re.compile(r"\bSecuPress\b")),
    ("BulletProof Security", re.compile(r"\bBulletProof Security\b|\bBPS(?: Pro)? 403\b")),
    ("WP Cerber", re.compile(r"\bWP Cerber\b|you are not allowed to proceed", re.I)),
    ("Solid Security", re.compile(r"\b(?:iThemes|Solid) Security\b|You have been locked out", re.I)),
    ("Jetpack", re.compile(r"\bJetpack (?:WAF|Firewall|Protect)\b")),
    ("Imunify360", re.compile(r"\bImunify360\b", re.I)),
    ("F5", re.compile(r"The requested URL was rejected\. Please consult with your administrator")),
    ("Akamai", re.compile(r"Reference\s?(?:&#32;|\s)?(?:&#35;|#)18\.")),
    ("CloudFront", re.compile(r"Request blocked\..{0,400}Generated by cloudfront", re.I | re.S)),
    ("Fortinet", re.compile(r"\bFortiGuard\b|\bFortiWeb\b")),
    ("Alibaba Cloud", re.compile(r"//errors\.aliyun\.com/")),
    ("BitNinja", re.compile(r"\bBitNinja\b")),
)
"""They are proof only together with an error status: pages of sites name firewalls, too."""

_BLOCK_WORDS = re.compile(
    r"\b(?:access|request|connection|visit|ip(?: address)?)\b.{0,60}?\b(?:has|have|was|been|is|are)\b.{0,20}?"
    r"\b(?:blocked|banned|limited|restricted|blacklisted|blocklisted)\b"
    r"|\byou(?:r \S+)? (?:have been|has been|are|were|is) (?:temporarily |permanently )?"
    r"(?:blocked|banned|locked out|blacklisted)\b"
    r"|\b(?:blocked|denied|rejected|limited) by (?:the |a |an |this |our |your )?(?:\S+ ){0,3}"
    r"(?:firewall|waf|security|owner|administrator)\b"
    r"|\bweb application firewall\b",
    re.I,
)
"""The English words of a block without a vendor's mark."""

_MAINTENANCE_WORDS = re.compile(r"\bmaintenance\b|\bback (?:soon|shortly)\b", re.I)
"""The words of a site that is closed for a while; it may speak of restricted access, too."""

_UNAVAILABLE = frozenset({502, 504, *range(520, 528)})
"""Gateways' own pages, which advise to look at firewalls."""


def _in_body(head: ReplyHead, body: str) -> Wall | None:
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if head.status == 200 and kind == "text/event-stream":
        return None  # what the plugin forwards of an AI service's wall is that service's failure (W5)
    text = body[:_MAX_MARKED_CHARACTERS]
    wall = _in_json(head, body) or _by_marks(head, text) or _by_shape(head, body)
    if wall is None:
        return None
    is_in_doubt = head.status == 200 or wall.kind == "block"  # answers and refusals can quote anything
    return None if is_in_doubt and _speaks_protocol(body) else wall


_KEYS = frozenset(
    {"success", "data", "code", "status", "msg", "error", "tokenLimitReached", "ipBanned", "messageFlagged"}
    | {"apbct", "ts_required"}
)
"""Each reply of the plugin, of WordPress, and of plugins that check messages has one of these keys."""

_MAX_MESSAGE_CHARACTERS = 4_000
_MESSAGE_STATUSES = frozenset({200, 202, 401, 403, 405, 406, 409, 412, 415, 418, 451, 503})
_CHECK_WORDS = re.compile(
    r"\bbots?\b|\brobots?\b|captcha|\bhuman\b|\bjavascript\b|\bchallenge|\bautomat|\bbrowser\b|imunify360",
    re.I,
)
_REJECTION_WORDS = re.compile(r"\bnonce\b|security check|session has expired", re.I)
_WALL_WORDS = re.compile(
    r"firewall|\bwaf\b|\bblocked\b|\bdenied\b|\bforbidden\b|\bbanned\b|\bblacklist|\bsuspicious|\bmalicious|security",
    re.I,
)


def _in_json(head: ReplyHead, body: str) -> Wall | None:
    """The wall of JSON with a `message` at its top and no key of a protocol (the plugin writes none)."""
    text = body.strip("\ufeff \t\r\n")
    if (
        not text.startswith("{")
        or len(text) > _MAX_MESSAGE_CHARACTERS
        or head.status not in _MESSAGE_STATUSES
    ):
        return None
    reply = read_object(text) or {}  # caches append comments
    message = None if reply.keys() & _KEYS else reply.get("message")
    if not isinstance(message, str) or not message.strip() or _REJECTION_WORDS.search(message):
        return None
    is_alone = len(reply) == 1
    is_said = _CHECK_WORDS.search(message) or _WALL_WORDS.search(message)
    if head.status in (200, 202) and not is_alone and not is_said:
        return None  # another program's answer, such as an address of REST
    what = f"JSON with {'nothing but ' if is_alone else ''}the message {' '.join(message.split())[:200]!r}"
    if _CHECK_WORDS.search(message):
        return Wall(kind="challenge", what=what)
    if head.status in (200, 202, 403, 415) or _WALL_WORDS.search(message):
        return Wall(kind="block", what=what)
    return None


def _by_marks(head: ReplyHead, text: str) -> Wall | None:
    is_bare = not _is_of_a_site(text) and len(_words(text)) <= 2 * _MAX_WORDS_CHARACTERS
    script = _find_mark(_SCRIPT_MARKS, text) if is_bare else None
    if script is not None:
        return Wall(kind="challenge", what=script, is_script=True)
    challenge = _find_mark(_CHALLENGE_MARKS, text)
    widget = _WIDGET.search(text) if is_bare and challenge is None else None
    if widget is not None:
        challenge = _holds("a human check", widget[1])
    if challenge is not None:
        return Wall(kind="challenge", what=challenge)
    if head.status < 400 and not _is_f5(text):
        return None
    block = _find_mark(_BLOCK_MARKS, text) or _in_words(head, text)
    return None if block is None else Wall(kind="block", what=block)


def _find_mark(marks: _Marks, text: str) -> str | None:
    for vendor, mark in marks:
        found = mark.search(text)
        if found:
            return _holds(vendor, found[0])
    return None


def _in_words(head: ReplyHead, text: str) -> str | None:
    if head.status in _UNAVAILABLE or len(text) > _MAX_TINY_CHARACTERS:
        return None
    words = _words(text)
    if head.status == 503 and _MAINTENANCE_WORDS.search(words):
        return None
    found = _BLOCK_WORDS.search(words)
    return f"it says {found[0][:100]!r}" if found else None


def _is_f5(text: str) -> bool:
    """Whether it is the one block that comes with the status 200."""
    return "The requested URL was rejected." in text and len(text) < 2_000


def _holds(vendor: str, mark: str) -> str:
    return f"{vendor} (the body holds {' '.join(mark.split())[:60]!r})"


def _is_of_a_site(text: str) -> bool:
    """Whether a document is WordPress's own or has a chat box."""
    return any(mark in text for mark in ("/wp-content/", "/wp-includes/", "wpaicg", "aipkit"))


def _words(text: str) -> str:
    """A page's words, its title's among them, without its scripts'."""
    without = re.sub(r"(?is)<(script|style|noscript)\b.*?(?:</\1\s*>|\Z)", " ", text)
    return " ".join(unescape(without_tags(without)).split())


def _speaks_protocol(body: str) -> bool:
    return not is_html(body) and any(reply.keys() & _KEYS for reply in find_objects(body))


# The shape


_MEMBER = re.compile(r"\[\s*([\"'])(\w+)\1\s*\]")
_SETS_COOKIE = re.compile(
    r"\bdocument\s*\.\s*cookie\s*=(?!=)|\bcookieStore\s*\.\s*set\s*\(|\bsetCookie\s*\(", re.I
)
_RELOADS = re.compile(
    r"\blocation\s*\.\s*reload\s*\(|\bhistory\s*\.\s*go\s*\(\s*0?\s*\)|"
    r"\blocation(?:\s*\.\s*href)?\s*=\s*(?:(?:window|document|self|top)\s*\.\s*)?location\b|"
    r"\blocation\s*\.\s*(?:replace|assign)\s*\(\s*(?:(?:window|document|self|top)\s*\.\s*)?location\b"
)
_RELOADS_LATER = re.compile(
    r"\b(?:reload|location)\b[^;]{0,60};?[\s}]*,\s*(?:\d{5,}|\d{2,}\s*\*\s*1000)\s*\)"
)
"""By a timer of 10 s or more: a page that waits for its site, not one that has just passed a check."""

_GOES_ON = re.compile(
    r"\blocation\s*(?:\.\s*(?:href|search|pathname)\s*)?=(?!=)\s*(?P<target>[^;\n]*)|"
    r"\blocation\s*\.\s*(?:replace|assign)\s*\(\s*(?P<argument>[^;\n]*)"
)
_LITERAL = re.compile(r"([\"'])((?:(?!\1)[^\\]|\\.)*)\1")
_MAX_TARGET_CHARACTERS = 500
_CHOICE = re.compile(r"(?:[^?+]*\?:)+")
"""A choice among literals, `lang == "de" ? "/de/" : "/en/"`, after literals and blanks are cut out."""

_SUBMITS = re.compile(r"\.\s*(?:submit|requestSubmit)\s*\(")

_NOSCRIPT = re.compile(r"(?is)<noscript\b.*?(?:</noscript\s*>|\Z)")
_TITLE = re.compile(r"(?is)<title\b.*?(?:</title\s*>|\Z)")
_OBFUSCATED = re.compile(r"\beval\s*\(|\batob\s*\(|\b_0x[0-9a-f]{3}|\bfromCharCode\b|(?:\\x[0-9a-f]{2}){4}")
_CONTENT = (
    "a[href], article, button, iframe, main, nav, ol, object, select, table, textarea, ul, video, "
    'input:not([type="hidden" i])'
)
"""The parts of a page that a visitor reads or uses."""


def _by_shape(head: ReplyHead, body: str) -> Wall | None:
    if len(body) > _MAX_TINY_CHARACTERS or not re.search(r"<script|\bonload\b", body, re.I):
        return None
    if _is_of_a_site(body) or body.lstrip("\ufeff \t\r\n")[:1] != "<":
        return None
    tree = LexborHTMLParser(_NOSCRIPT.sub("", body))
    words = _words(_TITLE.sub(" ", body))
    if tree.css_first(_CONTENT) is not None or len(words) > _MAX_WORDS_CHARACTERS:
        return None
    scripts = [node.text() for node in tree.css("script")]
    for node in tree.css("body, img, form"):
        scripts += [value or "" for name, value in node.attributes.items() if name.startswith("on")]
    form = tree.css_first("form")
    script = _MEMBER.sub(r".\2", "\n".join(scripts))
    does = _what_it_does(head, script, None if form is None else form.attributes)
    is_empty = not words and tree.css_first("body [id]:not(script):not(form):not(input)") is None
    is_loaded = tree.css_first("script[src]") is not None
    if not does and is_empty and _is_hidden(head, script, is_loaded=is_loaded):
        does = ["hides what it does"]
    if does == ["sets a cookie"] and head.status == 200 and is_loaded and not is_empty:
        return None  # an application, whose own scripts are yet to draw it
    if not does:
        return None
    what = f"HTTP {head.status}, a page of nothing but a script that {' and '.join(does)}"
    return Wall(kind="challenge", what=what, is_script=True)


def _is_hidden(head: ReplyHead, script: str, *, is_loaded: bool) -> bool:
    """Whether scripts that cannot be read here stand where a page or a reply should be."""
    if _OBFUSCATED.search(script):
        return True
    is_reply = urlsplit(head.url).path.endswith(AJAX_PATH)
    return is_loaded and (is_reply or head.status in (202, 401, 403, 405, 406, 409, 415, 418, 429, 503))


def _what_it_does(head: ReplyHead, script: str, form: dict[str, str | None] | None) -> list[str]:
    """The actions of a wall among those of the scripts on a page.

    A script that only leads to another page of the site is a redirect, except in an error page and in the
    reply to a message.
    """
    does = []
    if _SETS_COOKIE.search(script):
        does.append("sets a cookie")
    if len(_RELOADS.findall(script)) > len(_RELOADS_LATER.findall(script)):
        does.append("reloads")
    elif any(_leads_on(head, found) for found in _GOES_ON.finditer(script)):
        does.append("goes on")
    if form is not None and _SUBMITS.search(script):
        action = _resolve(head.url, form.get("action") or "")
        if action is not None and action.netloc == urlsplit(head.url).netloc:
            does.append("submits a form")
    return does


def _leads_on(head: ReplyHead, found: re.Match[str]) -> bool:
    """Whether a script goes on as walls do: from an error, from a message's reply, or to the same page."""
    target = (found["target"] or found["argument"] or "").strip()[:_MAX_TARGET_CHARACTERS]
    here = urlsplit(head.url)
    if head.status in (404, 410):
        return False  # themes lead from what is not there to the front page
    if head.status >= 400 or here.path.endswith(AJAX_PATH):
        return True
    literals = [found[2] for found in _LITERAL.finditer(target)]
    rest = "".join(_LITERAL.sub("", target).split()).rstrip("})")
    if not literals or (rest and not _CHOICE.fullmatch(rest)):
        return "https:" not in target  # computed by the script: a wall, unless it only leads to TLS
    theres = [there for there in (_resolve(head.url, literal) for literal in literals) if there is not None]
    return any(
        (there.netloc, there.path, there.scheme) == (here.netloc, here.path, here.scheme) for there in theres
    )


def _resolve(base: str, url: str) -> SplitResult | None:
    try:
        return urlsplit(urljoin(base, url))
    except ValueError:
        return None
