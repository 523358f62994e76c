"""Workers on as many machines as wanted: `celery -A chatgptt.celery worker`.

    app.send_task("chatgptt.ask", kwargs={"message": "Hello", "site": "https://site.example/chat"})

`CHATGPTT_BROKER` is the Redis with the questions and the answers. What is known of sites is shared in the
Redis of `CHATGPTT_STORE`, or in the same one.

No message is asked twice. Celery takes a task from the queue before it runs, and gives it back where it
cannot know whether it runs. So a task writes down its worker before it asks, and a second run of it asks
nothing. A killed worker loses a message therefore, and the note under `begun_key` names that worker.
"""

from __future__ import annotations

import functools
import os
import uuid

from celery import Task
from celery.exceptions import Ignore
from celery.utils.log import get_task_logger

from chatgptt._errors import ChatGpttError
from chatgptt._models import MessageInput
from chatgptt._sync import Client
from chatgptt.batch.documents import as_document
from chatgptt.batch.queue import ANSWERS_KEPT, TASK, begun_key, make_app
from chatgptt.net.retry import RetryPolicy
from chatgptt.sites import DEFAULT_SITE

_MOST_CLIENTS = 32
"""Sites whose connections a process keeps open."""

_log = get_task_logger(__name__)


app = make_app(os.environ.get("CHATGPTT_BROKER") or "redis://127.0.0.1:6379/0")


@app.task(bind=True, name=TASK)
def ask(
    self: Task,
    message: MessageInput,
    site: str = DEFAULT_SITE,
    bot: str | int | None = None,
    system: str | None = None,
    timeout: float = 240.0,
) -> dict[str, object]:
    """Asks a site's chat box; arguments and result are JSON.

    Args:
        message: see AsyncClient.ask.
        site: the page's address, or the name of a site in this worker's file of sites.
        bot: see AsyncClient.
        system: see AsyncClient.ask.
        timeout: seconds for the call.

    Returns:
        `Reply.as_dict()`, or the error with `ambiguous` and `blocked`, which alone has a `code`.
    """
    _begin(self)
    try:
        client = _client_of(site)
        return client.ask(message, system=system, bot=bot, timeout=timeout).as_dict()
    except ChatGpttError as error:
        return as_document(error)


def _begin(task: Task) -> None:
    """Writes down that this run asks; ends it where another one has."""
    key, run = begun_key(task.request.id), f"{task.request.hostname} {uuid.uuid4()}"
    redis = task.backend.client
    task.backend.ensure(lambda: redis.set(key, run, nx=True, ex=ANSWERS_KEPT), ())
    holder = task.backend.ensure(lambda: redis.get(key), ())
    if holder is not None and holder.decode() != run:
        _log.warning("%s was begun by %s: its message is not sent again", task.request.id, holder.decode())
        raise Ignore


@functools.lru_cache(maxsize=_MOST_CLIENTS)
def _client_of(site: str) -> Client:
    """The client of a site in this process; one that makes room for another closes when it is collected."""
    store = os.environ.get("CHATGPTT_STORE") or str(app.conf.broker_url)
    # The batch waits for a busy site. A worker does not: it has other sites to ask.
    return Client(site, store=store, retry=RetryPolicy(max_retry_after=5.0, repeats_busy=False))
