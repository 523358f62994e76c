from __future__ import annotations

from cli.conftest import run
from hostile.internet import internet

__all__ = ["internet", "run"]
