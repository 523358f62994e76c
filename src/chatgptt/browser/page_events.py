"""What happens in a tab, as it is reported to the visit."""

from __future__ import annotations

from chatgptt._models import ReplyHead


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

    def observe_document(self, head: ReplyHead) -> None:
        """The page itself goes to a document, the first or another one. Its body is still to come."""

    def observe_error_page(self, head: ReplyHead, body: str) -> None:
        """The body of an error page is there. A page that went on at once has no body."""

    def note_script_error(self, message: str) -> None:
        """A script of the page threw an exception."""

    def note_crash(self) -> None:
        """The page's process crashed, or the browser is gone."""
