"""Two pages of 70 kB to read tokens from, made up after what WordPress sites serve. `composition` tells their shares.

`usual_page` is a page of a block theme under a page builder: mostly inline CSS (presets, global styles, the builder's
rules) and inline scripts (a tag manager, settings of plugins, the emoji loader, a JSON-LD graph), then the head's
links, a menu, an article, and in the middle of it the 1.x box as 1.9.18 prints it.

`dense_page` has next to no inline CSS or scripts: tags and short texts only, as the index of a forum has, and the box
in the middle. A parser's work grows with the tags, a search's does not.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["NONCE", "POST_ID", "URL", "composition", "dense_page", "usual_page"]

URL = "https://site.example/chat/"
NONCE = "6439c47ad1"
POST_ID = "2187"
SIZE_BYTES = 70_000

_BOX = f"""<div class="wpaicg-chat-shortcode"
     data-user-bg-color="#ccf5e1"
     data-color="#495057"
     data-fontsize="14"
     data-ai-bg-color="#d1e8ff"
     data-nonce="{NONCE}"
     data-post-id="{POST_ID}"
     data-url="https://site.example/chat/"
     data-bot-id="0"
     data-width="100%"
     data-height="50%"
     data-typewriter-effect = ""
     data-openai_stream_nav="1"
     data-memory-limit = "100"
     data-lead-title = "Let us know how to contact you"
     data-bg_text_field = "#ffffff"
     data-assistant-enabled="false"
     data-type="shortcode"
>
<div class="wpaicg-chat-content-wrapper"><div class="wpaicg-chat-shortcode-content">
<ul class="wpaicg-chat-shortcode-messages"><li class="wpaicg-ai-message" style="color: #495057">
<span class="wpaicg-chat-message">Hello, how can I help you today?</span></li></ul>
<span class="wpaicg-bot-thinking" style="padding-left: 0">Gathering thoughts&nbsp;<span class="wpaicg-jumping-dots">
<span class="wpaicg-dot-1">.</span><span class="wpaicg-dot-2">.</span></span></span>
<div class="wpaicg-chat-shortcode-type"><textarea type="text" name="wpaicg-chat-shortcode-typing"
class="auto-expand wpaicg-chat-shortcode-typing" placeholder="Type a message"></textarea>
<span class="wpaicg-chat-shortcode-send" role="button" aria-label="Send" tabindex="0"><svg width="16" height="16"
viewBox="0 0 24 24"><path d="M2 21l21-9L2 3v7l15 2-15 2z"/></svg></span></div></div></div></div>
"""

_PARAMS = (
    "<script id='wpaicg-init-js-extra'>\nvar wpaicgParams = "
    f'{{"ajax_url":"https:\\/\\/site.example\\/wp-admin\\/admin-ajax.php","search_nonce":"{NONCE}","logged_in":"0"}};\n'
    "</script>\n"
)

_HEAD = """<!DOCTYPE html>
<html lang="en-US"><head><meta charset="UTF-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />
<title>Chat &#8211; A site</title><meta name='robots' content='max-image-preview:large' />
<link rel="alternate" type="application/rss+xml" title="A site &raquo; Feed" href="https://site.example/feed/" />
<link rel='stylesheet' id='wp-ai-content-generator-css' href='https://site.example/wp-content/plugins/gpt3-ai-content-generator/public/css/wp-ai-content-generator-public.css?ver=1.9.18' media='all' />
<script src='https://site.example/wp-includes/js/jquery/jquery.min.js?ver=3.7.1' id='jquery-core-js'></script>
<link rel="https://api.w.org/" href="https://site.example/wp-json/" /><link rel="EditURI" type="application/rsd+xml" title="RSD" href="https://site.example/xmlrpc.php?rsd" />
"""

_FOOT = f"""<footer class="wp-block-template-part"><p>Proudly powered by <a href="https://wordpress.org">WordPress</a></p></footer>
{_PARAMS}<script src='https://site.example/wp-content/plugins/gpt3-ai-content-generator/public/js/wpaicg-chat.js' id='wpaicg-chat-script-js'></script>
</body></html>
"""


def usual_page() -> bytes:
    """A page as most sites serve it, with the box in its content."""
    styles = [_style("wp-emoji-styles", 3), _style("wp-block-library", 46), _style("global-styles", 92)]
    styles.append(_style("elementor-frontend-inline", 118))
    scripts = [_script("wp-emoji-settings", 9), _script("gtag", 20), _script("wc-settings", 24)]
    menu = "".join(_menu_item(number) for number in range(24))
    head = (
        f"{_HEAD}{''.join(styles)}{''.join(scripts)}{_graph(12)}</head><body class='page page-id-{POST_ID}'>"
    )
    before = f"{head}<header><nav><ul>{menu}</ul></nav></header><main><article>"
    after = f"</article></main>{_script('frontend-settings', 26)}{_FOOT}"
    return _filled(before, after, _paragraph)


def dense_page() -> bytes:
    """A page of little else than tags, with the box at the same place."""
    before = f"{_HEAD}</head><body class='forum'><main><table><tbody>"
    after = f"</tbody></table></main>{_FOOT}"
    return _filled(before, after, _forum_row, box=f"<tr><td>{_BOX}</td></tr>")


def composition(page: bytes) -> str:
    """What a page is made of, in one line."""
    inline = {"style": 0, "script": 0}
    for tag in inline:
        for part in page.split(f"<{tag}".encode())[1:]:
            inline[tag] += len(part.split(f"</{tag}>".encode())[0])
    return (
        f"{len(page) / 1000:.1f} kB, {page.count(b'<') - page.count(b'</')} elements; "
        f"inline CSS {100 * inline['style'] // len(page)} %, scripts {100 * inline['script'] // len(page)} %; "
        f"box at {100 * page.index(b'data-nonce') // len(page)} %"
    )


def _filled(before: str, after: str, make: Callable[[int], str], *, box: str = _BOX) -> bytes:
    """As many parts between `before` and `after` as make up the size, and the box in their middle."""
    parts: list[str] = []
    size = len(before) + len(box) + len(after)
    while size < SIZE_BYTES:
        parts.append(make(len(parts)))
        size += len(parts[-1])
    parts.insert(len(parts) // 2, box)
    return f"{before}{''.join(parts)}{after}".encode()


def _style(name: str, rules: int) -> str:
    body = "".join(
        f".wp-block-{name}-{n}.has-accent-{n % 9}-color:not(.is-style-{n})>.inner{{--wp--preset--spacing--{n}:"
        f"clamp(1rem,{n}.5vw,3rem);padding:0 {n % 7}px {n % 5}px;color:#{n * 7919 % 0xFFFFFF:06x}}}"
        for n in range(rules)
    )
    return f"<style id='{name}-css'>\n{body}\n</style>\n"


def _script(name: str, entries: int) -> str:
    body = ",".join(
        f'"{name}_{n}":{{"enabled":{n % 2},"url":"https:\\/\\/site.example\\/wp-json\\/{name}\\/v1\\/{n}","label":"Entry {n}"}}'
        for n in range(entries)
    )
    return f'<script id="{name}-js-extra">\nvar {name.replace("-", "_")} = {{{body}}};\n</script>\n'


def _graph(entries: int) -> str:
    body = ",".join(
        f'{{"@type":"ListItem","position":{n},"name":"Part {n}","item":"https://site.example/part-{n}/"}}'
        for n in range(entries)
    )
    return (
        f'<script type="application/ld+json">{{"@context":"https://schema.org","@graph":[{body}]}}</script>\n'
    )


def _menu_item(number: int) -> str:
    return (
        f'<li id="menu-item-{number}" class="menu-item menu-item-type-post_type menu-item-{number}">'
        f'<a href="https://site.example/page-{number}/" class="menu-link"><span>Page {number}</span></a></li>\n'
    )


def _paragraph(number: int) -> str:
    return (
        f"<h3 class='wp-block-heading'>Part {number}</h3>\n<p class='has-text'>What this site says about its {number} "
        "subjects, in <strong>long</strong> sentences with an <a href='https://site.example/elsewhere/'>address</a>, "
        "and with nothing in them that a reader of tokens would look for.</p>\n"
    )


def _forum_row(number: int) -> str:
    return (
        f'<tr class="topic"><td><a href="/t/{number}/">Topic {number}</a></td><td><span>{number % 40}</span></td>'
        f"<td><b>{number % 9}</b></td><td><i>a</i> <em>day</em></td></tr>\n"
    )
