"""Visits on disk: one file a site in the state folder, for its owner alone, replaced in one step."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from chatgptt._errors import InvalidInputError
from chatgptt.state.files import find_place, read_file
from chatgptt.state.folder import (
    BusyError,
    NotOursError,
    check_owner,
    locked,
    maybe_state,
    read_own_file,
    remove_own_file,
    replace_own_file,
    taking_turns,
)
from chatgptt.visits import path_of_visit
from chatgptt.visits.formats import MAX_FILE_BYTES, decode, encode, read_contents
from chatgptt.visits.visit import CookieChanges, Visit, find_login, make_visit

_MAX_VISIT_BYTES = 4 * 2**20
"""More than the bounds of a visit's parts come to, each character of a cookie escaped."""

_PATIENCE = 2.0
"""Seconds to wait for another process that holds the folder's lock."""


def find_visit(folder: Path, site: str) -> Visit | None:
    """The visit that is kept for a site; None where there is none.

    Raises:
        NotOursError: where the file is not to be trusted, or is damaged.
        OSError: where the folder cannot be used.
    """
    check_owner(folder)
    path = path_of_visit(folder, site)
    state = maybe_state(path)
    data = read_own_file(path, _MAX_VISIT_BYTES, is_login=True)
    if data is None:
        if state is not None and state[2] > _MAX_VISIT_BYTES:
            raise NotOursError(f"is larger than {_MAX_VISIT_BYTES} bytes")
        return None
    visit = decode(data, site)
    if visit is None:
        raise NotOursError("is damaged")
    return visit


def load_visit(folder: Path, site: str) -> Visit | None:
    """See `find_visit`.

    Raises:
        InvalidInputError: where it cannot be read.
    """
    with _naming(folder):
        return find_visit(folder, site)


def check_place(folder: Path) -> None:
    """Whether a visit can be kept, before a person makes it.

    Raises:
        InvalidInputError: where the folder cannot be used.
    """
    with _naming(folder), locked(folder, _PATIENCE):
        if not os.access(folder, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def check_loss(folder: Path, visit: Visit) -> None:
    """Refuses a visit without a login in place of a member's: the person has not logged in again.

    Raises:
        InvalidInputError: where a login would be lost.
    """
    try:
        old = find_visit(folder, visit.site)
    except (NotOursError, OSError):
        return
    login = None if old is None else find_login(old, visit.made_at)
    if login is not None and not visit.is_member:
        raise InvalidInputError(
            f"this visit has no login; the one of {login.user!r} that is kept for {visit.site} stays",
            hint="log in, or remove that one first: chatgptt logout",
        )


def keep_visit(folder: Path, visit: Visit) -> None:
    """Keeps a visit in place of an earlier one.

    Raises:
        InvalidInputError: where the folder cannot be used.
    """
    with _naming(folder), locked(folder, _PATIENCE):
        replace_own_file(path_of_visit(folder, visit.site), encode(visit))


def change_visit(folder: Path, known: Visit, changes: CookieChanges) -> None:
    """Changes the cookies of a visit, unless it was removed or replaced meanwhile.

    Raises:
        NotOursError: where the file is not to be trusted.
        BusyError: where another process holds the lock.
        OSError: where the folder cannot be used.
    """
    with locked(folder, _PATIENCE):
        kept = find_visit(folder, known.site)
        if kept is not None and kept.id == known.id:
            replace_own_file(path_of_visit(folder, known.site), encode(kept.with_changes(changes)))


def forget_visit(folder: Path, site: str) -> bool:
    """Removes the visit of a site; whether there was one.

    Raises:
        InvalidInputError: where the folder cannot be used.
    """
    with _naming(folder):
        check_owner(folder)
        if not folder.exists():
            return False
        with taking_turns(folder, _PATIENCE):  # else a renewal that is under way would write it again
            return remove_own_file(path_of_visit(folder, site))


def read_visit(path: Path, site: str, *, made_at: float) -> Visit:
    """The visit to a site in a file that another program wrote.

    Raises:
        InvalidInputError: for a file that cannot be read, and for one that holds nothing of the site.
    """
    try:
        data = read_file(find_place(path.expanduser()), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"cannot read the visit in {str(path)!r}: {_words_of(error)}",
            hint="name a storage_state.json or a cookies.txt",
        ) from error
    name = hashlib.sha256(data).hexdigest()[:16]
    visit = make_visit(site, read_contents(data), name=name, made_at=made_at, source="file")
    hint = "export the cookies of this site, under its own host name"
    check_contents(visit, f"the file {str(path)!r}", hint=hint)
    return visit


def check_contents(visit: Visit, where: str, *, hint: str) -> None:
    """Refuses a visit without contents.

    Raises:
        InvalidInputError: with where they were looked for.
    """
    if not visit.cookies and not visit.storage:
        raise InvalidInputError(f"{where} holds no cookie and no local storage of {visit.site}", hint=hint)


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, BusyError, NotOursError) as error:
        raise InvalidInputError(
            f"the visit in {folder} cannot be used: {_words_of(error)}",
            hint="mend that, or chatgptt logout, or name another folder with CHATGPTT_STATE_DIR",
        ) from error


def _words_of(error: Exception) -> str:
    if isinstance(error, NotOursError):
        return f"it {error}"
    why = error.strerror if isinstance(error, OSError) else None
    return why or str(error) or "another process holds its lock"
