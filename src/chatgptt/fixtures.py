"""The earlier name of `chatgptt.recordings`, which programs import."""

from chatgptt.recordings import (
    Ask,
    Case,
    CaseError,
    Chunk,
    Exchange,
    Recorded,
    ReplayedSite,
    ScrubReport,
    find_cases,
    find_drift,
    read_case,
    read_fault,
    record,
    serve_case,
    write_case,
)

__all__ = [
    "Ask",
    "Case",
    "CaseError",
    "Chunk",
    "Exchange",
    "Recorded",
    "ReplayedSite",
    "ScrubReport",
    "find_cases",
    "find_drift",
    "read_case",
    "read_fault",
    "record",
    "serve_case",
    "write_case",
]
