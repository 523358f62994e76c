"""The generations of the plugin that are in use."""

from __future__ import annotations

from collections.abc import Mapping

from chatgptt._models import PluginGeneration
from chatgptt.protocols import aipkit, wpaicg
from chatgptt.protocols.interface import Protocol

PROTOCOLS: Mapping[PluginGeneration, Protocol] = {"wpaicg": wpaicg, "aipkit": aipkit}
