"""Named sites: a name for a page and the options it is asked with, in one file for all commands."""

__all__ = ["DEFAULT_SITE"]

DEFAULT_SITE = "https://chatgptt.me/"
"""The page that is asked where none is given."""
