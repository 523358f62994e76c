"""Visits and files of visits, made up."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

from chatgptt._models import StoredCookie
from chatgptt.visits.visit import Contents, StorageItem, Visit, make_visit

SITE = "https://site.example"
MADE_AT = 1_800_000_000.0


def cookie(name: str = "a", value: str = "b", domain: str = "site.example", **more: object) -> StoredCookie:
    fields = {"path": "/", "is_secure": False, **more}
    return StoredCookie(name=name, value=value, domain=domain, **fields)  # type: ignore[arg-type]


def login_value(user: str = "ada", ends_at: float | None = None) -> str:
    """The value of WordPress's login cookie."""
    end = int(time.time() + 86400 if ends_at is None else ends_at)
    return quote(f"{user}|{end}|t0ken|h4sh", safe="")


def login_cookie(
    domain: str = "site.example", ends_at: float | None = None, user: str = "ada"
) -> StoredCookie:
    return cookie("wordpress_logged_in_1f2e", login_value(user, ends_at), domain)


def visit(*cookies: StoredCookie, site: str = SITE, name: str = "one", **more: object) -> Visit:
    storage = more.pop("storage", ())
    assert isinstance(storage, tuple)
    options = {"made_at": MADE_AT, "source": "browser", "user_agent": "Person/1.0", **more}
    return make_visit(site, Contents(cookies=cookies, storage=storage), name=name, **options)  # type: ignore[arg-type]


def item(name: str = "k", value: str = "v", origin: str = SITE) -> StorageItem:
    return StorageItem(origin=origin, name=name, value=value)


def storage_state(*cookies: dict[str, object], origins: object = ()) -> bytes:
    return json.dumps({"cookies": list(cookies), "origins": origins}).encode()


def cookies_txt(*rows: tuple[str, ...]) -> bytes:
    return ("# Netscape HTTP Cookie File\n\n" + "".join("\t".join(row) + "\n" for row in rows)).encode()
