"""Where the catalogue is, what its folders hold, and which of its cases need a browser."""

from __future__ import annotations

from pathlib import Path

from chatgptt.recordings import read_case

FOLDER = Path(__file__).parents[2] / "fixtures"


def on_disk(folder: Path) -> dict[str, bytes]:
    """The bytes of a case's files by their names."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def is_for_browser(folder: Path) -> bool:
    """Whether a browser ran the page when the case was recorded."""
    return read_case(folder).strategy != "static"
