from __future__ import annotations

from cli.commands import Run, on_terminal

from chatgptt.demo import DemoSite

BOX_KEYS = ["protocol", "kind", "bot_id", "post_id", "ajax_url", "nonce", "found_by", "name"]


def test_table_names_every_box(run: Run, site: DemoSite) -> None:
    page = site.page("wpaicg/json-and-widget/")
    done = run("inspect", "--site", page)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"page: {page}"
    assert lines[1] == f"messages go to: {site.page('wpaicg/wp-admin/admin-ajax.php')}"
    assert lines[3].split() == ["bot", "name", "protocol", "kind", "post", "nonce", "found", "by"]
    assert [line.split()[3] for line in lines[4:6]] == ["shortcode", "widget"]
    assert lines[-1] == "Without --bot, shortcode bot 4 is asked."
    assert all(line == line.rstrip() for line in lines)


def test_json_has_the_keys_of_the_contract(run: Run, site: DemoSite) -> None:
    document = run("inspect", "--json", "--site", site.page("aipkit/")).document
    assert list(document) == ["page", "boxes"]
    boxes = document["boxes"]
    assert isinstance(boxes, list)
    (box,) = boxes
    assert list(box) == BOX_KEYS
    assert (box["protocol"], box["kind"], box["found_by"]) == ("aipkit", "inline", "html")
    assert len(box["nonce"]) == 10


def test_bot_shows_that_one_alone(run: Run, site: DemoSite) -> None:
    page = site.page("wpaicg/json-and-widget/")
    boxes = run("inspect", "--json", "--site", page, "--bot", "widget").document["boxes"]
    assert isinstance(boxes, list)
    assert [box["kind"] for box in boxes] == ["widget"]
    assert "Without --bot" not in run("inspect", "--site", page, "--bot", "widget").out


def test_unknown_bot_fails(run: Run, site: DemoSite) -> None:
    done = run("inspect", "--json", "--site", site.page("wpaicg/"), "--bot", "77")
    assert (done.code, done.error["code"]) == (1, "no_chat_box")


def test_page_without_a_box_fails(run: Run, site: DemoSite) -> None:
    done = run("inspect", "--site", site.page("wpaicg/nochat/"))
    assert (done.code, done.out) == (1, "")
    assert "no chat box" in done.err


def test_box_without_a_nonce_is_shown_all_the_same(run: Run, site: DemoSite) -> None:
    done = run("inspect", "--site", site.page("never/"))
    assert done.code == 0
    assert done.out.splitlines()[-1].split()[-2:] == ["-", "html"]


def test_demo_can_be_inspected(run: Run) -> None:
    done = run("inspect", "--demo")
    assert done.code == 0
    assert "shortcode" in done.out


def test_terminal_shows_the_table(site: DemoSite) -> None:
    with on_terminal("inspect", "--site", site.page("aipkit/")) as terminal:
        assert terminal.wait_for_end() == 0
    assert "Inline bot" in terminal.seen
