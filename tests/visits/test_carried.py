"""A visit that a client carries, while other event loops and processes use and change it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from visits.samples import SITE, cookie, login_cookie, visit

from chatgptt.net.clients import OwnClients
from chatgptt.net.cookies import make_cookie, read_cookie
from chatgptt.net.proxies import Proxies
from chatgptt.visits.current import CurrentVisit
from chatgptt.visits.kept import change_visit, find_visit, keep_visit
from chatgptt.visits.visit import changes_between

pytestmark = pytest.mark.anyio

PAGE = f"{SITE}/chat"


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Threads take turns after each few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def request_of(clients: OwnClients) -> httpx.Request:
    return clients.build_request("GET", httpx.URL(PAGE), headers={}, fields={}, timeout=httpx.Timeout(5.0))


async def test_a_cookie_that_expires_and_that_another_process_was_given_again_stays(tmp_path: Path) -> None:
    now = float(int(time.time()))
    old, other = cookie("sess", expires=now + 1), cookie("x", "1")
    known = visit(old, other)
    keep_visit(tmp_path, known)
    clients = OwnClients(Proxies(None), home=PAGE)
    current = CurrentVisit(PAGE, clients, folder=tmp_path)
    later = cookie("sess", expires=now + 3600)
    change_visit(tmp_path, known, changes_between(known.cookies, (later, other), now=now))
    await anyio.sleep(now + 2 - time.time())
    assert request_of(clients).headers["cookie"] == "x=1"
    clients.cookies.set_cookie(make_cookie(cookie("x", "2")))
    assert clients.cookie_choice is not None
    await clients.cookie_choice.note(PAGE)
    kept = find_visit(tmp_path, SITE)
    assert kept is not None
    assert {(one.name, one.value, one.expires) for one in kept.cookies} == {
        ("sess", "b", now + 3600),
        ("x", "2", None),
    }
    assert current.is_in_use


async def test_a_request_leaves_the_jar_as_it_is() -> None:
    clients = OwnClients(Proxies(None), home=PAGE)
    kept = [cookie("a"), cookie("old", expires=time.time() - 5)]
    for one in kept:
        clients.cookies.set_cookie(make_cookie(one))
    assert request_of(clients).headers["cookie"] == "a=b"
    assert {read_cookie(one).name for one in clients.cookies} == {"a", "old"}


@pytest.mark.usefixtures("switching_often")
def test_a_member_whose_cookies_are_renewed_is_never_a_guest(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(login_cookie(), cookie("n", "0")))
    current = CurrentVisit(PAGE, OwnClients(Proxies(None), home=PAGE), folder=tmp_path)
    whose, failures, is_over = {current.name}, [], threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                whose.add(current.name if current.is_member else "")
            except AttributeError as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 300):
        keep_visit(tmp_path, visit(login_cookie(), cookie("n", str(number))))
        current.refresh()
    is_over.set()
    reader.join()
    assert not failures
    assert len(whose) == 1


@pytest.mark.usefixtures("switching_often")
async def test_a_visit_that_is_taken_away_meanwhile_breaks_no_request(tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(login_cookie()))
    clients = OwnClients(Proxies(None), home=PAGE)
    current = CurrentVisit(PAGE, clients, folder=tmp_path)
    carried, is_over = clients.cookie_choice, threading.Event()
    assert current.is_in_use

    def take_away() -> None:
        while not is_over.is_set():
            clients.cookie_choice = None
            clients.cookie_choice = carried

    taking = threading.Thread(target=take_away)
    hooks = clients.get().event_hooks
    taking.start()
    try:
        for _ in range(2_000):
            request = request_of(clients)
            await hooks["request"][0](request)
            await hooks["response"][0](httpx.Response(200, headers={"set-cookie": "n=1"}, request=request))
    finally:
        is_over.set()
        taking.join()
