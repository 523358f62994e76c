"""`chatgptt login`: keeps a person's visit, from a browser's window or a file, and says what is kept."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from chatgptt.cli import options, terminal
from chatgptt.cli.target import Target, open_client, with_named_site

if TYPE_CHECKING:
    from chatgptt.browser.window import PersonsVisit
    from chatgptt.tokens.store import Store
    from chatgptt.visits.shared import SharedVisits
    from chatgptt.visits.visit import Visit

_TO_DO = """\
A browser's window shows {page}
Log in there, agree, or pass its check. Nothing is clicked or typed for you.
{end}; Ctrl-C keeps nothing.
"""

_DAY = 86_400.0

_Value = TypeVar("_Value")


@click.command(
    "login",
    short_help="Visit a page in a window, to be asked as that visitor.",
    epilog=options.examples(
        "chatgptt login --site https://site.example/chat",
        "chatgptt login --site https://site.example/chat --import cookies.txt",
        "chatgptt login --site https://site.example/chat --check",
    ),
)
@options.target(60.0)
@click.option("--check", is_flag=True, help="Only say what is kept, and whether the page shows a chat box.")
@options.path(
    "--import", "file", metavar="FILE", help="Take a storage_state.json or a cookies.txt made elsewhere."
)
@click.option("--share", is_flag=True, help="Keep it in the Redis of CHATGPTT_STORE too.")
@options.reporting()
def command(target: Target, check: bool, file: Path | None, share: bool, as_json: bool) -> int | None:
    """Visit a page in a browser's window; later questions to its site are that visitor's.

    Cookies and local storage of the page's site are kept, of no other site, and the browser's user agent.
    """
    from chatgptt.state.folder import default_folder
    from chatgptt.visits.kept import check_loss, check_place, keep_visit

    if check and (file is not None or share):
        raise click.UsageError("--check keeps nothing: leave out --import and --share")
    shared = open_shared() if share else None
    target = with_named_site(target)
    page, login = _page_of(target)
    if check:
        return _check(target, page, as_json=as_json)
    check_place(default_folder())
    if shared is not None:
        in_store(shared, lambda visits: visits.check(_site_of(page)))
    visit = _read(file, page) if file is not None else _show(target, page, login)
    check_loss(default_folder(), visit)
    keep_visit(default_folder(), visit)
    if shared is not None:
        in_store(shared, lambda visits: visits.keep(visit))
    if as_json:
        terminal.print_json({"page": page, "visit": as_dict(visit)})
    else:
        terminal.write_text(f"kept for {visit.site}: {_describe(visit)}\n", sys.stdout)
    return None


def open_shared() -> Store:
    """The store that machines share.

    Raises:
        InvalidInputError: where none is named, or it is no Redis.
    """
    from chatgptt._errors import InvalidInputError
    from chatgptt.tokens.redis_store import RedisStore

    address = os.environ.get("CHATGPTT_STORE")
    if not address:
        raise InvalidInputError("no store is shared", hint="name it in CHATGPTT_STORE, as redis://...")
    return RedisStore(address)


def in_store(store: Store, work: Callable[[SharedVisits], Awaitable[_Value]]) -> _Value:
    """Does something with the visits of a store, and closes it."""
    import anyio

    async def do() -> _Value:
        try:
            assert store.visits is not None
            return await work(store.visits)
        finally:
            await store.close()

    return anyio.run(do)


def _page_of(target: Target) -> tuple[str, tuple[str, str] | None]:
    from chatgptt.protocols.urls import page_url, without_login

    return without_login(page_url(target.site))


def _site_of(page: str) -> str:
    from chatgptt.protocols.urls import origin

    return origin(page)


def _read(file: Path, page: str) -> Visit:
    from chatgptt._errors import InvalidInputError
    from chatgptt.visits.kept import read_visit
    from chatgptt.visits.visit import has_ended

    visit = read_visit(file, _site_of(page), made_at=time.time())
    if has_ended(visit, time.time()):
        raise InvalidInputError(
            f"the login in {str(file)!r} has ended", hint="log in again, then export the cookies"
        )
    return visit


def _show(target: Target, page: str, login: tuple[str, str] | None) -> Visit:
    import secrets

    import anyio

    from chatgptt.browser.window import show_page
    from chatgptt.net.proxies import Proxies
    from chatgptt.protocols.urls import is_same_host
    from chatgptt.visits.kept import check_contents
    from chatgptt.visits.visit import make_visit

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
        _site_of(page),
        shown.contents,
        name=secrets.token_hex(8),
        made_at=time.time(),
        source="browser",
        user_agent=shown.user_agent,
    )
    hint = "log in, or agree, before you press Enter or close the window"
    if not is_same_host(shown.place, page):
        hint = f"the page led to {_site_of(shown.place)}: give a page of that site"
    check_contents(visit, "the browser", hint=hint)
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


def _check(target: Target, page: str, *, as_json: bool) -> int:
    """Prints what is kept or shared, and looks at the page; the exit code.

    Raises:
        ChatGpttError: where the page shows no box with tokens, and text is printed.
    """
    from chatgptt._errors import ChatGpttError, InvalidInputError

    visit, how = _find(_site_of(page))
    if not as_json:
        words = f"{how} for {visit.site}: {_describe(visit)}" if visit else "no visit is kept"
        terminal.write_text(f"{words}\n", sys.stdout)
    document: dict[str, object] = {"page": page, "visit": visit and as_dict(visit), "boxes": 0, "error": None}
    try:
        number = document["boxes"] = _count_boxes(target)
    except ChatGpttError as error:
        if not as_json or isinstance(error, InvalidInputError):
            raise
        terminal.print_json(document | terminal.error_document(error))
        return 1
    if as_json:
        terminal.print_json(document)
    else:
        boxes = "a chat box" if number == 1 else f"{number} chat boxes"
        terminal.write_text(f"the page shows {boxes} with tokens\n", sys.stdout)
    return 0


def _find(site: str) -> tuple[Visit | None, str]:
    """The visit that a client would use, and how it has it."""
    from chatgptt.state.folder import NotOursError, default_folder
    from chatgptt.visits.kept import load_visit

    visit = load_visit(default_folder(), site)
    if visit is not None or not os.environ.get("CHATGPTT_STORE"):
        return visit, "kept"
    try:
        return in_store(open_shared(), lambda visits: visits.find(site)), "shared"
    except (NotOursError, OSError) as error:
        why = f"it {error}" if isinstance(error, NotOursError) else error
        terminal.write_diagnosis(f"the shared visit cannot be used: {why}\n")
        return None, ""


def _count_boxes(target: Target) -> int:
    from chatgptt._errors import TokensNotFoundError

    with open_client(target) as client:
        number = sum(bool(box.nonce) for box in client.find_boxes())
        if number == 0:
            raise TokensNotFoundError(
                "the page shows a chat box, but no tokens", hint="chatgptt inspect", url=client.page
            )
        return number


def as_dict(visit: Visit) -> dict[str, object]:
    """A visit as `--json` prints it: nothing that would let somebody in."""
    from chatgptt.health.report import iso
    from chatgptt.visits.visit import find_login

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
    from chatgptt.visits.visit import find_login

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
