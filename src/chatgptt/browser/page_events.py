"""What happens in a tab, as it is reported to the visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of the page itself: the head of its reply, and the body of an error page."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: str = ""


class PageListener:
    """Ignores everything that happens in a tab; a visit overrides what it needs. No method waits."""

    def observe_frame(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """The watching script in a frame sent a report."""

    def forget_frame(self, frame: object) -> None:
        """A frame, or its document, is gone; None stands for all frames."""

    def observe_request(self, url: str, body: str) -> None:
        """The page sent a request to WordPress' message endpoint."""

    def observe_reply(self, url: str, body: str, request_body: str) -> None:
        """The page's scripts received a reply that may hold tokens."""

    def observe_document(self, document: Document) -> None:
        """The page itself goes to a document, the first or another one. Its body is still to come."""

    def observe_error_page(self, document: Document) -> None:
        """The body of an error page is there. Of a page that went on at once there is none."""

    def note_script_error(self, message: str) -> None:
        """A script of the page threw an exception."""

    def note_crash(self) -> None:
        """The page's process crashed, or the browser is gone."""
