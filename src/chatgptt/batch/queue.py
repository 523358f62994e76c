"""The queue of questions in Redis, as a Celery application that the batch and the workers share."""

from __future__ import annotations

import ssl

from celery import Celery

from chatgptt.tokens.redis_store import check_address

TASK = "chatgptt.ask"

ANSWERS_KEPT = 24 * 3600
"""Seconds for which an answer waits to be fetched, and for which a second run of a task is known as one."""

_LOST_AFTER = 60
"""Seconds after which Redis gives a task that was taken and not begun to another worker."""


def make_app(broker: str) -> Celery:
    """The Celery application whose questions and answers are in a Redis.

    Args:
        broker: its address, `redis://` or `rediss://`.

    Raises:
        InvalidInputError: for an address that cannot be one.
    """
    check_address(broker)
    app = Celery("chatgptt", broker=broker, backend=broker)
    patience = {"max_retries": None, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}
    app.conf.update(
        task_default_queue="chatgptt",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a question waits in the queue, where every worker can take it
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": _LOST_AFTER},
        result_expires=ANSWERS_KEPT,
        result_backend_always_retry=True,  # an answer waits for a Redis that is away
        result_backend_transport_options={"retry_policy": patience},
    )
    if broker.startswith("rediss://"):  # without the setting Celery refuses the address
        app.conf.broker_use_ssl = app.conf.redis_backend_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return app


def begun_key(task_id: str) -> str:
    """Where the name of the worker is kept that has begun a task."""
    return f"chatgptt:begun:{task_id}"
