"""A small chat site on loopback that speaks both protocols of AI Power, with everything that can go wrong.

It is written from the facts in docs/protocols.md and shares no code with the client, so that it can disagree
with it. Nonces are computed and checked, keys are good once, histories are mangled as sites mangle them; only
the AI is made up. `GET /` lists the pages and the words that make an answer special.

    with serve() as site:
        print(site.page("wpaicg/"))
"""

from chatgptt.demo.seen import Seen
from chatgptt.demo.server import DemoSite, run, serve

__all__ = ["DemoSite", "Seen", "run", "serve"]
