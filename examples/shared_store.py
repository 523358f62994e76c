"""Let several clients be one visitor to a site, and acquire its tokens once."""

import tempfile

import chatgptt
from chatgptt.demo import serve

with serve() as demo, tempfile.TemporaryDirectory() as folder:
    for question in ("Why is the sky blue?", "And at night?"):
        # Another process or machine would open the same place: a folder, or RedisStore("redis://...").
        store = chatgptt.FileStore(folder)
        with chatgptt.Client(demo.page("wpaicg/"), store=store) as client:
            reply = client.ask(question)
            print(f"{reply.text} (tokens from {reply.tokens_from}, {reply.page_requests} page requests)")
