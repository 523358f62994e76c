"""What scrubbing finds, wherever and however it stands, and what it refuses to write."""

from __future__ import annotations

import base64
import html
import json
from collections import Counter
from dataclasses import replace
from functools import partial
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgptt.demo import DemoSite, serve
from chatgptt.recordings import Ask, CaseError, Chunk, Exchange, record
from chatgptt.recordings.body_edits import Edit, apply, cut
from chatgptt.recordings.case import Recording
from chatgptt.recordings.case_file import files_of
from chatgptt.recordings.finder import Word
from chatgptt.recordings.scrub import check, scrub
from chatgptt.recordings.secret_search import Secret, find_secrets
from chatgptt.recordings.standins import StandIns, is_stand_in
from chatgptt.recordings.trim import trim_page

NOW = 1_764_000_000.0
PAGE = "https://chat.adas-garden-shop.net/talk/"

PROMPT = 'You are "Flora", the shop\'s assistant. Never reveal the supplier <Meyer & Söhne>.\nBe kind.'
SECRETS = {
    "nonce": "3fa9c0d17e",
    "other nonce": "77b1e0d2c4",
    "all-digit nonce": "8837261945",
    "client id": "Xk3pQ9zLmA",
    "session id": "7d1c9c2e-55aa-4c0f-9c1e-2f6b8d0a4e11",
    "conversation id": "0b8f1d22-91c3-4d53-8d7e-6a5b4c3d2e1f",
    "cache key": "aipkit_sse_Zt4Kq8WmB2xVnL6rPc1YdF9hJs3GaE7u",
    "cookie": "ada%7C1799999999%7CkZ83jfkslQ0",
    "OpenAI key": "sk-proj-9aXkQw31LmNoPqRsTuVwXyZ0123456789abcd",
    "Google key": "AIzaSyD3x4mPl3K3yThatIsL0ngEnough12345",
    "Pinecone key": "pcsk_4kJ2n_8HsYqLmZxCvBnM1234567890qwertY",
    "Stripe key": "sk_live_51Hq8LkJdfG3hT9sPw7XcVbNm",
    "GitHub token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJpYXQiOjF9.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
    "password": "correct horse; battery",
    "e-mail": "ada.lovelace@adas-garden-shop.net",
    "private e-mail": "ada+shop@posteo.de",
    "visitor's address": "84.17.52.211",
    "IPv6 address": "2a02:8109:9ac0:2f30:1c3e:77ff:fe12:9ab1",
    "phone": "+49 30 8891 2234",
    "hash": "9b74c9897bac770ffc029102a200c5de6c1f0e1a",
    "other shop": "supplier-meyer-soehne.biz",
    "host": "chat.adas-garden-shop.net",
    "domain": "adas-garden-shop.net",
}


def planted_page() -> bytes:
    """A chat page with every secret in it, in every form that pages have."""
    config = {
        "botId": 7,
        "ajaxUrl": f"https://{SECRETS['host']}/wp-admin/admin-ajax.php",
        "nonce": SECRETS["nonce"],
        "postId": 12,
        "text": {"initialGreeting": f"Hi! Write to {SECRETS['e-mail']}"},
        "userIp": SECRETS["visitor's address"],
        "greeting_message": PROMPT,
        "headerName": "Flora",
    }
    script = (
        f'var wpaicgParams = {{"ajax_url":"https:\\/\\/{SECRETS["host"]}\\/wp-admin\\/admin-ajax.php",'
        f'"search_nonce":"{SECRETS["other nonce"]}","apiKey":"{SECRETS["OpenAI key"]}"}};'
    )
    return f"""<!doctype html><html><head><title>Ada's garden shop and its talking flowers, open all year round</title>
<link rel="https://api.w.org/" href="https://{SECRETS["host"]}/wp-json/">
<link rel="stylesheet" href="/style.css"><style>.a{{background:url(data:image/png;base64,AAAA)}}</style>
<meta name="description" content="Write to {SECRETS["private e-mail"]}">
<script>ga("create", "UA-1234567-1"); var pinecone = "{SECRETS["Pinecone key"]}";</script>
<script src="data:text/javascript;base64,{base64.b64encode(script.encode()).decode()}"></script>
<script type="litespeed/javascript" data-src="data:text/javascript,{quote(script)}"></script>
<script>/* wpaicg */ var opts = {{"stripe": "{SECRETS["Stripe key"]}", "password": "{SECRETS["password"]}",
 "gh": "{SECRETS["GitHub token"]}", "map": "{SECRETS["Google key"]}", "hash": "{SECRETS["hash"]}",
 "mail": "{base64.b64encode(SECRETS["private e-mail"].encode()).decode()}"}};</script>
</head><body><img src="ada.jpg"><svg><path d="M0"/></svg>
<p>Call {SECRETS["phone"]} or <a href="tel:{SECRETS["phone"]}">us</a>, {html.escape(SECRETS["e-mail"])},
 from {SECRETS["visitor's address"]} or {SECRETS["IPv6 address"]}. This is a long text that goes on and on.</p>
<a href="https://www.{SECRETS["other shop"]}/?back={quote(f"https://{SECRETS['host']}/talk/", safe="")}">a friend</a>
<input type="hidden" id="_wpnonce" name="_wpnonce" value="{SECRETS["all-digit nonce"]}">
<input type="hidden" name="t" value="{SECRETS["JWT"]}">
<div class="aipkit_chat_container" data-bot-id="7" data-config='{html.escape(json.dumps(config))}'></div>
</body></html>""".encode()


def planted() -> Recording:
    upload = json.dumps({"success": True, "data": {"cache_key": SECRETS["cache key"]}}).encode()
    events = (
        'event: message_start\ndata: {"message_id":"aipkit-msg-65f0c3a1b2c3d9.12345678"}\n\n'
        f"data: {json.dumps({'delta': 'Your key ' + SECRETS['OpenAI key']})}\n\n"
        f"data: {json.dumps({'delta': ' and ' + SECRETS['e-mail'], 'greeting_message': PROMPT})}\n\n"
        'event: done\ndata: {"finished":true}\n\n'
    ).encode()
    ajax = "/wp-admin/admin-ajax.php"
    return Recording(
        page=PAGE,
        asks=(
            Ask(
                message=f"I am {SECRETS['e-mail']}",
                outcome="answered",
                rung="html",
                text=f"Your key {SECRETS['OpenAI key']} and {SECRETS['e-mail']}",
                is_streamed=True,
                attempts=1,
            ),
        ),
        exchanges=(
            Exchange(
                method="GET",
                path="/talk/",
                status=200,
                headers=(
                    ("content-type", "text/html; charset=UTF-8"),
                    ("set-cookie", f"wordpress_logged_in_x={SECRETS['cookie']}"),
                    ("server", "nginx/1.18 at ada-01"),
                ),
                body=planted_page(),
                chunks=(Chunk(size_bytes=len(planted_page())),),
            ),
            Exchange(
                method="POST",
                path=ajax,
                fields=(
                    ("action", "aipkit_cache_sse_message"),
                    ("message", f"I am {SECRETS['e-mail']}"),
                    ("_ajax_nonce", SECRETS["nonce"]),
                    ("bot_id", "7"),
                    ("user_client_message_id", "aipkit-client-msg-7-1764000000123-ab3de"),
                ),
                status=200,
                headers=(("content-type", "application/json"),),
                body=upload,
                chunks=(Chunk(size_bytes=len(upload)),),
            ),
            Exchange(
                method="GET",
                path=ajax,
                query=(
                    ("action", "aipkit_frontend_chat_stream"),
                    ("cache_key", SECRETS["cache key"]),
                    ("bot_id", "7"),
                    ("session_id", SECRETS["session id"]),
                    ("conversation_uuid", SECRETS["conversation id"]),
                    ("_ts", "1764000000123"),
                    ("_ajax_nonce", SECRETS["nonce"]),
                    ("wpaicg_chat_client_id", SECRETS["client id"]),
                ),
                status=200,
                headers=(("content-type", "text/event-stream"),),
                body=events,
                chunks=(Chunk(size_bytes=100), Chunk(size_bytes=len(events) - 100)),
                framing="chunked",
            ),
        ),
        recorded_at=NOW,
        hosts=("chat.adas-garden-shop.net",),
        credentials=(SECRETS["cookie"],),
    )


def forms(value: str) -> set[str]:
    """A value in every escaping that a page may have it in."""
    found = {value, html.escape(value), quote(value), quote(value, safe=""), quote_plus(value)}
    found |= {
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),
    }
    found |= {html.escape(one) for one in tuple(found)}
    return found | {base64.b64encode(value.encode()).decode().rstrip("=")[:-1]}


def test_a_page_planted_with_secrets_of_all_kinds_comes_out_with_none_of_them() -> None:
    case, report = scrub(planted())
    files = files_of(case)
    text = b"\n".join(files.values()).decode()
    decoded = text + "".join(
        base64.b64decode(part.split('"')[0]).decode() for part in text.split("base64,")[1:]
    )
    left = {name for name, value in SECRETS.items() for form in forms(value) if form in decoded}
    assert left == set()
    assert len(SECRETS) >= 20
    for words in ("Flora", "supplier", "Söhne", "Meyer"):
        assert words not in decoded or words == "Flora"  # the bot's name is what it is chosen by
    assert case.page == "https://site.example/talk/"
    assert report.values["nonce"] == 3
    assert report.removed["scripts"] == 1


def test_what_a_client_relies_on_survives() -> None:
    case, _ = scrub(planted())
    (box,) = case.boxes
    assert (box.bot_id, box.post_id, box.name) == (7, 12, "Flora")
    assert box.ajax_url == "https://site.example/wp-admin/admin-ajax.php"
    upload, stream = (dict((*one.fields, *one.query)) for one in case.exchanges[1:])
    assert box.nonce == upload["_ajax_nonce"] == stream["_ajax_nonce"]
    assert json.loads(case.exchanges[1].body)["data"]["cache_key"] == stream["cache_key"]
    assert sum(chunk.size_bytes for chunk in case.exchanges[2].chunks) == len(case.exchanges[2].body)


def test_stand_ins_have_the_length_and_the_alphabet_of_what_they_stand_for() -> None:
    case, _ = scrub(planted())
    stream = dict(case.exchanges[2].query)
    for name, key in (
        ("cache key", "cache_key"),
        ("session id", "session_id"),
        ("client id", "wpaicg_chat_client_id"),
        ("nonce", "_ajax_nonce"),
    ):
        old, new = SECRETS[name], stream[key]
        assert len(old) == len(new)
        assert old != new
        assert [char in "-_" for char in old] == [char in "-_" for char in new]
    assert int(stream["_ajax_nonce"], 16)
    assert stream["cache_key"].startswith("aipkit_sse_")


def test_scrubbing_what_was_scrubbed_changes_nothing() -> None:
    case, _ = scrub(planted())
    again, report = scrub(
        Recording(
            page=case.page,
            asks=case.asks,
            exchanges=case.exchanges,
            recorded_at=NOW,
            hosts=("site.example",),
            bot=case.bot,
        )
    )
    assert files_of(again) == files_of(case)
    assert set(report.values) <= {"host", "time"}


def test_headers_that_nobody_acts_on_are_dropped_with_their_cookies() -> None:
    case, report = scrub(planted())
    assert [name for name, _ in case.exchanges[0].headers] == ["content-type"]
    assert report.headers == 2


@pytest.mark.parametrize("name", ["greeting_message", "system_prompt"])
def test_the_site_s_prompt_is_filled_with_one_letter(name: str) -> None:
    body = json.dumps({"msg": "You have reached your limit.", name: PROMPT}).encode()
    recording = replace(planted(), exchanges=(_json(body),))
    case, _ = scrub(recording)
    assert set(json.loads(case.exchanges[0].body)[name]) == {"x", "_"}
    assert json.loads(case.exchanges[0].body)["msg"] == "You have reached your limit."


def _json(body: bytes) -> Exchange:
    return Exchange(
        method="POST",
        path="/wp-admin/admin-ajax.php",
        fields=(("action", "wpaicg_chatbox_message"),),
        status=200,
        headers=(("content-type", "application/json"),),
        body=body,
        chunks=(Chunk(size_bytes=len(body)),) if body else (),
    )


def test_placeholders_and_values_of_examples_stay_as_they_are() -> None:
    kept = b'{"a":"0000000000","b":"0123456789","c":"127.0.0.1","d":"192.0.2.7","e":"you@example.com","f":"https://w.org/"}'
    case, _ = scrub(replace(planted(), exchanges=(_json(kept),)))
    assert case.exchanges[0].body == kept


LEFT = "kept/by mistake&1"
LEFT_FORMS = {
    "plain": LEFT,
    "upper case": LEFT.upper(),
    "HTML": html.escape(LEFT),
    "JSON": json.dumps(LEFT).replace("/", "\\/"),
    "JSON in HTML": html.escape(json.dumps({"a": LEFT})),
    "URL": quote(LEFT, safe=""),
    "data: URI": f'<script src="data:text/javascript;base64,{base64.b64encode(LEFT.encode()).decode()}">',
    "base64, shifted": base64.b64encode(b"xy" + LEFT.encode()).decode(),
    "unicode escapes": "".join(f"\\u{ord(char):04x}" for char in LEFT),
    "percent escapes": "".join(f"%{byte:02X}" for byte in LEFT.encode()),
}


@pytest.mark.parametrize("form", LEFT_FORMS)
def test_a_value_that_is_left_in_any_form_is_refused(form: str) -> None:
    body = LEFT_FORMS[form].encode()
    case = replace(scrub(planted())[0], exchanges=(_json(body),))
    with pytest.raises(CaseError, match=r"a credential in 01-answer\.json") as caught:
        check(case, [Secret("credential", LEFT)])
    assert LEFT not in str(caught.value)
    assert LEFT not in repr(Secret("credential", LEFT))


@pytest.mark.anyio
async def test_what_cannot_be_cleaned_is_not_written(demo: DemoSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last pass does not rely on the replacing before it: here that finds nothing at all."""

    def find_nothing(secret: Secret, name: str) -> Word:
        return Word((name, "(?!)"))

    monkeypatch.setattr("chatgptt.recordings.cleaner.any_escaping", find_nothing)
    with pytest.raises(CaseError, match=r"would leave .*a host in case\.toml, .*; nothing was written"):
        await record(demo.page("wpaicg/"), ["Hello"])


def test_a_cache_key_is_an_id_even_where_chance_gave_it_no_digit() -> None:
    key = "aipkit_sse_" + "abcdefgh" * 4
    reply = f'{{"data":{{"cache_key":"{key}"}}}}'.encode()
    recorded = replace(planted(), exchanges=(_json(reply),))
    assert [(secret.kind, secret.value) for secret in find_secrets(recorded) if secret.value == key] == [
        ("id", key)
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("wpaicg/", ["Hello"]),
        ("wpaicg/json/", ["a", "b"]),
        ("wpaicg/assistant/", ["a", "b"]),
        ("wpaicg/no-nonce/", ["NONCEONCE"]),
        ("aipkit/", ["a", "b"]),
        ("aipkit-2.3.20/popup/", ["KEYLOSTONCE"]),
        ("cookies/", []),
    ],
)
async def test_recording_a_page_twice_differs_in_nothing_but_the_date(path: str, messages: list[str]) -> None:
    cases = []
    for day in (20_000, 20_003):
        with serve(clock=partial(float, day * 86_400)) as demo:
            recorded = await record(
                demo.page(path), messages, ticks=lambda: 0.0, clock=partial(float, day * 86_400 + 5)
            )
            cases.append(recorded.case)
    first, second = cases
    assert (second.recorded - first.recorded).days == 3
    assert files_of(replace(second, recorded=first.recorded)) == files_of(first)


# Trimming


def trimmed(page: str) -> str:
    return apply(page.encode(), trim_page(page.encode(), Counter())).decode()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<style>a{}</style><p style='x' class=b>", "<p class=b>"),
        ("<img src=a><picture><source><img></picture><svg><g/></svg>", ""),
        ("<script>ga()</script><script>wpaicgParams</script>", "<script>wpaicgParams</script>"),
        (
            "<script src=/wp-includes/a.js></script><script src=//x.y/z.js></script>",
            "<script src=/wp-includes/a.js></script>",
        ),
        (
            "<link rel=icon><link rel=stylesheet href=/wp-content/plugins/gpt3-ai-content-generator/a.css>",
            "<link rel=stylesheet href=/wp-content/plugins/gpt3-ai-content-generator/a.css>",
        ),
        ("<p>short</p>", "<p>short</p>"),
        (f"<p> {'word ' * 20}</p>", "<p> word word word word word word word word&hellip; </p>"),
        (
            f"<div class='wpaicg-chatbox x'>{'word ' * 20}</div>",
            f"<div class='wpaicg-chatbox x'>{'word ' * 20}</div>",
        ),
        ("<!-- <style> --><textarea><img></textarea>", "<!-- <style> --><textarea><img></textarea>"),
        ("<a title='a > b' href=x>1 < 2", "<a title='a > b' href=x>1 < 2"),
        ("<meta charset=utf-8><meta name=author content=Ada>", "<meta charset=utf-8>"),
    ],
)
def test_a_page_keeps_its_markup_and_loses_what_is_of_no_use(page: str, expected: str) -> None:
    assert trimmed(page) == expected
    assert trimmed(expected) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<script>go()</script>", "<script>go()</script>"),
        ("<script type='module' src=/a.js></script>", "<script type='module' src=/a.js></script>"),
        ("<script type=text/javascript>go()</script>", "<script type=text/javascript>go()</script>"),
        ('<script type="application/ld+json">{}</script>', ""),
        ('<script type="text/plain">wpaicg()</script>', '<script type="text/plain">wpaicg()</script>'),
        ("<script src=https://www.google-analytics.com/a.js></script>", ""),
        ("<p style='position:fixed'>", "<p style='position:fixed'>"),
        ("<style>a{}</style><img src=a>", ""),
    ],
)
def test_a_page_that_a_browser_runs_keeps_its_scripts(page: str, expected: str) -> None:
    run = apply(page.encode(), trim_page(page.encode(), Counter(), is_run=True)).decode()
    assert run == expected
    assert apply(run.encode(), trim_page(run.encode(), Counter(), is_run=True)).decode() == run


@given(st.text(alphabet="<>/ab'\"=- !divscript", max_size=200))
def test_trimming_is_done_once_whatever_the_page(page: str) -> None:
    assert trimmed(trimmed(page)) == trimmed(page)


# Edits and chunks


@given(
    st.binary(max_size=60),
    st.lists(st.integers(0, 60), max_size=8),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9), st.binary(max_size=12)), max_size=5),
)
def test_chunks_add_up_to_the_body_however_it_is_edited(
    body: bytes, cuts: list[int], spans: list[tuple[int, int, bytes]]
) -> None:
    ends = sorted({min(one, len(body)) for one in (*cuts, len(body))} - {0})
    chunks = tuple(
        Chunk(size_bytes=end - start, delay=0.5) for start, end in zip((0, *ends), ends, strict=False)
    )
    edits: list[Edit] = []
    for start, size, new in sorted(spans):
        if start + size <= len(body) and (not edits or start >= edits[-1].end) and size:
            edits.append(Edit(start, start + size, new))
    after = cut(chunks, edits)
    assert sum(chunk.size_bytes for chunk in after) == len(apply(body, edits))
    assert all(chunk.size_bytes > 0 for chunk in after)


def test_a_value_that_came_in_two_chunks_still_does() -> None:
    chunks = (Chunk(size_bytes=4), Chunk(size_bytes=6, delay=0.2))
    assert cut(chunks, [Edit(2, 6, b"XXXX")]) == chunks
    assert cut(chunks, [Edit(2, 6, b"X")]) == (Chunk(size_bytes=3), Chunk(size_bytes=4, delay=0.2))
    assert cut(chunks, [Edit(0, 10, b"")]) == ()


@pytest.mark.parametrize("kind", ["nonce", "id", "key", "credential", "token", "session id"])
def test_a_stand_in_is_known_for_one(kind: str) -> None:
    values = {"nonce": "3fa9c0d17e", "key": SECRETS["OpenAI key"], "session id": SECRETS["session id"]}
    value = values.get(kind, "Xk3pQ9zLmA12")
    stand_in = StandIns().for_value(kind, value)  # type: ignore[arg-type]
    assert not is_stand_in(kind, value)  # type: ignore[arg-type]
    assert is_stand_in(kind, stand_in)  # type: ignore[arg-type]
    assert len(stand_in) == len(value)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "<b>Warning</b>: x in <b>/home/ada/garden/wp-content/plugins/a/b.php</b> on line <b>12</b>",
            "<b>Warning</b>: x in <b>/srv/www/wp-content/plugins/a/b.php</b> on line <b>12</b>",
        ),
        ("PHP Fatal error: x in /home/ada/garden/b.php:12", "PHP Fatal error: x in /srv/www/b.php:12"),
        (r"x in C:\\Users\\ada\\wp-content\\b.php on line 3", r"x in /srv/www\\wp-content\\b.php on line 3"),
        (r"x in \/home\/ada\/b.php on line 3", "x in /srv/www\\/b.php on line 3"),
        ("x in /var/www/html/wp-content/b.php on line 3", "x in /var/www/html/wp-content/b.php on line 3"),
        ("in /shop/ and in /talk/a.html", "in /shop/ and in /talk/a.html"),
    ],
)
def test_where_the_site_lies_on_its_machine_is_not_told(message: str, expected: str) -> None:
    body = f'{{"a":"{message}"}}'.encode()
    case, _ = scrub(replace(planted(), exchanges=(_json(body),)))
    assert case.exchanges[0].body.decode() == f'{{"a":"{expected}"}}'


def test_hosts_that_a_page_loads_from_are_told_apart_from_those_it_names() -> None:
    page = (
        b'<iframe src="https://chat.flower-bot.io/a"></iframe><script src="//cdn.jsdelivr.net/x.js"></script>'
        b'<a href="https://www.garden-friends.org/">friends</a> https://cdn.adas-garden-shop.net/y'
    )
    frame = Exchange(
        method="GET",
        host="chat.flower-bot.io",
        path="/a",
        status=200,
        headers=(("content-type", "text/html"), ("location", "https://chat.flower-bot.io/b")),
        body=b"https:\\/\\/chat.flower-bot.io\\/b",
        by="browser",
    )
    case, _ = scrub(
        replace(
            planted(),
            exchanges=(replace(_json(page), method="GET", headers=(("content-type", "text/html"),)), frame),
            elsewhere=("chat.flower-bot.io", "cdn.jsdelivr.net", "cdn.adas-garden-shop.net"),
        )
    )
    text = case.exchanges[0].body.decode()
    for there in (
        "https://elsewhere-1.example/a",
        "//elsewhere-2.example/x.js",
        "https://elsewhere-3.example/y",
    ):
        assert there in text
    assert 'href="https://other-1.example/"' in text
    assert case.exchanges[1].host == "elsewhere-1.example"
    assert case.exchanges[1].body == b"https:\\/\\/elsewhere-1.example\\/b"
    assert dict(case.exchanges[1].headers)["location"] == "https://elsewhere-1.example/b"


def test_what_a_page_sends_is_searched_by_its_names_too() -> None:
    sent = replace(
        _json(b"{}"), by="browser", fields=(("api_key", "plain-words-7"), ("", "auth_token=words-8"))
    )
    case, _ = scrub(replace(planted(), exchanges=(sent,)))
    said = " ".join(value for _, value in case.exchanges[0].fields)
    assert "plain-words-7" not in said
    assert "words-8" not in said


@pytest.mark.parametrize("where", ["body", "query", "fields", "host", "rendered"])
def test_the_last_pass_sees_what_the_browser_loaded(where: str) -> None:
    """It relies on nothing that was replaced before."""
    loaded = replace(_json(b"{}"), by="browser")
    changes: dict[str, Exchange] = {
        "body": replace(loaded, body=LEFT.encode()),
        "query": replace(loaded, query=(("a", LEFT),)),
        "fields": replace(loaded, fields=(("", LEFT),)),
        "host": replace(loaded, host=LEFT),
        "rendered": loaded,
    }
    rendered = LEFT.encode() if where == "rendered" else b""
    case = replace(scrub(planted())[0], exchanges=(changes[where],), rendered=rendered)
    with pytest.raises(CaseError, match="would leave a credential in"):
        check(case, [Secret("credential", LEFT)])


def test_find_secrets_names_no_value_in_its_repr() -> None:
    found = find_secrets(planted())
    assert not any(secret.value in repr(found) for secret in found)
