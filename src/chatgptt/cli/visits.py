"""The visits that `login` and `logout` keep, show and remove: what they do, and the words for it."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from chatgptt._errors import ChatGpttError, InvalidInputError, TokensNotFoundError
from chatgptt.cli import terminal
from chatgptt.cli.target import Target, open_client, with_named_site
from chatgptt.health.report import iso
from chatgptt.net.proxies import Proxies
from chatgptt.protocols.urls import is_same_host, origin, page_url, without_login
from chatgptt.state.folder import NotOursError, default_folder
from chatgptt.visits import kept
from chatgptt.visits.visit import Visit, find_login, has_ended, make_visit

if TYPE_CHECKING:
    from chatgptt.browser.window import PersonsVisit
    from chatgptt.tokens.store import Store
    from chatgptt.visits.shared import SharedVisits

_TO_DO = """\
A browser's window shows {page}
Log in there, agree, or pass its check. Nothing is clicked or typed for you.
{end}; Ctrl-C keeps nothing.
"""

_DAY = 86_400.0

_Value = TypeVar("_Value")


def keep_visit(target: Target, file: Path | None, *, is_shared: bool, as_json: bool) -> None:
    """Keeps the visit of a file, else one in a window, and says so.

    Raises:
        ChatGpttError: where there is no visit to keep, or it cannot be kept.
    """
    store = _open_store() if is_shared else None
    target, folder = with_named_site(target), default_folder()
    page, login = without_login(page_url(target.site))
    kept.check_place(folder)
    if store is not None:
        _in_store(store, lambda visits: visits.check(origin(page)))
    visit = _read(file, page) if file is not None else _show(target, page, login)
    kept.check_loss(folder, visit)
    kept.keep_visit(folder, visit)
    if store is not None:
        _in_store(store, lambda visits: visits.keep(visit))
    words = f"kept for {visit.site}: {_describe(visit)}\n"
    terminal.print_result({"page": page, "visit": _as_dict(visit)}, words, as_json=as_json)


def forget_visit(target: Target, *, as_json: bool) -> None:
    """Removes the visit from this machine and from the store, and says so."""
    site = origin(page_url(with_named_site(target).site))
    is_removed = kept.forget_visit(default_folder(), site)
    if os.environ.get("CHATGPTT_STORE"):
        is_removed = _in_store(_open_store(), lambda visits: visits.forget(site)) or is_removed
    words = f"removed the visit to {site}\n" if is_removed else f"no visit to {site} is kept\n"
    terminal.print_result({"site": site, "is_removed": is_removed}, words, as_json=as_json)


def _open_store() -> Store:
    """The store that machines share.

    Raises:
        InvalidInputError: where none is named, or it is no Redis.
    """
    from chatgptt.tokens.redis_store import RedisStore  # here: it is of an extra

    address = os.environ.get("CHATGPTT_STORE")
    if not address:
        raise InvalidInputError("no store is shared", hint="name it in CHATGPTT_STORE, as redis://...")
    return RedisStore(address)


def _in_store(store: Store, work: Callable[[SharedVisits], Awaitable[_Value]]) -> _Value:
    """Does something with the visits of a store, and closes it."""

    async def do() -> _Value:
        try:
            assert store.visits is not None
            return await work(store.visits)
        finally:
            await store.close()

    return anyio.run(do)


def _read(file: Path, page: str) -> Visit:
    visit = kept.read_visit(file, origin(page), made_at=time.time())
    if has_ended(visit, time.time()):
        raise InvalidInputError(
            f"the login in {str(file)!r} has ended", hint="log in again, then export the cookies"
        )
    return visit


def _show(target: Target, page: str, login: tuple[str, str] | None) -> Visit:
    from chatgptt.browser.window import show_page  # here: it loads what runs a browser

    proxies = Proxies(target.proxy or None)
    proxies.check()
    is_pressed, has_keys = threading.Event(), _has_keys()
    end = "Press Enter here when you are done, or close the window" if has_keys else "Close the window then"

    async def show() -> PersonsVisit:
        return await show_page(
            page,
            proxy=proxies.find(page),
            login=login,
            timeout=target.seconds,
            on_open=lambda: _begin(page, end, is_pressed if has_keys else None),
            is_done=is_pressed.is_set,
        )

    shown = anyio.run(show)
    visit = make_visit(
        origin(page),
        shown.contents,
        name=secrets.token_hex(8),
        made_at=time.time(),
        source="browser",
        user_agent=shown.user_agent,
    )
    hint = "log in, or agree, before you press Enter or close the window"
    if not is_same_host(shown.place, page):
        hint = f"the page led to {origin(shown.place)}: give a page of that site"
    kept.check_contents(visit, "the browser", hint=hint)
    return visit


def _has_keys() -> bool:
    """Whether stdin is a terminal. What comes through a pipe may be meant for the next command."""
    try:
        return sys.stdin is not None and os.isatty(sys.stdin.fileno())
    except (OSError, ValueError):
        return False


def _begin(page: str, end: str, is_pressed: threading.Event | None) -> None:
    terminal.write_diagnosis(_TO_DO.format(page=terminal.on_one_line(page), end=end))
    if is_pressed is not None:
        # A thread that waits for input cannot be ended; as a daemon it ends with the process.
        threading.Thread(target=_wait_for_enter, args=(is_pressed,), daemon=True).start()


def _wait_for_enter(is_pressed: threading.Event) -> None:
    descriptor = sys.stdin.fileno()  # past the buffer of `sys.stdin`, whose lock Python wants at its end
    try:
        while data := os.read(descriptor, 1024):
            if b"\n" in data or b"\r" in data:
                is_pressed.set()
                return
    except OSError:
        return


# What is kept


def check_visit(target: Target, *, as_json: bool) -> int:
    """Prints what is kept or shared, and looks at the page; the exit code.

    Raises:
        ChatGpttError: where the page shows no box with tokens, and text is printed.
    """
    target = with_named_site(target)
    page, _ = without_login(page_url(target.site))
    visit, how = _find(origin(page))
    if not as_json:
        words = f"{how} for {visit.site}: {_describe(visit)}" if visit else "no visit is kept"
        terminal.write_text(f"{words}\n", sys.stdout)
    shown = visit and _as_dict(visit)
    document: dict[str, object] = {"page": page, "visit": shown, "boxes": 0, "error": None}
    try:
        number = document["boxes"] = _count_boxes(target)
    except ChatGpttError as error:
        if not as_json or isinstance(error, InvalidInputError):
            raise
        terminal.print_json(document | terminal.error_document(error))
        return 1
    boxes = "a chat box" if number == 1 else f"{number} chat boxes"
    terminal.print_result(document, f"the page shows {boxes} with tokens\n", as_json=as_json)
    return 0


def _find(site: str) -> tuple[Visit | None, str]:
    """The visit that a client would use, and how it has it."""
    visit = kept.load_visit(default_folder(), site)
    if visit is not None or not os.environ.get("CHATGPTT_STORE"):
        return visit, "kept"
    try:
        return _in_store(_open_store(), lambda visits: visits.find(site)), "shared"
    except (NotOursError, OSError) as error:
        why = f"it {error}" if isinstance(error, NotOursError) else error
        terminal.say(f"the shared visit cannot be used: {why}")
        return None, ""


def _count_boxes(target: Target) -> int:
    with open_client(target) as client:
        number = sum(bool(box.nonce) for box in client.find_boxes())
        if number == 0:
            raise TokensNotFoundError(
                "the page shows a chat box, but no tokens", hint="chatgptt inspect", url=client.page
            )
        return number


def _as_dict(visit: Visit) -> dict[str, object]:
    """A visit as `--json` prints it: nothing that would let somebody in."""
    now = time.time()
    login = find_login(visit, now)
    return {
        "site": visit.site,
        "user": login and login.user,
        "is_member": visit.is_member,
        "source": visit.source,
        "made_at": iso(visit.made_at),
        "age_s": round(now - visit.made_at),
        "ends_at": iso(login.ends_at) if login else None,
        "cookies": len(visit.cookies),
        "local_storage": len(visit.storage),
    }


def _describe(visit: Visit) -> str:
    now = time.time()
    login = find_login(visit, now)
    whose = "a visit without a WordPress login"
    if login is not None:
        user = terminal.on_one_line(login.user)
        whose = f"the visit of {user}, whose login ends in {_span(login.ends_at - now)}"
    elif visit.is_member:
        whose = "the visit of a member whose login has ended"
    where = "a browser's window" if visit.source == "browser" else "a file"
    counts = f"cookies: {len(visit.cookies)}, entries of local storage: {len(visit.storage)}"
    return f"{whose}, made {_span(now - visit.made_at)} ago in {where}; {counts}"


def _span(seconds: float) -> str:
    for size, unit in ((_DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"
