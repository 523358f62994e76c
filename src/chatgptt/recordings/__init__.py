"""Recorded visits: record a page once, test against it offline, and see what changed at the site.

    from chatgptt.recordings import read_case, serve_case

    with serve_case(read_case(Path("fixtures/wpaicg-stream"))) as site:
        chatgptt.ask(site.messages[0], site.page, state_dir=None)

`record` makes a case without the secrets of the visit, `serve_case` replays it on loopback, and `find_drift`
lists the differences between two recordings. pytest finds the fixture `chat_site` by itself. See
docs/fixtures.md.

- A case: `case` (values), `case_file` (bytes), `case_folder` (disk), `faults` (replies by hand).
- Recording: `recorder`, with the client's calls (`client_calls`) and a transport that keeps them (`tape`).
- Scrubbing: `scrub`, which searches (`secret_search`), replaces (`cleaner`, `standins`), shortens (`trim`).
- Replaying: `replay`, which finds replies (`matching`) and sends them (`replay_server`).
- Comparing two cases: `drift`.
- Below: `body_edits` (changes of bytes, chunks and addresses), `finder` (a search for many values at once).
"""

from chatgptt.recordings.case import Ask, Case, CaseError, Chunk, Exchange
from chatgptt.recordings.case_folder import find_cases, read_case, write_case
from chatgptt.recordings.drift import find_drift
from chatgptt.recordings.faults import read_fault
from chatgptt.recordings.recorder import Recorded, record
from chatgptt.recordings.replay import ReplayedSite, serve_case
from chatgptt.recordings.scrub import ScrubReport

__all__ = [
    "Ask",
    "Case",
    "CaseError",
    "Chunk",
    "Exchange",
    "Recorded",
    "ReplayedSite",
    "ScrubReport",
    "find_cases",
    "find_drift",
    "read_case",
    "read_fault",
    "record",
    "serve_case",
    "write_case",
]
