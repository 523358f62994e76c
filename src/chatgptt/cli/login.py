"""`chatgptt login`: keeps a person's visit, from a browser's window or a file, and says what is kept."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatgptt.cli import options, terminal
from chatgptt.cli.target import Target, open_client, with_named_site

if TYPE_CHECKING:
    from chatgptt.tokens.store import Store
    from chatgptt.visits.shared import SharedVisits
    from chatgptt.visits.visit import Visit

_TO_DO = """\
A browser's window shows {page}
Log in there, agree, or pass its check. Nothing is clicked or typed for you.
{end}; Ctrl-C keeps nothing.
"""

_DAY = 86_400.0


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
def command(target: Target, check: bool, file: Path | None, share: bool, as_json: bool) -> None:
    """Visit a page in a browser's window; later questions to its site are that visitor's.

    Cookies and local storage of the page's site are kept, of no other site, and the browser's user agent.
    """
    from chatgptt.state.folder import default_folder
    from chatgptt.visits.kept import check_place, keep_visit, load_visit

    shared = open_shared() if share else None
    target = with_named_site(target)
    page, login = _page_of(target)
    if check:
        _check(target, load_visit(default_folder(), _site_of(page)), as_json=as_json)
        return
    check_place(default_folder())
    visit = _read(file, page) if file is not None else _show(target, page, login)
    keep_visit(default_folder(), visit)
    if shared is not None:
        in_store(shared, lambda visits: visits.keep(visit))
    if as_json:
        terminal.print_json({"page": page, "visit": as_dict(visit)})
    else:
        terminal.write_text(f"kept for {visit.site}: {_describe(visit)}\n", sys.stdout)


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


def in_store(store: Store, work: Callable[[SharedVisits], Awaitable[None]]) -> None:
    """Does something with the visits of a store, and closes it."""
    import anyio

    async def do() -> None:
        try:
            assert store.visits is not None
            await work(store.visits)
        finally:
            await store.close()

    anyio.run(do)


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
    from chatgptt.visits.kept import check_contents
    from chatgptt.visits.visit import make_visit

    proxies = Proxies(target.proxy or None)
    proxies.check()
    is_pressed, has_stdin = threading.Event(), _has_stdin()
    end = "Press Enter here when you are done, or close the window" if has_stdin else "Close the window then"

    async def show() -> Visit:
        shown = await show_page(
            page,
            proxy=proxies.find(page),
            login=login,
            timeout=target.seconds,
            on_open=lambda: _begin(page, end, is_pressed if has_stdin else None),
            is_done=is_pressed.is_set,
        )
        return make_visit(
            _site_of(page),
            shown.contents,
            name=secrets.token_hex(8),
            made_at=time.time(),
            source="browser",
            user_agent=shown.user_agent,
        )

    visit = anyio.run(show)
    check_contents(visit, "the browser", hint="log in, or agree, before you press Enter or close the window")
    return visit


def _has_stdin() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.fileno() >= 0
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


def _check(target: Target, visit: Visit | None, *, as_json: bool) -> None:
    """Prints what is kept, and looks at the page.

    Raises:
        ChatGpttError: where the page shows no box with tokens.
    """
    from chatgptt._errors import TokensNotFoundError

    if not as_json:
        kept = f"kept for {visit.site}: {_describe(visit)}" if visit else "no visit is kept"
        terminal.write_text(f"{kept}\n", sys.stdout)
    with open_client(target) as client:
        boxes = client.find_boxes()
        ready = [box for box in boxes if box.nonce]
        if not ready:
            raise TokensNotFoundError(
                "the page shows a chat box, but no tokens", hint="chatgptt inspect", url=client.page
            )
        if as_json:
            shown = {"page": client.page, "visit": visit and as_dict(visit), "boxes": len(ready)}
            terminal.print_json(shown)
        else:
            number = "a chat box" if len(ready) == 1 else f"{len(ready)} chat boxes"
            terminal.write_text(f"the page shows {number} with tokens\n", sys.stdout)


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
