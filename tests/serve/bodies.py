"""Bodies of requests for fuzzing: the documented shapes with any value in any place, and no shape at all."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""No example is judged by its time: the machine may be busy."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={"type": st.sampled_from(["text", "input_text", "image_url"]) | JSON, "text": st.text() | JSON},
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "system", "developer", "assistant", "tool"]) | JSON,
        "content": st.text(max_size=20) | st.lists(PARTS, max_size=3) | JSON,
        "type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning"]) | JSON,
        "output": JSON,
        "name": JSON,
        "tool_calls": JSON,
    },
)
LISTS = st.lists(ITEMS | JSON, max_size=4)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["default", "gpt-4o", "default:0", "default:\ud800"]) | JSON,
        "messages": LISTS | JSON,
        "input": LISTS | st.text(max_size=20) | JSON,
        "instructions": JSON,
        "stream": st.booleans() | JSON,
        "stream_options": st.fixed_dictionaries({}, optional={"include_usage": JSON}) | JSON,
        "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=5) | JSON,
        "n": st.integers(0, 2) | JSON,
        "previous_response_id": JSON,
        "temperature": JSON,
        "tools": JSON,
    },
)


def bodies() -> st.SearchStrategy[bytes]:
    """Bodies as bytes."""
    return st.binary(max_size=40) | (DOCUMENTS | JSON).map(lambda value: json.dumps(value).encode())
