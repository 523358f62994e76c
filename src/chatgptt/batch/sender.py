"""What asks the rows: a client of this process for each site."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from chatgptt._client import AsyncClient
from chatgptt._errors import ChatGpttError
from chatgptt._models import Reply
from chatgptt.batch.rows import Row
from chatgptt.batch.schedule import Ask, Sender


def asking_clients(make: Callable[[str], AsyncClient]) -> Sender:
    """Asks the rows of an origin with a client for each of its sites, closed when the origin is through.

    Args:
        make: a client of a site.
    """

    @contextlib.asynccontextmanager
    async def open_origin(origin: str) -> AsyncIterator[Ask]:
        async with contextlib.AsyncExitStack() as stack:
            clients: dict[str, AsyncClient] = {}

            async def ask(row: Row) -> Reply | ChatGpttError:
                try:
                    if row.site not in clients:
                        clients[row.site] = make(row.site)
                        stack.push_async_exit(clients[row.site])
                    return await clients[row.site].ask(
                        row.message, system=row.system or None, bot=row.bot or None
                    )
                except ChatGpttError as error:
                    return error

            yield ask

    return open_origin
