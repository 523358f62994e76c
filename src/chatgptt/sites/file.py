"""The file of named sites: a table a site, with its options.

    [shop]
    url = "https://shop.example/chat"
    bot = "3"
    expect = "OK"
    warn = 5

An unknown key is an error: a mistyped option would silently ask or check something else.
"""

from __future__ import annotations

import os
from pathlib import Path

from chatgptt._errors import InvalidInputError
from chatgptt.protocols.urls import without_credentials
from chatgptt.sites.named import NamedSite, is_name, read_table

_MAX_FILE_BYTES = 2**20
_HINT = 'a site is a table: [name], then url = "https://..." and its options'


def sites_path(file: Path | None = None) -> Path:
    """Where the sites are: `file`, else what `CHATGPTT_SITES` names, else `sites.toml` in the platform's
    folder for a program's settings.
    """
    named = file or os.environ.get("CHATGPTT_SITES")
    if named:
        return Path(named)
    import platformdirs  # here, since most of its import time is spent for nothing where a file is named

    return Path(platformdirs.user_config_dir("chatgptt", appauthor=False)) / "sites.toml"


def read_sites(file: Path | None = None) -> tuple[NamedSite, ...]:
    """The named sites, in the file's order; none where the platform's file does not exist.

    Args:
        file: instead of the file of the environment or the platform.

    Raises:
        InvalidInputError: for a file that cannot be read, and for every mistake in it.
    """
    path = sites_path(file)
    text = read_text(path)
    if text is not None:
        return parse_sites(text, path)
    if file is None and not os.environ.get("CHATGPTT_SITES"):
        return ()
    raise InvalidInputError(f"cannot read the sites in {path}: there is no such file", hint=_HINT)


def read_text(path: Path) -> str | None:
    """What the file holds; None where it does not exist.

    Raises:
        InvalidInputError: for a file that cannot be read.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ValueError("it is too large for a list of sites")
        return data.decode("utf-8-sig")  # Windows editors put a byte order mark first
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot read the sites in {path}: {error}", hint=_HINT) from error


def parse_sites(text: str, path: Path) -> tuple[NamedSite, ...]:
    """The sites of a file's text, in its order.

    Raises:
        InvalidInputError: for every mistake in it, with the line or the key.
    """
    import tomllib  # here, since a page that is given by its address needs no file

    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"cannot read the sites in {path}: {error}", hint=_HINT) from error
    return tuple(read_table(name, table, str(path)) for name, table in tables.items())


def find_site(text: str, file: Path | None = None) -> NamedSite | None:
    """The site that a name stands for; None where `text` is no name, but the address of a page.

    Raises:
        InvalidInputError: for an unknown name, with the known ones, and for a file that cannot be read.
    """
    if not is_name(text):
        return None
    sites = read_sites(file)
    found = next((site for site in sites if site.name == text), None)
    if found is not None:
        return found
    known = ", ".join(site.name for site in sites) or "none"
    raise InvalidInputError(
        f"unknown site {without_credentials(text)[:80]!r}; the named sites are: {known}",
        hint=f"name it in {sites_path(file)}, or give the page's address as https://host/path",
    )
