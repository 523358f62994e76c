"""Use the provider class as gpt4free-style code does, pointed at another site by a subclass."""

import asyncio

from chatgptt import ChatGptt
from chatgptt.demo import serve


async def main(page: str) -> None:
    """Asks the page and prints the answer piece by piece."""

    class MyChat(ChatGptt):
        url = page

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    async for piece in MyChat.create_async_generator(model="gpt-4o", messages=messages):
        print(piece, end="", flush=True)
    print()


with serve() as demo:
    asyncio.run(main(demo.page("wpaicg/")))
