"""The fields of a request, as PHP would find them in $_GET and $_POST."""

from __future__ import annotations

from email import message_from_bytes, policy
from urllib.parse import parse_qsl


def read_query(query: str | bytes) -> dict[str, str]:
    """The pairs of a query string or urlencoded body; of a repeated name the last one counts."""
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    return dict(parse_qsl(text, keep_blank_values=True, errors="replace"))


def read_number(text: str) -> int:
    """A field that is a number, -1 for every other text."""
    return int(text) if text.isascii() and text.isdigit() else -1


def read_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form body, urlencoded or multipart; no fields for every other type.

    An uploaded file becomes its name in brackets: the demo reads no pictures or sounds.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return read_query(body)
    if kind != "multipart/form-data":
        return {}
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    form = message_from_bytes(head + body, policy=policy.HTTP)
    fields: dict[str, str] = {}
    for part in form.iter_parts() if form.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        file_name, payload = part.get_filename(), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            text = payload.decode("utf-8", "replace")
            fields[name] = text if file_name is None else f"[file {file_name}]"
    return fields
