"""Chat sites on loopback that speak both protocols of AI Power, with every known fault.

The demo is written from docs/protocols.md and shares no code with the client, so it can disagree with the
client. It computes and checks nonces, accepts a key once, and garbles histories as real sites do. Only the AI
is made up. `GET /` lists the pages and the scripted words.

- The server: `server` (a port), `app` (ASGI), `bodies` (a request's fields), `stream` (replies in pieces).
- The sites: `site_list` names them, `installation` is WordPress with a plugin, `wordpress` its replies,
  `index` the list of all. `fault_pages` and `scripted` are pages that need more than the HTML, or fail.
- The plugin: `wpaicg/` is 1.x, `aipkit/` is 2.x, each with `pages`, `boxes`, `messages` and `answers`.
- Behind them: `model` (the made-up AI), `nonces`, `state` (clock, log, visitors), `front` (the web server
  and the bot protection), `optimisers` (what performance plugins make of a page's scripts).

    with serve() as site:
        print(site.page("wpaicg/"))
"""

from chatgptt.demo.server import DemoSite, run, serve
from chatgptt.demo.state import LoggedRequest

__all__ = ["DemoSite", "LoggedRequest", "run", "serve"]
