"""A person's visit to a site, kept for later calls: its value, its files, its use."""

from pathlib import Path

from chatgptt.state.folder import file_name


def path_of_visit(folder: Path, site: str) -> Path:
    """Where the visit to the origin `site` is kept."""
    return folder / file_name(site, ".visit")
