"""What a person can do where a site asks for one: the hints, and the signs of a login that has ended."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from chatgptt._errors import (
    ChallengeError,
    ChatGpttError,
    PageError,
    RefusedError,
    TokenRejectedError,
)
from chatgptt.protocols.page import Page
from chatgptt.state.folder import default_folder

Way = Literal["challenge", "consent", "login"]

_WAYS: dict[Way, str] = {
    "challenge": "pass it {times} in a browser window",
    "consent": "agree {times} in a browser window",
    "login": "log in {times} in a browser window",
}

_LOGIN_PAGE = "/wp-login.php"
_LOGGED_IN = "logged-in"
"""The class of the body that WordPress gives to a page for a member."""
_BEGINNINGS = ("page-id-", "page-template-", "postid-", "wp-child-theme-", "wp-theme-")
_NAMES = ("error404", "wp-custom-logo", "wp-embed-responsive", "wp-singular")
"""Classes of the body that WordPress gives to pages for all."""


def advise(way: Way, page: str, *, folder: Path | None, is_shared: bool, is_again: bool) -> str:
    """What a person can do; "" where no visit is looked for.

    Args:
        way: what the site asks for.
        page: the client's.
        folder: where its visit is kept.
        is_shared: whether its visit is looked for where others share theirs.
        is_again: whether there is a visit.
    """
    do = _WAYS[way].format(times="again" if is_again else "once")
    if folder is None and not is_shared:
        return f"{do}, and export its cookies to the file of the visit" if is_again else ""
    command = f"chatgptt login {'--share ' if is_shared else ''}--site {shlex.quote(page)}"
    if not is_shared and folder != default_folder():
        command = f"CHATGPTT_STATE_DIR={shlex.quote(str(folder))} {command}"
    return f"{do}: {command}{'; no visit is shared with this machine' if is_shared and not is_again else ''}"


def way_past(error: ChatGpttError, *, is_page: bool, is_member: bool) -> Way | None:
    """What a person could do about an error; None for nothing."""
    match error:
        case ChallengeError():
            return "challenge"
        case RefusedError(reason="consent_required"):
            return "consent"
        case RefusedError(reason="guests_disabled"):
            return "login"
        case PageError(status=401 | 403, is_block=False) if is_page or error.status == 403:
            return "login"
        case TokenRejectedError() if is_member:
            return "login"
        case _:
            return None


def may_be_ended(error: ChatGpttError, *, is_page: bool) -> bool:
    """Whether a reply is what WordPress and its plugins give to visitors who are not logged in."""
    if not isinstance(error, PageError) or error.is_block or error.status is None:
        return False
    return (is_page and error.status in (401, 403)) or (
        300 <= error.status < 400 and _LOGIN_PAGE in error.message
    )


def asks_for_login(page: Page) -> bool:
    """Whether a page is WordPress's login, or has a form of some login."""
    path = urlsplit(page.url).path
    return path.endswith(_LOGIN_PAGE) or bool(page.select('form#loginform, input[type="password" i]'))


def is_for_member(page: Page) -> bool:
    """Whether WordPress made a page for a member."""
    return _LOGGED_IN in _body_classes(page)


def is_for_guest(page: Page) -> bool:
    """Whether WordPress made a page for a guest."""
    classes = _body_classes(page)
    is_wordpress = any(name.startswith(_BEGINNINGS) or name in _NAMES for name in classes)
    return _LOGGED_IN not in classes and (is_wordpress or bool(page.select("form#loginform")))


def _body_classes(page: Page) -> list[str]:
    return [name for body in page.select("body") for name in (body.attributes.get("class") or "").split()]
