"""Ask one question and see how the answer came about."""

import chatgptt
from chatgptt.demo import serve

with serve() as demo, chatgptt.Client(demo.page("wpaicg/"), state_dir=None) as client:
    reply = client.ask("Why is the sky blue?")
    print(reply.text)
    print(f"tokens from {reply.tokens_from}, {reply.page_requests} page requests, {reply.elapsed:.2f} s")
