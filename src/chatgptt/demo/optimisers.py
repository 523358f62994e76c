"""The forms that performance plugins give to the inline script `wpaicgParams` of a 1.x page.

The content stays. Its wrapping changes: a `type` that browsers do not run, a `data:` URI, an attribute of the
performance plugin, another file. The page includes the loader that a browser needs to run the script.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Literal, assert_never
from urllib.parse import quote

from chatgptt.demo.wordpress import php_json

Wrapping = Literal["plain", "none", "datauri", "type", "litespeed", "delayed", "minified", "combined"]

COMBINED = "wp-content/cache/js/combined.js"
"""The path of the script with `combined`, below the site."""

ID = "wpaicg-init-js-extra"
"""The id that WordPress gives the inline script."""


def params_script(params: Mapping[str, object]) -> str:
    """The script as the plugin prints it."""
    return f"var wpaicgParams = {php_json(dict(params))};"


def params_html(params: Mapping[str, object], wrapping: Wrapping, *, home: str) -> str:
    """The script element in this wrapping, with the loader that runs it."""
    script = params_script(params)
    data = f"data:text/javascript;base64,{base64.b64encode(script.encode()).decode()}"
    match wrapping:
        case "plain":
            return f"<script id='{ID}'>\n{script}\n</script>\n"
        case "none":
            return ""
        case "datauri":
            return f'<script id="{ID}" src="{data}"></script>\n'
        case "type":
            kind = "rocketlazyloadscript"
            element = f'<script type="{kind}" id="{ID}">\n/* <![CDATA[ */\n{script}\n/* ]]> */\n</script>\n'
            return element + _loader(kind, "data-rocket-src")
        case "litespeed":
            kind = "litespeed/javascript"
            return f'<script type="{kind}" data-src="{data}" id="{ID}"></script>\n' + _loader(
                kind, "data-src"
            )
        case "delayed":
            kind, source = "pmdelayedscript", f"data:text/javascript,{quote(script, safe='')}"
            attributes = f'type="{kind}" data-perfmatters-type="text/javascript" data-pmsrc="{source}"'
            return f'<script id="{ID}" {attributes}></script>\n' + _loader(kind, "data-pmsrc")
        case "minified":
            pairs = ",".join(f"{key}:{json.dumps(value)}" for key, value in params.items())
            return f"<script>window.wpaicgParams={{{pairs}}}</script>\n"
        case "combined":
            return f'<script defer src="{home}/{COMBINED}"></script>\n'
        case _:
            assert_never(wrapping)


def _loader(kind: str, source: str) -> str:
    return (
        '<script>addEventListener("load",function(){'
        f"document.querySelectorAll('script[type=\"{kind}\"]').forEach(function(old){{"
        'var now=document.createElement("script");'
        f'if(old.hasAttribute("{source}"))now.src=old.getAttribute("{source}");else now.text=old.text;'
        "old.replaceWith(now)})});</script>\n"
    )
