"""Recording a page that needs a browser: what it loads, what is kept of it, and what must not be told."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from asking import QUICK
from browser.processes import Traces
from faults import NONCE, always, reply, serving
from recordings.catalogue import FOLDER

from chatgptt import AsyncClient, ChatGpttError
from chatgptt.browser.page_loads import Load, RecordedVisit
from chatgptt.browser.shared import BrowserOptions
from chatgptt.cli.recordings import as_dict, check_case, record_case
from chatgptt.demo import DemoSite, serve
from chatgptt.recordings import Ask, Case, Chunk, Exchange, find_drift, read_case, record, serve_case
from chatgptt.recordings.case_file import files_of
from chatgptt.recordings.client_calls import play

pytestmark = pytest.mark.anyio

AJAX = "/wp-admin/admin-ajax.php"
FETCHED = read_case(FOLDER / "wpaicg-browser-nonce-fetched")
BOX = """<div class="wpaicg-chat-shortcode" data-nonce="NONCE" data-post-id="7" data-url="https://site.example/"
 data-bot-id="0" data-type="shortcode"></div>"""
ANSWER = json.dumps({"status": "success", "data": "Yes.", "msg": "", "log": ""})


# A site of our own, served by what serves cases


def got(path: str, body: str | bytes, kind: str = "text/html", **more: object) -> Exchange:
    data = body if isinstance(body, bytes) else body.encode()
    exchange = Exchange(
        method="GET",
        path=path,
        status=200,
        headers=(("content-type", kind), ("access-control-allow-origin", "https://site.example")),
        body=data,
        chunks=(Chunk(size_bytes=len(data)),) if data else (),
    )
    return replace(exchange, **more)  # type: ignore[arg-type]


def posted(body: str, **fields: str) -> Exchange:
    return got(AJAX, body, "application/json", method="POST", fields=tuple(fields.items()))


def answered(nonce: str, message: str = "Hello") -> Exchange:
    return posted(
        ANSWER,
        _wpnonce=nonce,
        post_id="7",
        url="https://site.example/",
        action="wpaicg_chat_shortcode_message",
        message=message,
        bot_id="0",
        chatbot_identity="shortcode",
        wpaicg_chat_history="[]",
        wpaicg_chat_client_id="*",
    )


def site_of(exchanges: Iterable[Exchange]) -> Case:
    return Case(
        recorded=FETCHED.recorded,
        page="https://site.example/",
        asks=(Ask(message="Hello", outcome="answered"),),
        exchanges=tuple(exchanges),
    )


def recorded_in(visits: list[RecordedVisit], page: str) -> AsyncClient:
    options = BrowserOptions(record_visit=visits.append)
    return AsyncClient(page, strategy="browser", state_dir=None, retry=QUICK, timeout=30.0, browser=options)


async def record_site(case: Case) -> Case:
    with serve_case(case) as site:
        return (await record(site.page, ["Hello"], strategy="browser")).case


async def test_a_case_is_proven_without_a_connection_to_anything_else(traces: Traces) -> None:
    box = BOX.replace("NONCE", NONCE).replace("\n", " ")
    async with serving(always(reply("Hidden"))) as hidden:
        page = f"""<!doctype html><title>A</title><link href="/wp-content/a.css"><body><script>
const place = "http://127.0.0.1:" + {hidden.port};
fetch(place, {{mode: "no-cors"}}).catch(() => 0).then(() => {{
    new WebSocket(place.replace("http", "ws"));
    window.open(place);
    setTimeout(() => document.body.insertAdjacentHTML("beforeend", {json.dumps(box)}), 500);
}});
</script>"""
        case = replace(site_of([got("/", page), answered(NONCE)]), strategy="browser")
        asks, misses = await play(case)
        assert ([(ask.outcome, ask.text) for ask in asks], misses) == ([("answered", "Yes.")], ())
        assert hidden.connections == 0


# What a visit loads


async def test_a_recorded_visit_has_what_the_page_loaded_and_its_final_document(
    traces: Traces, demo: DemoSite
) -> None:
    visits: list[RecordedVisit] = []
    async with recorded_in(visits, demo.page("browser/request/")) as client:
        await client.ask("Hello")
    (visit,) = visits
    assert visit.page == demo.page("browser/request/")
    nonce = dict(demo.messages[-1].fields)["_wpnonce"]
    home = demo.page("browser")
    assert [(load.kind, load.method, load.url.removeprefix(home), load.status) for load in visit.loads] == [
        ("Document", "GET", "/request/", 200),
        ("Script", "GET", "/wp-includes/js/jquery/jquery.min.js?ver=3.6.1", 200),
        ("Fetch", "GET", "/plain/", 200),
        ("Fetch", "POST", AJAX, 400),
    ]
    assert visit.loads[0].body.startswith(b"<!doctype html>")
    assert dict(visit.loads[0].headers)["content-type"] == "text/html; charset=UTF-8"
    assert visit.loads[2].body.decode() == nonce
    assert visit.loads[3].content_type.startswith("application/x-www-form-urlencoded")
    assert visit.loads[3].request_body == f"action=wpaicg_chatbox_history&_wpnonce={nonce}".encode()
    assert "wpaicg-chat-shortcode" in visit.content


async def test_a_visit_that_fails_is_recorded_too(traces: Traces, demo: DemoSite) -> None:
    visits: list[RecordedVisit] = []
    async with recorded_in(visits, demo.page("browser/challenged/")) as client:
        with pytest.raises(ChatGpttError):
            await client.ask("Hello")
    documents = [load for load in visits[0].loads if load.kind == "Document"]
    assert [load.status for load in documents] == [200, 503]
    assert b"location.href" in documents[0].body  # the page that is left behind keeps its own
    assert visits[0].page == demo.page("challenge/body/")


async def test_pictures_styles_and_measuring_are_no_loads(traces: Traces, demo: DemoSite) -> None:
    visits: list[RecordedVisit] = []
    async with recorded_in(visits, demo.page("browser/heavy/")) as client:
        await client.ask("Hello")
    assert {load.kind for load in visits[0].loads} == {"Document", "Script", "Fetch"}
    assert not [load.url for load in visits[0].loads if "heavy." in load.url or "beacon" in load.url]


async def test_bytes_and_redirects_are_those_of_the_wire(traces: Traces) -> None:
    page = got("/", "<p>Café</p>".encode("latin-1"), "text/html; charset=iso-8859-1")
    moved = got("/old/", "", status=302, headers=(("location", "https://site.example/"),))
    case = site_of([page, moved])
    visits: list[RecordedVisit] = []
    with serve_case(case) as site:
        async with recorded_in(visits, f"{site.url}/old/") as client:
            with pytest.raises(ChatGpttError):
                await client.ask("Hello")
    loads: tuple[Load, ...] = visits[0].loads
    assert [(load.status, load.body) for load in loads] == [
        (302, b""),
        (200, "<p>Café</p>".encode("latin-1")),
    ]
    assert dict(loads[0].headers)["location"] == f"{site.url}/"


# What is kept of it


async def test_a_page_that_needs_no_browser_makes_a_case_that_needs_none(demo: DemoSite) -> None:
    case = (await record(demo.page("wpaicg/"), ["Hello"], strategy="auto")).case
    assert case.strategy == "static"
    assert case.rendered == b""


@pytest.mark.parametrize("path", ["browser/busy/", "browser/frame-elsewhere/", "browser-2x/embed/"])
async def test_recording_a_page_twice_differs_in_nothing_but_the_date(traces: Traces, path: str) -> None:
    cases = []
    for day in (20_000, 20_003):
        with serve(clock=partial(float, day * 86_400)) as demo:
            recorded = await record(
                demo.page(path),
                ["Hello"],
                strategy="auto",
                ticks=lambda: 0.0,
                clock=partial(float, day * 86_400 + 5),
            )
            cases.append(recorded.case)
    first, second = cases
    assert (second.recorded - first.recorded).days == 3
    assert files_of(replace(second, recorded=first.recorded)) == files_of(first)


async def test_scripts_without_a_link_to_the_chat_are_emptied(traces: Traces) -> None:
    nonce = "3fa9c0d17e"
    case = await record_site(
        site_of(
            [
                got("/", f'<script src="/theme.js"></script>{BOX.replace("NONCE", nonce)}'),
                got("/theme.js", "document.title = 'slides';", "text/javascript"),
                answered(nonce),
            ]
        )
    )
    script = next(one for one in case.exchanges if one.path == "/theme.js")
    assert (script.status, script.body, script.by) == (200, b"", "browser")


async def test_a_script_that_the_tokens_turn_out_to_need_is_put_back(traces: Traces) -> None:
    nonce = "3fa9c0d17e"
    code = "fetch(settings.url).then(r => r.json()).then(d => { document.body.innerHTML += d.html; });"
    case = await record_site(
        site_of(
            [
                got(
                    "/",
                    '<script>var settings = {url: "/x", is: "wpaicg-chat-shortcode"}</script>'
                    '<body><script src="/theme.js"></script>',
                ),
                got("/theme.js", code, "text/javascript"),
                got("/x", json.dumps({"html": BOX.replace("NONCE", nonce)}), "application/json"),
                answered(nonce),
            ]
        )
    )
    assert case.asks[0].outcome == "answered"
    assert next(one for one in case.exchanges if one.path == "/theme.js").body == code.encode()


async def test_what_scripts_make_up_anew_each_time_is_found_again(traces: Traces) -> None:
    """A time and a number by chance in the page's own requests, one of them past a preflight to another host."""
    nonce = "3fa9c0d17e"
    script = """fetch("/t?_=" + Date.now() + "&r=" + Math.random()).then(r => r.json()).then(d =>
      fetch("https://elsewhere-1.example/api", {method: "POST", headers: {"content-type": "application/json"},
        body: JSON.stringify({seed: Math.random(), want: d.want})})).then(r => r.json()).then(d => {
      document.querySelector(".wpaicg-chat-shortcode").setAttribute("data-nonce", d.nonce); });"""
    case = await record_site(
        site_of(
            [
                got("/", f"{BOX.replace('NONCE', '')}<script>{script}</script>"),
                got(
                    "/t",
                    '{"want": "nonce"}',
                    "application/json",
                    query=(("_", "1"), ("r", "2")),
                    by="browser",
                ),
                got(
                    "/api",
                    json.dumps({"nonce": nonce}),
                    "application/json",
                    method="POST",
                    host="elsewhere-1.example",
                    fields=(("seed", "0.1"), ("want", "nonce")),
                    by="browser",
                ),
                answered(nonce),
            ]
        )
    )
    api = next(one for one in case.exchanges if one.path == "/api")
    assert (api.host, dict(api.fields)["want"]) == ("elsewhere-1.example", "nonce")
    assert case.asks[0].outcome == "answered"


async def test_a_browser_s_case_shows_drift_of_what_its_scripts_made(traces: Traces) -> None:
    changed = [
        replace(
            one,
            body=one.body.replace(
                b'box.setAttribute("data-nonce"',
                b'box.setAttribute("data-bot-id", "9"); box.setAttribute("data-nonce"',
            ),
        )
        for one in FETCHED.exchanges
    ]
    changed = [
        replace(one, chunks=(Chunk(size_bytes=len(one.body)),)) if one.media_type == "text/html" else one
        for one in changed
    ]
    fields = {"bot_id": "9", "chatbot_identity": "custom_bot_9"}
    changed[-1] = replace(
        changed[-1], fields=tuple((name, fields.get(name, value)) for name, value in changed[-1].fields)
    )
    with serve_case(FETCHED) as site:
        same = (await record(site.page, FETCHED.messages, strategy=FETCHED.strategy)).case
    with serve_case(replace(FETCHED, exchanges=tuple(changed))) as site:
        now = (await record(site.page, FETCHED.messages, strategy=FETCHED.strategy)).case
    assert find_drift(FETCHED, same) == []
    assert sorted(find_drift(FETCHED, now)) == [
        "after the page's scripts: the shortcode box of bot 0 (wpaicg) is gone",
        "after the page's scripts: there is a new box: the shortcode box of bot 9 (wpaicg)",
    ]


# What must not be told

SECRETS = {
    "nonce": "3fa9c0d17e",
    "key in a script": "sk-proj-9aXkQw31LmNoPqRsTuVwXyZ0123456789abcd",
    "key in a loaded script": "AIzaSyD3x4mPl3K3yThatIsL0ngEnough12345",
    "key in JSON": "pcsk_4kJ2n_8HsYqLmZxCvBnM1234567890qwertY",
    "key that only the rendered page shows": "sk_live_51Hq8LkJdfG3hT9sPw7XcVbNm",
    "address that only the rendered page shows": "ada.lovelace@adas-garden-shop.net",
    "password in a form": "correct-horse-battery-7",
    "token in JSON that is sent": "Zt4Kq8WmB2xVnL6rPc1YdF9hJs3GaE7u",
    "session in JSON that is sent": "7d1c9c2e-55aa-4c0f-9c1e-2f6b8d0a4e11",
    "token in a frame URL": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "password in a frame URL": "Rosemary-and-thyme-1612",
    "key in a frame": "hf_kJ2n8HsYqLmZxCvBnM1234567890qwertY",
    "cookie": "kZ83jfkslQ0-of-ada-1799999999",
    "another shop": "supplier-meyer-soehne.biz",
}


def planted() -> Case:
    """A page whose scripts carry secrets in every place that is recorded."""
    s = SECRETS
    rendered = [s[name] for name in SECRETS if "rendered" in name]
    halves = json.dumps([[part[: len(part) // 2], part[len(part) // 2 :]] for part in rendered])
    frame = f"/chat/?access_token={s['token in a frame URL']}&password={quote(s['password in a frame URL'])}"
    script = f"""
      document.cookie = "visitor={s["cookie"]}";
      var wpaicg_settings = {{"apiKey": "{s["key in a script"]}"}};
      {halves}.forEach(pair => {{ document.body.append(pair.join("")); }});
      fetch("{AJAX}", {{method: "POST", body: new URLSearchParams({{action: "shop_login", password: "{s["password in a form"]}"}})}})
      .then(r => r.json()).then(d => fetch("/wp-json/shop/v1/me", {{method: "POST",
         headers: {{"content-type": "application/json"}},
         body: JSON.stringify({{token: "{s["token in JSON that is sent"]}", session_id: "{s["session in JSON that is sent"]}"}})}}))
      .then(r => r.json()).then(d => {{
        document.querySelector(".wpaicg-chat-shortcode").setAttribute("data-nonce", d.nonce); }});"""
    data = {
        "nonce": s["nonce"],
        "pinecone": s["key in JSON"],
        "seen": s["cookie"],
        "by": f"https://{s['another shop']}/",
    }
    me = (("token", s["token in JSON that is sent"]), ("session_id", s["session in JSON that is sent"]))
    query = (
        ("access_token", s["token in a frame URL"]),
        ("password", s["password in a frame URL"]),
    )
    return site_of(
        [
            got("/", f'<body>{BOX.replace("NONCE", "")}<iframe src="{html.escape(frame)}"></iframe>'
                f'<script src="/wpaicg/map.js"></script><script>{script}</script>'),
            got("/wpaicg/map.js", f'var map = "{s["key in a loaded script"]}";', "text/javascript"),
            got("/chat/", f"<p>{s['key in a frame']}</p>", query=query),
            posted('{"ok": true}', action="shop_login", password=s["password in a form"]),
            got("/wp-json/shop/v1/me", json.dumps(data), "application/json", method="POST", fields=me),
            answered(s["nonce"]),
        ]
    )  # fmt: skip


def forms(value: str) -> set[str]:
    found = {value, html.escape(value), quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    return found | {base64.b64encode(value.encode()).decode().rstrip("=")[:-1]}


async def test_secrets_in_what_the_page_loads_sends_and_becomes_are_not_told(traces: Traces) -> None:
    case = await record_site(planted())
    text = b"\n".join(files_of(case).values()).decode()
    assert {name for name, value in SECRETS.items() for form in forms(value) if form in text} == set()
    assert [(one.by, one.method, one.path) for one in case.exchanges] == [
        ("browser", "GET", "/"),
        ("browser", "GET", "/wpaicg/map.js"),
        ("browser", "GET", "/chat/"),
        ("browser", "POST", AJAX),
        ("browser", "POST", "/wp-json/shop/v1/me"),
        ("client", "POST", AJAX),
    ]
    assert case.rendered_boxes[0].nonce == dict(case.exchanges[-1].fields)["_wpnonce"]


async def test_the_planted_page_does_hold_its_secrets(traces: Traces) -> None:
    """Else the test above would prove nothing."""
    visits: list[RecordedVisit] = []
    with serve_case(planted()) as site:
        async with recorded_in(visits, site.page) as client:
            assert (await client.ask("Hello")).text == "Yes."
        assert [
            miss for miss in site.page_misses if miss != "GET /favicon.ico"
        ] == []  # a whole browser asks for it
    (visit,) = visits
    parts = [visit.content, *(cookie.value for cookie in visit.cookies)]
    for load in visit.loads:
        parts += [load.url, load.request_body.decode(), load.body.decode()]
    text = "\n".join(parts)
    assert {
        name for name, value in SECRETS.items() if not any(form in text for form in forms(value))
    } == set()
    for name in SECRETS:
        if "rendered" in name:
            assert SECRETS[name] in visit.content
            assert not any(SECRETS[name] in load.body.decode() for load in visit.loads)


async def test_a_login_of_the_page_s_address_is_sent_and_not_told(traces: Traces) -> None:
    nonce, password = "3fa9c0d17e", "rosemary-1612"
    echo = got("/", f"{BOX.replace('NONCE', nonce)}<p>{password}</p>")
    with serve_case(site_of([echo, answered(nonce)])) as site:
        page = site.page.replace("://", f"://ada:{password}@")
        case = (await record(page, ["Hello"], strategy="browser")).case
    assert case.asks[0].outcome == "answered"
    text = b"\n".join(files_of(case).values())
    assert password.encode() not in text
    assert base64.b64encode(f"ada:{password}".encode()) not in text


def test_the_command_records_such_a_page_and_sees_that_nothing_has_changed(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    folder, page = tmp_path / "cases" / "fetched", demo.page("browser/fetched/")
    recorded = record_case(folder, page, ["Hello"], strategy="auto")
    assert read_case(folder) == recorded.case
    assert (folder / "rendered.html").read_bytes() == recorded.case.rendered != b""
    assert as_dict(folder, recorded)["protocol"] == "wpaicg"
    assert check_case(folder, page) == []
    said = check_case(folder, demo.page("wpaicg/"))
    assert "the tokens for the call come from html, before from browser" in said
