"""What a page's scripts get to do: make the chat box, and leave nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest
from asking import failure
from browser.acquiring import Acquiring
from faults import NONCE, WPAICG_PAGE, Connection, Got, always, reply, serving

pytestmark = pytest.mark.anyio

_BOX = """
    const box = document.createElement("div");
    box.className = "wpaicg-chat-shortcode";
    for (const [name, value] of Object.entries({nonce: "%s", "post-id": "7", "bot-id": "0", type: "shortcode"}))
        box.setAttribute("data-" + name, value);
    document.body.append(box);
"""
BOX = _BOX.replace("%s", NONCE)
HINT = '<link href="/wp-content/plugins/gpt3-ai-content-generator/public/a.css">'


def page(script: str) -> bytes:
    return reply(f"<!doctype html><title>A</title>{HINT}<body><script>{script}</script>")


async def test_strategy_static_starts_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, mark = tmp_path / "browser", tmp_path / "started"
    browser.write_text(f"#!/bin/sh\ntouch {mark}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHATGPTT_BROWSER", str(browser))
    async with serving(always(page(BOX))) as server:
        assert (await failure(server.url, strategy="static")).code == "no_chat_box"
        assert not mark.exists()
        await failure(server.url)
        assert mark.exists()  # so that the test can fail


async def test_a_visit_knows_nothing_of_the_one_before(acquiring: Acquiring) -> None:
    script = (
        "fetch(`/seen?${document.cookie}&${localStorage.length}`);"
        "document.cookie = 'mark=1'; localStorage.setItem('mark', '1');"
    )
    async with serving(always(page(script + BOX))) as server:
        for _ in range(2):
            await acquiring.acquire(f"{server.url}/", strategy="browser")
        assert {got.target for got in server.got if got.path == "/seen"} == {"/seen?&0"}


async def test_nothing_is_downloaded_and_no_service_worker_stays(acquiring: Acquiring) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        if got.path == "/file":
            head = {"Content-Disposition": "attachment; filename=planted.sh"}
            await connection.send(reply("#!/bin/sh", kind="application/octet-stream", headers=head))
        elif got.path == "/worker.js":
            await connection.send(reply("", kind="text/javascript"))
        else:
            script = (
                "navigator.serviceWorker.register('/worker.js').catch(() => 0);"
                "const link = document.createElement('a'); link.href = '/file'; link.download = 'planted.sh';"
                "document.body.append(link); link.click();"
            )
            await connection.send(page(f"{script} setTimeout(() => {{ {BOX} }}, 300);"))
        return True

    async with serving(answer) as server:
        acquired = await acquiring.acquire(f"{server.url}/", strategy="browser")
        assert acquired.tokens.nonce == NONCE
        assert not any(got.path == "/worker.js" for got in server.got)
    # The fixture's end asserts that no file is left in the browser's folders.


REDEFINED = {
    "toJSON, as Prototype 1.6 does": """
        Object.toJSON = value => Array.isArray(value) ? value.toJSON() : '"' + String(value) + '"';
        Array.prototype.toJSON = function () { return "[" + this.map(Object.toJSON).join(", ") + "]"; };
        String.prototype.toJSON = function () { return '"' + this + '"'; };
        Number.prototype.toJSON = Date.prototype.toJSON = function () { return String(this); };
        Hash = function () {}; Hash.prototype.toJSON = function () { return "{}"; };
    """,
    "toJSON of everything": "Object.prototype.toJSON = Array.prototype.toJSON = () => { throw new Error('no'); };",
    "toJSON that gives nonsense": "Object.prototype.toJSON = Array.prototype.toJSON = () => ({serializedArgs: 1});",
    "JSON": "JSON.stringify = JSON.parse = () => { throw new Error('no'); }; JSON = null;",
    "methods": """
        const {ownKeys, defineProperty} = Reflect, describe = Object.getOwnPropertyDescriptor;
        const no = () => { throw new Error("no"); };
        const kinds = [Array, String, RegExp, Set, WeakSet, Map, Function, NodeList, MutationObserver, Promise];
        for (let k = 0; k < kinds.length; k++) {
            const of = kinds[k].prototype, names = ownKeys(of);
            for (let n = 0; n < names.length; n++) {
                const own = describe(of, names[n]);
                if (names[n] !== "constructor" && own.configurable)
                    defineProperty(of, names[n], own.get ? {get: no} : {value: no});
            }
        }
    """,
    "what reads elements": """
        const no = () => { throw new Error("no"); };
        for (const kind of [Document, DocumentFragment, Element])
            kind.prototype.querySelector = kind.prototype.querySelectorAll = () => [];
        Node.prototype.cloneNode = Element.prototype.matches = no;
        for (const [kind, name] of [[Element, "outerHTML"], [Element, "shadowRoot"], [Document, "readyState"],
            [Node, "nodeType"], [NodeList, "length"], [MutationRecord, "type"], [MutationRecord, "target"]])
            Object.defineProperty(kind.prototype, name, {get: no});
    """,
    "globals": """
        Object.keys = Object.entries = Object.getOwnPropertyDescriptor = () => [];
        MutationObserver = setTimeout = setInterval = requestAnimationFrame = undefined;
        scheduler.postTask = () => Promise.reject();
        for (const name of ["wpaicgA", "aipkitB", "scheduler", "top", "parent", "self"])
            try { Object.defineProperty(globalThis, name, {get() { throw new Error("no"); }}); } catch {}
        globalThis.wpaicgDeep = new Proxy({}, {ownKeys() { throw new Error("no"); }});
        globalThis.wpaicgTwice = {get a() { return this.n = !this.n ? "text" : {toJSON() { throw 1; }}; }};
    """,
    "setters of objects": """
        for (const name of ["0", "1", "delay", "priority", "signal", "subtree", "html", "globals", "get", "set"])
            Object.defineProperty(Object.prototype, name, {get() { throw new Error("no"); }, set() {}});
    """,
    "no timer is left": "setInterval(() => { for (let n = 0; n < 5000; n++) clearTimeout(n); }, 1);",
}


@pytest.mark.parametrize("what", REDEFINED)
@pytest.mark.parametrize("where", ["in the page", "in a closed shadow root"])
async def test_a_page_may_redefine_whatever_it_likes(acquiring: Acquiring, what: str, where: str) -> None:
    box = WPAICG_PAGE.format(nonce=NONCE).partition("</title>")[2]
    if where == "in the page":
        html = f"<!doctype html><title>A</title><script>{REDEFINED[what]}</script>{box}"
    else:
        html = f"""<!doctype html><title>A</title><p id=host></p><script>
            {{{REDEFINED[what]}}}
            document.getElementById("host").attachShadow({{mode: "closed"}}).innerHTML = '{box}';</script>"""
    async with serving(always(reply(html))) as server:
        for _ in range(2):  # the browser serves the next one too
            acquired = await acquiring.acquire(f"{server.url}/", strategy="browser")
            assert acquired.tokens.nonce == NONCE


async def test_a_page_finds_no_way_to_speak_for_the_watching_script(acquiring: Acquiring) -> None:
    script = """
        const names = new Set();
        const look = of => { for (const name of Reflect.ownKeys(of)) names.add(String(name)); };
        look(globalThis);
        const frame = document.createElement("iframe");
        document.documentElement.append(frame);
        look(frame.contentWindow);
        fetch("/seen?" + [...names].filter(name => name.startsWith("_")).join());
    """
    async with serving(always(page(script + BOX))) as server:
        await acquiring.acquire(f"{server.url}/", strategy="browser")
        assert [got.target for got in server.got if got.path == "/seen"] == ["/seen?"]


async def test_what_a_page_shows_is_not_read_in_the_callers_thread(acquiring: Acquiring) -> None:
    script = f"""
        for (let n = 0; n < 20; n++) fetch("/wp-admin/admin-ajax.php?action=a" + n);
        setTimeout(() => {{ {BOX} }}, 500);
    """
    read_here: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        name = Path(frame.f_code.co_filename).name
        if event == "call" and name in ("observations.py", "page.py", "text.py"):
            read_here.add(frame.f_code.co_qualname)

    async def answer(connection: Connection, got: Got) -> bool:
        is_ajax = got.path.endswith("admin-ajax.php")
        await connection.send(reply('{"a": 1}', kind="application/json") if is_ajax else page(script))
        return True

    async with serving(answer) as server:
        sys.setprofile(note)
        try:
            acquired = await acquiring.acquire(f"{server.url}/", strategy="browser")
        finally:
            sys.setprofile(None)
        assert acquired.tokens.nonce == NONCE
        assert read_here == set()
