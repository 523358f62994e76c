"""Changes to the file of named sites: what people wrote there stays, their comments and order included.

The new text is read before it is written, so no change makes a file that cannot be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING

from chatgptt._errors import InvalidInputError
from chatgptt.protocols.urls import page_url, without_credentials
from chatgptt.sites.file import find_site, parse_sites, read_text, sites_path
from chatgptt.sites.named import OPTIONS, NamedSite, is_name
from chatgptt.state.files import replace_file
from chatgptt.state.folder import BusyError, taking_turns

if TYPE_CHECKING:
    from tomlkit.items import Item, Key

_PATIENCE = 5.0
"""Seconds to wait for another process that changes the file; a change takes milliseconds."""


def check_addition(site: NamedSite, file: Path | None = None) -> None:
    """Raises what `add_site` would, as far as that shows without writing."""
    _with_site(site, sites_path(file))


def add_site(site: NamedSite, file: Path | None = None) -> Path:
    """Adds a site at the file's end, and makes the file where there is none; gives its path.

    Raises:
        InvalidInputError: for a name that is taken or cannot be one, for an option that cannot work, and for
            a file that cannot be read or written.
    """
    path = sites_path(file)
    with _locked(path):
        _write(path, _with_site(site, path))
    return path


def _with_site(site: NamedSite, path: Path) -> str:
    """The file's text with one more site."""
    import tomlkit  # here, since reading does without: it takes longer to load than to read the file

    text = read_text(path) or ""
    if any(known.name == site.name for known in parse_sites(text, path)):
        raise InvalidInputError(
            f"{path} has a site {site.name!r} already", hint="remove it first, or take another name"
        )
    document, table = tomlkit.parse(text), tomlkit.table()
    for key, value in _options(site).items():
        table.add(key, value)
    if text:
        document.add(tomlkit.nl())
    document.add(site.name, table)
    changed = tomlkit.dumps(document)
    parse_sites(changed, path)
    page_url(site.url)
    return changed


def remove_site(name: str, file: Path | None = None) -> Path:
    """Removes a site from the file; gives the file's path.

    Raises:
        InvalidInputError: for an unknown name, and for a file that cannot be read or written.
    """
    import tomlkit

    if not is_name(name) or find_site(name, file) is None:
        raise InvalidInputError(
            f"{without_credentials(name)!r} is no name of a site", hint="a name has no dot, colon or slash"
        )
    path = sites_path(file)
    with _locked(path):
        document = tomlkit.parse(read_text(path) or "")
        for place, (key, table) in reversed(list(enumerate(document.body))):
            if key is not None and key.key == name:
                document.body[place : place + 1] = _comments_behind(table)
        _write(path, tomlkit.dumps(document))
    return path


def _comments_behind(table: Item) -> list[tuple[Key | None, Item]]:
    """The comments behind a table's last option, and the lines between them.

    They may describe what follows: tomlkit takes all up to the next table for a part of this one.
    """
    from tomlkit.items import Comment, Table

    body = table.value.body if isinstance(table, Table) else []
    last = max((place for place, (key, _) in enumerate(body) if key is not None), default=-1)
    return list(dropwhile(lambda part: not isinstance(part[1], Comment), body[last + 1 :]))


def _options(site: NamedSite) -> dict[str, str | int | float]:
    """What its table holds, in the order of the keys."""
    given = {key: getattr(site, key.replace("-", "_")) for key in OPTIONS}
    return {key: _shortest(value) for key, value in given.items() if value not in (None, "")}


def _shortest(value: str | float) -> str | int | float:
    """A whole number without its `.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock of the file's folder, which is made where it is missing.

    Without it, of two changes at once the later one would undo the other.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(taking_turns(path.parent, _PATIENCE))
        except OSError as error:
            raise InvalidInputError(
                f"cannot use the folder {path.parent}: {error.strerror or error}",
                hint="name another file: CHATGPTT_SITES",
            ) from error
        except BusyError as error:
            raise InvalidInputError(
                f"another process has held the folder {path.parent} for {_PATIENCE:g} s",
                hint="end that process, or try again",
            ) from error
        yield


def _write(path: Path, text: str) -> None:
    """Writes the file, for its owner alone where an address in it holds a login."""
    sites = parse_sites(text, path)
    addresses = [address for site in sites for address in (site.url, site.proxy)]
    has_login = any(without_credentials(address) != address for address in addresses)
    replace_file(path, text, mode=0o600 if has_login else None)
