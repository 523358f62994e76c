from __future__ import annotations

import pytest
from cli.commands import on_terminal, run_process

from chatgptt.demo import DemoSite


@pytest.mark.parametrize("flags", [(), ("--no-stream",), ("--json",)], ids=["streamed", "whole", "json"])
def test_a_terminal_says_what_is_waited_for_and_how_long(site: DemoSite, flags: tuple[str, ...]) -> None:
    with on_terminal("ask", "--site", site.page("wpaicg/"), "SLOW 4", *flags) as terminal:
        terminal.wait_for("waiting for the answer, [1-9] s")
        assert terminal.wait_for_end() == 0
    assert terminal.screen().count("waiting") == 0


@pytest.mark.parametrize("argv", [("ask", "Hello"), ("inspect",)])
def test_a_terminal_says_that_the_page_is_read(site: DemoSite, argv: tuple[str, ...]) -> None:
    with on_terminal(*argv, "--site", site.page("slow/?seconds=4")) as terminal:
        terminal.wait_for("reading the page, [1-9] s")
        assert terminal.wait_for_end() == 0


def test_a_terminal_says_that_the_site_asked_to_wait(site: DemoSite) -> None:
    with on_terminal("ask", "--site", site.page("wpaicg/"), "BUSY") as terminal:
        terminal.wait_for(r"waiting 1 s, since the site asked, \d s")
        assert terminal.wait_for_end() == 0


def test_the_log_of_v_stands_above_the_line(site: DemoSite) -> None:
    with on_terminal("ask", "-v", "--site", site.page("wpaicg/"), "BUSY") as terminal:
        assert terminal.wait_for_end() == 0
    first, second, *_ = (line for line in terminal.screen().splitlines() if "chatgptt." in line)
    assert first.startswith("chatgptt.retry: waiting 1.")
    assert second.startswith("chatgptt.retry: waiting 1.")
    assert "chatgptt.progress" not in terminal.seen


def test_plain_is_without_a_line_of_progress(site: DemoSite) -> None:
    with on_terminal("ask", "--plain", "--site", site.page("wpaicg/"), "SLOW 1") as terminal:
        assert terminal.wait_for_end() == 0
    assert "waiting" not in terminal.seen
    assert "\x1b" not in terminal.seen


def test_debug_lines_say_it_in_a_pipe(site: DemoSite) -> None:
    done = run_process("ask", "-vv", "--site", site.page("wpaicg/"), "Hello")
    assert "chatgptt.progress: reading the page\n" in done.err
    assert "chatgptt.progress: waiting for the answer\n" in done.err
