"""Makes the catalogue in `fixtures/`: every case recorded from the demo site.

    python tests/recordings/make_catalogue.py            # those that need no browser
    python tests/recordings/make_catalogue.py --browser  # those that need one
    python tests/recordings/make_catalogue.py [--browser] aipkit-  # those whose name begins so

A case that is recorded anew differs in its date alone, unless the demo site or the client has changed: `git diff` then
shows how. Cases of other sites in the same folder are left alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import anyio

from chatgptt._models import Strategy
from chatgptt.demo import DemoSite, serve
from chatgptt.recordings import record, write_case

FOLDER = Path(__file__).parents[2] / "fixtures"
FAULTS = Path(__file__).parent / "faults"


@dataclass(frozen=True, slots=True)
class Entry:
    """One case: its name, the demo's page, what is asked, and what it is about."""

    name: str
    path: str
    messages: tuple[str, ...]
    note: str
    bot: str | None = None
    faults: tuple[str, ...] = ()
    hours_later: float = 0.0
    """How much later than the demo's start the page is visited."""
    strategy: Strategy = "static"


HELLO = ("Hello",)
CHAT = ("I am Ada, and I count.", "HISTORY who am I?")
CATALOGUE = (
    # 1.x: pages
    Entry("wpaicg-page-shortcode", "wpaicg/", HELLO, "one box in the content, which streams"),
    Entry("wpaicg-page-shortcode-json", "wpaicg/json/", HELLO, "a bot that does not stream"),
    Entry("wpaicg-page-widget", "wpaicg/widget/", HELLO, "the floating widget and no box in the content"),
    Entry("wpaicg-page-custom-bot", "wpaicg/custom/", HELLO, "a bot of its own"),
    Entry("wpaicg-page-many-boxes", "wpaicg/many/", HELLO, "three boxes and the widget"),
    Entry(
        "wpaicg-page-many-boxes-wanted-bot",
        "wpaicg/many/",
        HELLO,
        "one of several bots, by its number",
        bot="5",
    ),
    Entry("wpaicg-page-many-boxes-unknown-bot", "wpaicg/many/", HELLO, "a bot that is not there", bot="77"),
    Entry("wpaicg-page-decoys", "wpaicg/decoy/", HELLO, "a box between things that look like one"),
    Entry(
        "wpaicg-page-unclosed-div",
        "wpaicg/unclosed/",
        HELLO,
        "boxes inside of each other, as in 1.9.4 to 1.9.7",
    ),
    Entry("wpaicg-page-minified", "wpaicg/minified/", HELLO, "attributes unquoted and in another order"),
    Entry(
        "wpaicg-page-foreign-ajax-url",
        "wpaicg/elsewhere/",
        HELLO,
        "the script names an endpoint on another host",
    ),
    Entry(
        "wpaicg-page-google-bot", "wpaicg/google/", HELLO, "the page expects a stream, the site sends JSON"
    ),
    Entry("wpaicg-page-widget-streams-unasked", "wpaicg/widget-streams/", HELLO, "and the other way round"),
    Entry("wpaicg-page-nonce-empty", "wpaicg/empty-nonce/", HELLO, "the nonce is in the script alone"),
    Entry(
        "wpaicg-page-nonce-placeholder", "wpaicg/placeholder/", HELLO, "the box has a placeholder for a nonce"
    ),
    Entry(
        "wpaicg-page-nonce-on-other-pages",
        "wpaicg/no-nonce/",
        HELLO,
        "a page that nobody asked for before has it",
    ),
    Entry("wpaicg-page-nonce-nowhere", "never/", HELLO, "no page of the site has a nonce"),
    Entry(
        "wpaicg-page-stale-cache",
        "wpaicg/cached/",
        HELLO,
        "a page cache is older than its nonce",
        hours_later=25,
    ),
    Entry(
        "wpaicg-page-stale-cache-hard",
        "wpaicg/cached-hard/",
        HELLO,
        "one that cannot be bypassed",
        hours_later=25,
    ),
    Entry(
        "wpaicg-page-visitor-cookie",
        "cookies/",
        HELLO,
        "the nonce is bound to a cookie, which is not recorded",
    ),
    Entry("wpaicg-page-latin1", "latin1/", HELLO, "bytes that are no UTF-8"),
    Entry("wpaicg-page-moved", "moved/", HELLO, "the address redirects to the page"),
    Entry("wpaicg-page-busy-at-first", "status/503/", HELLO, "503 with Retry-After, twice"),
    Entry("wpaicg-page-boxes-only", "wpaicg/many/", (), "nothing is asked: just the boxes"),
    # 1.x: what optimisers make of the script
    Entry("wpaicg-optimiser-data-uri", "wpaicg/wrapped-datauri/", HELLO, "a data: URI in base64"),
    Entry("wpaicg-optimiser-foreign-type", "wpaicg/wrapped-type/", HELLO, "a type that browsers do not run"),
    Entry("wpaicg-optimiser-litespeed", "wpaicg/wrapped-litespeed/", HELLO, "a data: URI in data-src"),
    Entry(
        "wpaicg-optimiser-percent-encoded", "wpaicg/wrapped-delayed/", HELLO, "percent-encoded in data-pmsrc"
    ),
    Entry("wpaicg-optimiser-minified", "wpaicg/wrapped-minified/", HELLO, "keys without quotes"),
    Entry("wpaicg-optimiser-combined-file", "wpaicg/wrapped-combined/", HELLO, "moved to another file"),
    # 1.x: older versions
    Entry("wpaicg-1.8.79-stream", "wpaicg-1.8.79/", HELLO, "JSON follows the stream"),
    Entry("wpaicg-1.8.79-json", "wpaicg-1.8.79/json/", HELLO, "the oldest known version"),
    Entry(
        "wpaicg-1.8.90-widget", "wpaicg-1.8.90/widget/", HELLO, "the last version with nonce errors as JSON"
    ),
    Entry("wpaicg-1.8.95-assistant", "wpaicg-1.8.95/assistant/", HELLO, "the first assistants"),
    Entry("wpaicg-1.8.98-many-boxes", "wpaicg-1.8.98/many/", HELLO, "older markup"),
    # 1.x: answers
    Entry("wpaicg-answer-history", "wpaicg/", CHAT, "the client sends the earlier turns"),
    Entry("wpaicg-answer-quotes", "wpaicg/", ("QUOTES",), "quotes, accents, tags and an entity"),
    Entry("wpaicg-answer-control-characters", "wpaicg/json/", ("CONTROL",), "what would act on a terminal"),
    Entry("wpaicg-answer-split-emoji", "wpaicg/", ("SURROGATE",), "an emoji in two deltas"),
    Entry("wpaicg-answer-single-bytes", "wpaicg/", ("CHUNKS 1",), "each byte in a chunk of its own"),
    Entry("wpaicg-answer-garbage-after-end", "wpaicg/", ("GARBAGE",), "an error page follows the end"),
    Entry(
        "wpaicg-answer-php-warning", "wpaicg/json/", ("PHPWARNING",), "a warning is printed before the JSON"
    ),
    Entry("wpaicg-answer-assistant", "wpaicg/assistant/", ("Hello", "THREAD"), "named events, and a thread"),
    Entry(
        "wpaicg-answer-assistant-json",
        "wpaicg/assistant-json/",
        ("Hello", "THREAD"),
        "the same without a stream",
    ),
    # 1.x: refusals
    Entry("wpaicg-refused-quota-stream", "wpaicg/", ("QUOTA",), "a flag in the stream"),
    Entry("wpaicg-refused-quota-json", "wpaicg/json/", ("QUOTA",), "JSON without a status"),
    Entry("wpaicg-refused-banned-ip-stream", "wpaicg/", ("BANIP",), "the answer follows the refusal"),
    Entry("wpaicg-refused-banned-ip-json", "wpaicg/json/", ("BANIP",), "told by its words alone"),
    Entry("wpaicg-refused-banned-words-stream", "wpaicg/", ("BANWORD",), "the answer follows the refusal"),
    Entry("wpaicg-refused-banned-words-json", "wpaicg/json/", ("BANWORD",), "told by its words alone"),
    Entry("wpaicg-refused-moderation-stream", "wpaicg/", ("MODERATION",), "a flag in the stream"),
    Entry("wpaicg-refused-moderation-json", "wpaicg/json/", ("MODERATION",), "in the site's own words"),
    # 1.x: failures
    Entry("wpaicg-provider-wrong-key-stream", "wpaicg/", ("PROVIDER401",), "disguised as an answer, twice"),
    Entry("wpaicg-provider-wrong-key-json", "wpaicg/json/", ("PROVIDER401",), "an error in JSON"),
    Entry(
        "wpaicg-provider-quoting-stream", "wpaicg/", ("PROVIDERQUOTE",), "a quote spoils the JSON of its line"
    ),
    Entry(
        "wpaicg-provider-web-page-stream",
        "wpaicg/",
        ("PROVIDERHTML",),
        "the provider answers with a web page",
    ),
    Entry("wpaicg-provider-down-json", "wpaicg/json/", ("PROVIDERDOWN",), "the provider is unreachable"),
    Entry("wpaicg-provider-fails-midway", "wpaicg/", ("MIDERROR",), "an error after some words"),
    Entry("wpaicg-provider-assistant-error", "wpaicg/assistant/", ("ASSISTANTERROR",), "a run that fails"),
    Entry("wpaicg-provider-vector-store", "wpaicg/", ("PINECONE",), "the vector store is not set up"),
    Entry("wpaicg-broken-stream-cut", "wpaicg/", ("CUT",), "the stream ends without its end"),
    Entry("wpaicg-broken-connection-dropped", "wpaicg/", ("DROP",), "closed in the middle of a chunk"),
    Entry("wpaicg-broken-connection-reset", "wpaicg/", ("RESET",), "reset after some words"),
    Entry("wpaicg-broken-no-reply", "wpaicg/", ("DROPFIRST",), "closed before any byte of the reply"),
    Entry("wpaicg-broken-critical-error", "wpaicg/", ("ERR500",), "PHP died"),
    Entry("wpaicg-broken-empty-stream", "wpaicg/", ("EMPTY",), "an answer without a text"),
    Entry("wpaicg-busy-too-long", "wpaicg/", ("BUSYLONG",), "429 with a Retry-After of two hours"),
    # 1.x: nonces
    Entry(
        "wpaicg-nonce-rejected-403", "wpaicg/", ("NONCE",), "from 1.8.91 on: 403 and a bit of HTML, each time"
    ),
    Entry("wpaicg-nonce-rejected-once", "wpaicg/", ("NONCEONCE",), "fresh tokens cure it"),
    Entry("wpaicg-nonce-rejected-200", "wpaicg-1.8.90/", ("NONCE",), "up to 1.8.90: 200 and JSON"),
    # 2.x: pages
    Entry("aipkit-page-inline", "aipkit/", HELLO, "an inline box"),
    Entry("aipkit-page-popup", "aipkit/popup/", HELLO, "a popup, whose inner container has no data"),
    Entry("aipkit-page-many-boxes", "aipkit/many/", HELLO, "two inline boxes, a popup, and one bot twice"),
    Entry(
        "aipkit-page-wanted-bot",
        "aipkit/many/",
        HELLO,
        "one of several bots, by its name",
        bot="The other inline bot",
    ),
    Entry("aipkit-page-decoys", "aipkit/decoy/", HELLO, "a box between things that look like one"),
    Entry("aipkit-page-entities", "aipkit/entities/", HELLO, "a name that needs every kind of escaping"),
    Entry(
        "aipkit-page-foreign-ajax-url",
        "aipkit/elsewhere/",
        HELLO,
        "the config names an endpoint on another host",
    ),
    Entry("aipkit-page-nonce-empty", "aipkit/empty-nonce/", HELLO, "the site is asked for a nonce"),
    Entry("aipkit-page-no-config", "aipkit/no-config/", HELLO, "the container alone names the bot"),
    Entry(
        "aipkit-page-nonce-nowhere", "aipkit-2.3.20/empty-nonce/", HELLO, "before 2.3.41 there is none to ask"
    ),
    Entry(
        "aipkit-page-stale-cache",
        "aipkit/cached/",
        HELLO,
        "a page cache is older than its nonce",
        hours_later=25,
    ),
    Entry(
        "aipkit-2.3.20-stream",
        "aipkit-2.3.20/",
        HELLO,
        "no status events, no padding, the visitor's address shows",
    ),
    Entry("aipkit-2.3.43-no-stream", "aipkit-2.3.43/json/", HELLO, "a bot that would rather not stream"),
    # 2.x: answers
    Entry("aipkit-answer-history", "aipkit/", CHAT, "the site keeps the conversation"),
    Entry("aipkit-answer-warning", "aipkit/", ("WARNING",), "a warning is part of the answer"),
    Entry("aipkit-answer-citations", "aipkit/", ("CITATIONS",), "events that are not of the answer"),
    Entry("aipkit-answer-unknown-events", "aipkit/", ("UNKNOWNEVENT",), "events of unknown kinds"),
    Entry("aipkit-answer-single-bytes", "aipkit-2.3.43/", ("CHUNKS 1",), "each byte in a chunk of its own"),
    Entry("aipkit-answer-garbage-after-end", "aipkit/", ("GARBAGE",), "an error page follows the end"),
    Entry("aipkit-answer-message-lost-once", "aipkit/", ("KEYLOSTONCE",), "it is handed in again"),
    # 2.x: refusals
    Entry("aipkit-refused-quota", "aipkit/", ("QUOTA",), "with a quota_notice"),
    Entry("aipkit-refused-quota-2.3", "aipkit-2.3.20/", ("QUOTA",), "told by its words alone"),
    Entry("aipkit-refused-banned-ip", "aipkit/", ("BANIP",), "an error before the message starts"),
    Entry("aipkit-refused-banned-words", "aipkit/", ("BANWORD",), "an error before the message starts"),
    Entry("aipkit-refused-moderation", "aipkit/", ("MODERATION",), "an error before the message starts"),
    Entry("aipkit-refused-guests", "aipkit/guests-disabled/", HELLO, "a bot for members only"),
    Entry("aipkit-refused-draft-bot", "aipkit/draft/", HELLO, "a bot that shows and refuses"),
    Entry("aipkit-refused-consent", "aipkit/consent/", HELLO, "the client agrees to nothing"),
    # 2.x: failures
    Entry("aipkit-provider-wrong-key", "aipkit/", ("PROVIDER401",), "an error after the message starts"),
    Entry("aipkit-provider-down", "aipkit/", ("PROVIDERDOWN",), "the provider is unreachable"),
    Entry("aipkit-provider-fails-midway", "aipkit/", ("MIDERROR",), "an error after some words"),
    Entry("aipkit-broken-stream-cut", "aipkit/", ("CUT",), "the provider breaks off"),
    Entry("aipkit-broken-connection-dropped", "aipkit/", ("DROP",), "closed in the middle of a chunk"),
    Entry("aipkit-broken-critical-error", "aipkit/", ("ERR500",), "PHP died"),
    Entry(
        "aipkit-broken-plugin-off",
        "aipkit/",
        HELLO,
        "the action is unknown",
        faults=("unknown-action", "unknown-action"),
    ),
    # 2.x: nonces
    Entry("aipkit-nonce-rejected-upload", "aipkit/", ("NONCE",), "403 to the first request"),
    Entry("aipkit-nonce-rejected-stream", "aipkit/", ("NONCESTREAM",), "an event of the second request"),
    Entry("aipkit-nonce-rejected-once", "aipkit/", ("NONCEONCE",), "a fresh one cures it"),
    # Neither
    Entry(
        "challenge-page-by-header", "challenge/cloudflare/", HELLO, "a bot protection, and a header says so"
    ),
    Entry("challenge-page-by-body", "challenge/body/", HELLO, "only its text says so"),
    Entry("challenge-message", "challenge/message/", HELLO, "the page comes, the message is challenged"),
    Entry("no-chat-page", "wpaicg/nochat/", HELLO, "a page of such a site, without a box"),
    Entry("no-chat-pdf", "pdf/", HELLO, "no web page at all"),
    Entry("no-chat-json", "json-page/", HELLO, "JSON"),
    Entry("no-chat-404", "status/404/", HELLO, "a page that is not there"),
    Entry("no-chat-busy", "status/429/", HELLO, "429 with a Retry-After of an hour"),
)


def browsed(
    name: str, path: str, note: str, messages: tuple[str, ...] = HELLO, strategy: Strategy = "auto"
) -> Entry:
    """A case that needs a browser; with `auto` the cheap rungs have failed before."""
    return Entry(name, path, messages, note, strategy=strategy)


IN_BROWSER = (
    # 1.x: how the nonce comes
    browsed("wpaicg-browser-nonce-fetched", "browser/fetched/", "a script fetches the nonce"),
    browsed("wpaicg-browser-nonce-fetched-late", "browser/late/", "the same, after two seconds"),
    browsed("wpaicg-browser-nonce-by-timer", "scripted/", "a script sets it after a moment"),
    browsed("wpaicg-browser-nonce-flickers", "scripted/flicker/", "a wrong one is set first"),
    browsed("wpaicg-browser-nonce-placeholder", "browser/placeholder/", "a real-looking one is served first"),
    browsed("wpaicg-browser-nonce-in-global", "browser/global/", "it is in a script's global alone"),
    browsed("wpaicg-browser-nonce-in-reply", "browser/reply/", "a script keeps it to itself"),
    browsed("wpaicg-browser-nonce-in-request", "browser/request/", "the page itself sends it"),
    browsed("wpaicg-browser-nonce-never", "browser/never/", "a box that never gets one", strategy="browser"),
    browsed("wpaicg-browser-waits-for-hands", "browser/delayed/", "nothing happens until the visitor moves"),
    # 1.x: where the box is
    browsed("wpaicg-browser-box-injected", "browser/injected/", "a script makes box and nonce"),
    browsed(
        "wpaicg-browser-box-injected-boxes-only", "browser/injected/", "nothing is asked: just the boxes", ()
    ),
    browsed("wpaicg-browser-box-in-popup", "browser/popup/", "it is made when its button is pressed"),
    browsed("wpaicg-browser-box-in-frame", "browser/frame/", "it is in a frame of the same site"),
    browsed(
        "wpaicg-browser-box-in-foreign-frame", "browser/frame-elsewhere/", "it is in a frame of another host"
    ),
    browsed("wpaicg-browser-box-in-open-shadow", "browser/shadow-open/", "it is in an open shadow root"),
    browsed("wpaicg-browser-box-in-closed-shadow", "browser/shadow-closed/", "it is in a closed shadow root"),
    # 1.x: what is around it
    browsed("wpaicg-browser-never-idle", "browser/busy/", "the page is never loaded, its network never idle"),
    browsed("wpaicg-browser-script-fails", "browser/error/", "a script throws before the nonce comes"),
    browsed("wpaicg-browser-heavy", "browser/heavy/", "pictures, fonts and measuring around it"),
    browsed("wpaicg-browser-pushy", "browser/pushy/", "dialogs, windows and foreign schemes first"),
    browsed("wpaicg-browser-consent", "browser/consent/", "the chat waits for the visitor's consent"),
    browsed("wpaicg-browser-history", "browser/fetched/", "one visit serves a conversation", CHAT, "browser"),
    browsed("wpaicg-browser-plain-page", "wpaicg/", "a page that would need no browser", HELLO, "browser"),
    # 2.x
    browsed("aipkit-browser-embed", "browser-2x/embed/", "a script fetches bot and box"),
    browsed("aipkit-browser-box-by-timer", "scripted-aipkit/", "a script sets the box up after a moment"),
    # Neither
    browsed("challenge-browser-by-script", "browser/challenged/", "a script goes on to a challenge"),
    browsed("challenge-browser-by-header", "challenge/cloudflare/", "instead of the page", HELLO, "browser"),
    browsed("no-chat-browser", "browser/nochat/", "no box, whatever runs", HELLO, "browser"),
)


async def make(entry: Entry, demo: DemoSite, folder: Path = FOLDER) -> list[str]:
    """Records one case; the report's lines."""
    from chatgptt.recordings import read_fault

    demo.clear()
    recorded = await record(
        demo.page(entry.path),
        entry.messages,
        bot=entry.bot,
        note=entry.note,
        strategy=entry.strategy,
        faults=[read_fault(FAULTS / f"{name}.http") for name in entry.faults],
        ticks=lambda: 0.0,  # the demo answers at once; what passes is this machine's time
    )
    write_case(recorded.case, folder / entry.name)
    return recorded.report.lines()


def main(arguments: list[str]) -> None:
    """Makes what the arguments ask for."""
    wanted = tuple(argument for argument in arguments if not argument.startswith("-"))
    for entry in IN_BROWSER if "--browser" in arguments else CATALOGUE:
        if wanted and not entry.name.startswith(wanted):
            continue
        with serve() as demo:
            demo.advance(entry.hours_later * 3600)
            lines = anyio.run(make, entry, demo)
        print(f"{entry.name}: {'; '.join(lines)}")


if __name__ == "__main__":
    main(sys.argv[1:])
