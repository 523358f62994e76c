"""Print an answer while it arrives, from an asynchronous program."""

import asyncio

from chatgptt import AsyncClient
from chatgptt.demo import serve


async def main(page: str) -> None:
    """Asks the page and prints the answer piece by piece."""
    async with AsyncClient(page, state_dir=None) as client, client.stream("Tell me a story") as stream:
        async for piece in stream:
            print(piece, end="", flush=True)
    print()


with serve() as demo:
    asyncio.run(main(demo.page("aipkit/")))
