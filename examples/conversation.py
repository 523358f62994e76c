"""A conversation: the site is told what was said before (1.x), or keeps it (2.x)."""

from chatgptt import Client
from chatgptt.demo import serve

with serve() as demo:
    for page in ("wpaicg/", "aipkit/"):
        with Client(demo.page(page), state_dir=None) as client:
            chat = client.conversation(system="Answer briefly.")
            chat.ask("I am Ada.")
            print(chat.ask("HISTORY").text)  # the demo answers this with what its made-up AI was sent
