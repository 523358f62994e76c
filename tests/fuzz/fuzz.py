"""Fuzzes the readers of foreign bytes, guided by coverage: what no test thought of.

    python tests/fuzz/fuzz.py [SECONDS] [READER ...]     # 60 seconds for each reader, or for those named

Starts from the recorded cases in `fixtures/`. What it found interesting, and what crashed a reader, is kept in
`.fuzz/`; to see a crash again: `python tests/fuzz/fuzz.py --once READER FILE`. Exits with 1 where one crashed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["chatgptt"]):
    from hostile.readers import READERS, read

    from chatgptt.state.folder import NotOursError
    from chatgptt.tokens.records import decode

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".fuzz"
SITE = "https://shop.example"

MAX_BYTES = 2**16
MAX_SECONDS = 20
"""For one input of `MAX_BYTES`; the slowest take a second."""
MAX_MB = 1024


def read_state(data: bytes) -> object:
    """A file of the token store."""
    try:
        return repr(decode(data, SITE))
    except NotOursError as error:  # a file of a later version
        return type(error).__name__


TARGETS: dict[str, Callable[[bytes], object]] = {**READERS, "state": read_state}

_SEEDS = {
    "page": ("*.html", b""),
    "document": ("*.html", b"text/html; charset=UTF-8\n"),
    "wpaicg": ("*-answer.*", b"\0\0"),
    "aipkit": ("*-answer.*", b"\0\0"),
    "upload": ("*.json", b"\0\0"),
    "events": ("*.sse", b"\0\3"),
    "failures": ("*.*", b"\4\0 120\n"),
    "text": ("*.json", b""),
    "observations": ("*.json", b"https://shop.example/wp-json/x\naction=wpaicg_chatbox_message\n"),
    "case": ("case.toml", b""),
}
_MORE_SEEDS = {
    "prompt": [b"Hello", b'[{"role":"user","content":[{"type":"text","text":"a"}]}]'],
    "url": [b"https://a:b@www.shop.example:443/x?y#z", b"http://[::1]:80/"],
    "failures": [b"\4\0Sun, 06 Nov 1994 08:49:44 GMT\n<title>Just a moment...</title>"],
    "observations": [
        b"_wpnonce=3fa4c91b07\naction=wpaicg_chat_shortcode_message&_wpnonce=3fa4c91b07\n"
        b'{"html":"<div class=wpaicg-chatbox data-nonce=3fa4c91b07></div>","globals":{"wpaicgParams":{"a":"b"}},"state":"complete"}',
        b"https://shop.example/aipkit/v1/chatbots/\n\n"
        b'{"a":[{"botId":1,"nonce":"3fa4c91b07"},{"data-nonce":"3fa4c91b07"}]}',
    ],
    "state": [
        b'{"format":1,"site":"https://shop.example","client_id":"abcdefghij",'
        b'"session_id":"12345678-1234-5678-1234-567812345678","needs_browser":{"a":1.5},"tokens":{"k":{"box":'
        b'{"protocol":"aipkit","kind":"inline","bot_id":1,"post_id":null,"ajax_url":"https://shop.example/a",'
        b'"nonce":"3fa4c91b07","found_by":"html","image_triggers":["/image"]},"nonce":"3fa4c91b07",'
        b'"page":"https://shop.example/","rung":"html","acquired_at":1.5,"cookies":[{"name":"a","value":"b",'
        b'"domain":"c","path":"/","is_secure":true}]}}}'
    ],
}


def seed(name: str) -> Path:
    """The folder of a reader's corpus, with the recorded cases in it."""
    corpus = FOLDER / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    pattern, front = _SEEDS.get(name, ("", b""))
    for path in sorted((ROOT / "fixtures").glob(f"*/{pattern}")) if pattern else []:
        (corpus / f"{path.parent.name}-{path.name}").write_bytes(front + path.read_bytes()[: MAX_BYTES - 100])
    for number, data in enumerate(_MORE_SEEDS.get(name, [])):
        (corpus / f"seed-{number}").write_bytes(data)
    return corpus


def fuzz(name: str, seconds: int) -> None:
    """Fuzzes one reader; it ends the process."""
    reader = TARGETS[name]

    def once(data: bytes) -> None:
        read(reader, data)

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-timeout={MAX_SECONDS}",
        f"-rss_limit_mb={MAX_MB}",
        f"-artifact_prefix={FOLDER}/crashes/{name}-",
        "-seed=1",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(seed(name))], once)
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzzes each reader in a process of its own and prints what came of it."""
    (FOLDER / "crashes").mkdir(parents=True, exist_ok=True)
    match arguments:
        case ["--once", name, file]:
            print(read(TARGETS[name], Path(file).read_bytes()))
            return 0
        case ["--here", name, seconds]:
            fuzz(name, int(seconds))
    seconds, *names = arguments or ["60"]
    crashed = []
    for name in names or TARGETS:
        print(f"{name:10}", end="", flush=True)
        ran = subprocess.run(
            [sys.executable, __file__, "--here", name, seconds],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        runs = re.search(r"number_of_executed_units: (\d+)", ran.stdout)
        print(f" {runs[1] if runs else '?':>9} executions, {'crashed' if ran.returncode else 'no crash'}")
        if ran.returncode:
            crashed.append(name)
            print(ran.stdout[-6000:])
    print(f"{len(crashed)} crashed; see .fuzz/crashes" if crashed else "nothing crashed")
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
