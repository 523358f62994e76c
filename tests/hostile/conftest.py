from __future__ import annotations

from hostile.internet import internet

__all__ = ["internet"]
