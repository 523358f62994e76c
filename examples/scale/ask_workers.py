"""Have workers (`celery -A chatgptt.celery worker`) answer: python ask_workers.py URL."""

import sys

from chatgptt.celery import ask

results = {text: ask.delay(text, site=sys.argv[1]) for text in ("Why is the sky blue?", "And at night?")}
for text, result in results.items():
    document = result.get(timeout=300)
    print(text, document["message"] if "code" in document else document["text"])
