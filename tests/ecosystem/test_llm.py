"""The plugin in the real `llm`, driven as its users do: by its command line and from Python."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ecosystem.processes import PATIENCE, environment, read_until
from faults import closed_port

from chatgptt.demo import DemoSite, serve

MADE_UP = "This answer is made up by the demo, no AI was asked. You wrote: "


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Llm:
    """The program `llm`, with a folder of its own for its log, and for our state and named sites."""

    python: Path
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
        return self._run(["-m", "llm", *words], stdin, env or {})

    def script(self, text: str) -> str:
        """What a Python program in llm's environment prints."""
        done = self._run(["-W", "error", "-c", text], "", {})
        assert done.code == 0, done
        return done.out

    def name_sites(self, **pages: str) -> None:
        tables = [f'[{name}]\nurl = "{page}"\n' for name, page in pages.items()]
        (self.folder / "sites.toml").write_text("".join(tables))

    def last_logged(self) -> dict[str, object]:
        """llm's own record of the last answer."""
        (record,) = json.loads(self("logs", "--json", "-n", "1").out)
        assert isinstance(record, dict)
        return record

    @contextmanager
    def started(self, *words: str, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
        """The command under way, its output on pipes; killed if the block leaves it running."""
        with subprocess.Popen(
            [self.python, "-m", "llm", *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment({}),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _run(self, words: list[str], stdin: str, env: Mapping[str, str]) -> Done:
        done = subprocess.run(
            [self.python, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=self._environment(env),
            timeout=PATIENCE,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        sites = str(self.folder / "sites.toml")
        own = environment(LLM_USER_PATH=str(self.folder / "llm"), CHATGPTT_SITES=sites)
        return {**own, **self.env, **env}


@pytest.fixture
def llm(llm_python: Path, tmp_path: Path) -> Llm:
    (tmp_path / "sites.toml").touch()
    return Llm(llm_python, tmp_path)


@pytest.fixture(params=["wpaicg/", "aipkit/"])
def page(request: pytest.FixtureRequest, demo: DemoSite) -> str:
    return demo.page(request.param)


def type_line(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()


def last_heard(demo: DemoSite) -> tuple[str, list[str]]:
    """The last message that the demo's AI was given, and the history beside it, which only 1.x has."""
    seen = demo.messages[-1]
    assert seen.message is not None
    history = json.loads(seen.fields.get("wpaicg_chat_history") or "[]")
    return seen.message, [turn["text"] for turn in history]


def after_ada(page: str) -> tuple[str, list[str]]:
    """What `Who am I?` is sent as after `I am Ada.`, each turn once."""
    answer = f"{MADE_UP}I am Ada."
    if "wpaicg" in page:
        return "Who am I?", ["Human: I am Ada.", f"AI: {answer}"]
    return f"User: I am Ada.\nAssistant: {answer}\nUser: Who am I?\nAssistant:", []


# One prompt


def test_a_prompt_is_answered(page: str, llm: Llm) -> None:
    assert llm("-m", "chatgptt", "-o", "site", page, "Hello") == Done(0, f"{MADE_UP}Hello\n", "")


@pytest.mark.parametrize("option", ["--no-stream", "--async"])
def test_a_prompt_is_answered_whole_and_async(option: str, page: str, llm: Llm) -> None:
    assert llm("-m", "chatgptt", "-o", "site", page, option, "Hello") == Done(0, f"{MADE_UP}Hello\n", "")


def test_a_named_site_is_a_model(page: str, llm: Llm) -> None:
    llm.name_sites(shop=page)
    assert llm("-m", "chatgptt/shop", "Hello").out == f"{MADE_UP}Hello\n"
    assert llm("-m", "chatgptt", "-o", "site", "shop", "Hello").out == f"{MADE_UP}Hello\n"
    assert llm("-m", "chatgptt", "Hello", env={"CHATGPTT_SITE": "shop"}).out == f"{MADE_UP}Hello\n"


def test_an_option_goes_before_the_environment(demo: DemoSite, llm: Llm) -> None:
    elsewhere = {"CHATGPTT_SITE": demo.page("status/404/")}
    assert llm("-m", "chatgptt", "-o", "site", demo.page("wpaicg/"), "Hello", env=elsewhere).code == 0
    assert llm("-m", "chatgptt", "Hello", env=elsewhere).code == 1


def test_instructions_go_with_the_message(page: str, demo: DemoSite, llm: Llm) -> None:
    assert llm("-m", "chatgptt", "-o", "site", page, "-s", "Answer in French.", "Hello").code == 0
    assert demo.messages[-1].message == "System: Answer in French.\nUser: Hello\nAssistant:"


def test_the_options_reach_the_client(demo: DemoSite, llm: Llm) -> None:
    many = ("-m", "chatgptt", "-o", "site", demo.page("wpaicg/many/"))
    assert llm(*many, "-o", "bot", "5", "-o", "timeout", "60", "-o", "strategy", "static", "Hello").code == 0
    record = llm.last_logged()
    assert isinstance(facts := record["response_json"], dict)
    assert (facts["bot_id"], facts["tokens_from"]) == (5, "html")
    assert "0.001" in llm(*many, "-o", "timeout", "0.001", "Hello").err
    assert "proxy" in llm(*many, "-o", "proxy", f"http://127.0.0.1:{closed_port()}", "Hello").err
    assert "browser" in llm(*many, "-o", "strategy", "browser", "Hello").err
    assert "strategy" in llm(*many, "-o", "strategy", "magic", "Hello").err


# A conversation


@pytest.mark.parametrize("option", [(), ("--async",)])
def test_a_conversation_goes_on_with_each_turn_once(
    option: tuple[str, ...], page: str, demo: DemoSite, llm: Llm
) -> None:
    assert llm("-m", "chatgptt", "-o", "site", page, *option, "I am Ada.").code == 0
    assert llm("-c", *option, "Who am I?").code == 0
    assert last_heard(demo) == after_ada(page)


def test_a_chat_knows_what_was_said(page: str, demo: DemoSite, llm: Llm) -> None:
    done = llm("chat", "-m", "chatgptt", "-o", "site", page, stdin="I am Ada.\nWho am I?\nexit\n")
    assert done.code == 0, done
    assert f"> {MADE_UP}I am Ada.\n" in done.out
    assert last_heard(demo) == after_ada(page)


def test_the_instructions_of_a_conversation_go_on(page: str, demo: DemoSite, llm: Llm) -> None:
    assert llm("-m", "chatgptt", "-o", "site", page, "-s", "Be brief.", "I am Ada.").code == 0
    assert llm("-c", "Who am I?").code == 0
    message, _ = last_heard(demo)
    assert message.startswith("System: Be brief.\nUser: ")


def test_a_conversation_stays_with_its_site(demo: DemoSite, llm: Llm) -> None:
    here, there = demo.page("wpaicg/"), demo.page("aipkit/")
    llm.name_sites(there=there)
    assert llm("-m", "chatgptt", "-o", "site", here, "Hello").code == 0
    asked = len(demo.messages)
    for words in (("-o", "site", there), ("-m", "chatgptt/there"), ("-o", "site", "there", "--async")):
        done = llm("-c", *words, "And now?")
        assert done.code == 1
        assert f"this conversation is with {here}" in done.err
    assert len(demo.messages) == asked
    assert llm("-c", "And now?", env={"CHATGPTT_SITE": there}).code == 0
    assert isinstance(facts := llm.last_logged()["response_json"], dict)
    assert facts["page"] == here
    assert llm("-c", "--async", "And now?", env={"CHATGPTT_SITE": there}).code == 0
    assert isinstance(facts := llm.last_logged()["response_json"], dict)
    assert facts["page"] == here


def test_a_conversation_keeps_the_name_and_the_bot(demo: DemoSite, llm: Llm) -> None:
    llm.name_sites(shop=demo.page("wpaicg/many/"))
    assert llm("-m", "chatgptt", "-o", "site", "shop", "-o", "bot", "5", "Hello").code == 0
    assert llm("-c", "And now?").code == 0
    assert isinstance(facts := llm.last_logged()["response_json"], dict)
    assert (facts["page"], facts["bot_id"]) == (demo.page("wpaicg/many/"), 5)


def test_a_name_that_moved_takes_no_conversation_along(demo: DemoSite, llm: Llm) -> None:
    here, there = demo.page("wpaicg/"), demo.page("aipkit/")
    llm.name_sites(shop=here)
    assert llm("-m", "chatgptt", "-o", "site", "shop", "Hello").code == 0
    asked = len(demo.requests)
    llm.name_sites(shop=there)
    for words in ((), ("--async",), ("-m", "chatgptt")):
        done = llm("-c", *words, "And now?")
        assert done.code == 1
        assert f"'shop': it stands for {there} now, and no other page gets to read it" in done.err
    assert f"this conversation is with {here}" in llm("-c", "-m", "chatgptt/shop", "And now?").err
    assert len(demo.requests) == asked
    assert llm("-c", "-m", "chatgptt", "-o", "site", here, "And now?").code == 0


def test_a_name_that_moves_in_a_chat_takes_no_conversation_along(page: str, demo: DemoSite, llm: Llm) -> None:
    llm.name_sites(shop=page)
    with llm.started("chat", "-m", "chatgptt/shop", stdin=subprocess.PIPE) as process:
        type_line(process, b"Hello")
        read_until(process, f"{MADE_UP}Hello".encode())
        asked = len(demo.requests)
        llm.name_sites(shop=demo.page("wpaicg/json/"))
        _, err = process.communicate(b"And now?\n", timeout=PATIENCE)
    assert f"this conversation is with {page}" in err.decode()
    assert len(demo.requests) == asked


def test_a_conversation_goes_on_where_the_table_writes_its_page_otherwise(demo: DemoSite, llm: Llm) -> None:
    page = demo.page("wpaicg/")
    llm.name_sites(shop=page)
    assert llm("-m", "chatgptt/shop", "I am Ada.").code == 0
    llm.name_sites(shop=page.removesuffix("/"))
    assert llm("-c", "Who am I?").code == 0
    assert last_heard(demo) == after_ada(page)
    llm.name_sites(shop=page.replace("http:", "https:"))
    assert "no other site" not in llm("-c", "And now?").err
    llm.name_sites(shop=f"{page}?bot=2")
    assert "no other site" in llm("-c", "And now?").err


def test_the_hint_about_another_site_fits_what_named_it(demo: DemoSite, llm: Llm) -> None:
    llm.name_sites(shop=demo.page("wpaicg/"))
    assert llm("-m", "chatgptt/shop", "Hello").code == 0
    llm.name_sites(shop=demo.page("aipkit/"))
    here = f"-m chatgptt -o site {demo.page('wpaicg/')}"
    assert f"\nHint: go on with {here}, or begin" in llm("-c", "And now?").err
    done = llm("-c", "-m", "chatgptt", "-o", "site", "shop", "And now?")
    assert "\nHint: leave out the site, or begin" in done.err
    assert llm("-c", *here.split(), "And now?").code == 0


def test_a_conversation_whose_name_was_removed_asks_no_bare_page(demo: DemoSite, llm: Llm) -> None:
    page = demo.page("wpaicg/many/")
    llm.name_sites(shop=page)
    assert llm("-m", "chatgptt", "-o", "site", "shop", "Hello").code == 0
    asked = len(demo.requests)
    llm.name_sites()
    done = llm("-c", "And now?")
    assert done.code == 1
    assert "this conversation is with the site 'shop': unknown site 'shop'" in done.err
    assert f"\nHint: mend {llm.folder / 'sites.toml'}, or ask the page" in done.err
    assert f"-o site {page}" in done.err
    assert len(demo.requests) == asked
    assert llm("-c", "-o", "site", page, "And now?").code == 0


def test_a_model_of_a_name_asks_no_other_site(demo: DemoSite, llm: Llm) -> None:
    llm.name_sites(shop=demo.page("wpaicg/"))
    done = llm("-m", "chatgptt/shop", "-o", "site", demo.page("aipkit/"), "Hello")
    assert (done.code, demo.messages) == (1, [])
    assert "asks its own site alone" in done.err


# What llm logs


def test_the_log_has_the_reply_s_facts_without_its_text(page: str, llm: Llm) -> None:
    assert llm("-m", "chatgptt", "-o", "site", page, "Hello").code == 0
    record = llm.last_logged()
    assert record["response"] == f"{MADE_UP}Hello"
    assert isinstance(facts := record["response_json"], dict)
    assert facts.keys() == {
        "site",
        "page",
        "protocol",
        "bot_id",
        "tokens_from",
        "streamed",
        "attempts",
        "page_requests",
        "elapsed_s",
        "first_text_s",
    }
    assert facts["page"] == page
    assert (record["input_tokens"], record["output_tokens"], record["token_details"]) == (None, None, None)


# Failures


@pytest.mark.parametrize("option", [(), ("--async",), ("--no-stream",)])
def test_an_error_says_what_to_do(option: tuple[str, ...], demo: DemoSite, llm: Llm) -> None:
    done = llm("-m", "chatgptt", "-o", "site", demo.page("wpaicg/nochat/"), *option, "Hello")
    assert (done.code, done.out.strip()) == (1, "")
    assert "Error: " in done.err
    assert "no chat box" in done.err
    assert "\nHint: " in done.err


def test_an_error_after_some_words_says_so(page: str, llm: Llm) -> None:
    done = llm("-m", "chatgptt", "-o", "site", page, "MIDERROR")
    assert done.code == 1
    assert "\nHint: " in done.err


def test_an_error_in_a_chat_is_no_traceback(demo: DemoSite, llm: Llm) -> None:
    done = llm("chat", "-m", "chatgptt", "-o", "site", demo.page("wpaicg/nochat/"), stdin="Hello\n")
    assert done.code == 1
    assert "no chat box" in done.err
    assert "Traceback" not in done.err


def test_an_attachment_is_refused(demo: DemoSite, tmp_path: Path, llm: Llm) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = llm("-m", "chatgptt", "-o", "site", demo.page("wpaicg/"), "-a", str(tmp_path / "x.png"), "Hello")
    assert (done.code, demo.messages) == (1, [])


@pytest.mark.parametrize("option", [(), ("--async",)])
def test_a_schema_is_refused(option: tuple[str, ...], page: str, demo: DemoSite, llm: Llm) -> None:
    done = llm("-m", "chatgptt", "-o", "site", page, *option, "--schema", "name, age int", "Hello")
    assert (done.code, demo.requests) == (1, [])
    assert "does not support schemas" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("option", [(), ("--async",)])
def test_tools_are_refused(option: tuple[str, ...], page: str, demo: DemoSite, llm: Llm) -> None:
    done = llm("-m", "chatgptt", "-o", "site", page, *option, "-T", "llm_version", "Hello")
    assert (done.code, demo.requests) == (1, [])
    assert "does not support tools" in done.err
    assert "Traceback" not in done.err


def test_a_broken_file_of_sites_leaves_all_other_models(llm: Llm) -> None:
    (llm.folder / "sites.toml").write_text("[shop")
    done = llm("models", "list")
    assert (done.code, "ChatBox: chatgptt\n" in done.out, "OpenAI" in done.out) == (0, True, True)
    assert "cannot read the sites" in done.err


@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
@pytest.mark.parametrize("option", [(), ("--async",)])
def test_pieces_are_shown_as_they_arrive_and_ctrl_c_ends_it(
    option: tuple[str, ...], path: str, llm: Llm
) -> None:
    with (
        serve() as site,
        llm.started("-m", "chatgptt", "-o", "site", site.page(path), *option, "SLOWWORDS 60") as process,
    ):
        read_until(process, b" ")  # the first of its words; each of the others takes a minute
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert b"Aborted!" in err
        assert b"Traceback" not in err


@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
def test_ctrl_c_in_an_answer_ends_a_chat(path: str, llm: Llm) -> None:
    words = ("chat", "-m", "chatgptt", "-o", "site")
    with serve() as site, llm.started(*words, site.page(path), stdin=subprocess.PIPE) as process:
        type_line(process, b"SLOWWORDS 60")
        read_until(process, b"> ")
        read_until(process, b" ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert b"Aborted!" in err
        assert b"Traceback" not in err


# Start


def test_an_llm_that_is_too_old_starts_without_our_models(old_llm_python: Path, llm: Llm) -> None:
    old = dataclasses.replace(llm, python=old_llm_python)
    done = old("models", "list")
    assert (done.code, "OpenAI" in done.out, "ChatBox" in done.out) == (0, True, False)
    assert done.err == "chatgptt: its models need llm 0.32 or later. Run: llm install --upgrade llm\n"


def test_registration_sends_nothing_and_needs_no_key(page: str, demo: DemoSite, llm: Llm) -> None:
    llm.name_sites(shop=page)
    done = llm("models", "list", "--options", env={"CHATGPTT_SITE": page})
    assert "ChatBox: chatgptt\n" in done.out
    assert "ChatBox: chatgptt/shop\n" in done.out
    assert "Keys:" not in done.out[done.out.index("ChatBox: chatgptt\n") :]
    assert demo.requests == []


def test_the_start_of_llm_loads_the_hook_alone(llm: Llm) -> None:
    script = (
        "import sys, llm.cli; print(*(name for name in sorted(sys.modules) if name.startswith('chatgptt')))"
    )
    assert llm.script(script).split() == ["chatgptt", "chatgptt.plugins", "chatgptt.plugins.llm"]


# From Python


def test_a_program_asks_a_model(page: str, demo: DemoSite, llm: Llm) -> None:
    script = f"""
import llm
model = llm.get_model("chatgptt")
response = model.prompt("Hello", site={page!r}, timeout=60)
print(response.text())
print(response.json()["page"], response.usage().input)
conversation = model.conversation()
conversation.prompt("I am Ada.", site={page!r}).text()
print(conversation.prompt("Who am I?").json()["page"])
try:
    model.prompt("Hello", site={page + "nothing/"!r}).text()
except llm.ModelError as error:
    print("Hint: " in str(error))
"""
    assert llm.script(script) == f"{MADE_UP}Hello\n{page} None\n{page}\nTrue\n"
    assert last_heard(demo) == after_ada(page)


def test_a_program_hands_over_messages(page: str, demo: DemoSite, llm: Llm) -> None:
    script = f"""
import llm
model = llm.get_model("chatgptt")
said = [llm.user("I am Ada."), llm.assistant({MADE_UP + "I am Ada."!r})]
model.prompt("Who am I?", messages=said, site={page!r}).text()
image = llm.Attachment(content=b"x", type="image/png")
try:
    model.prompt(messages=[llm.user("Look.", image)], site={page!r}).text()
except llm.ModelError as error:
    print(error)
"""
    assert (
        llm.script(script) == "a message holds a part of the type 'attachment'\nHint: only text can be sent\n"
    )
    assert last_heard(demo) == after_ada(page)


def test_a_program_asks_an_async_model(page: str, llm: Llm) -> None:
    script = f"""
import asyncio, llm
async def main():
    model = llm.get_async_model("chatgptt")
    pieces = [piece async for piece in model.prompt("Hello", site={page!r})]
    print("".join(pieces), len(pieces) > 1)
    try:
        await model.prompt("Hello", site={page + "nothing/"!r}).text()
    except llm.ModelError as error:
        print("Hint: " in str(error))
asyncio.run(main())
"""
    assert llm.script(script) == f"{MADE_UP}Hello True\nTrue\n"
