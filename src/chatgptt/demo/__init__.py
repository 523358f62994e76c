"""Chat sites on loopback that speak both protocols of AI Power, with every known fault.

The demo is written from docs/protocols.md and shares no code with the client, so it can disagree with the
client. It computes and checks nonces, accepts a key once, and garbles histories as real sites do. Only the AI
is made up. `GET /` lists the pages and the scripted words.

    with serve() as site:
        print(site.page("wpaicg/"))
"""

from chatgptt.demo.server import DemoSite, run, serve
from chatgptt.demo.state import LoggedRequest

__all__ = ["DemoSite", "LoggedRequest", "run", "serve"]
