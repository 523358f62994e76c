"""The earlier name of `chatgptt.recordings`, which programs import."""

from chatgptt.recordings import *  # noqa: F403 - all of its public names
from chatgptt.recordings import __all__ as __all__
