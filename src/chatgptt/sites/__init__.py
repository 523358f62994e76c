"""Named sites: a name for a page and the options it is asked with, in one file for all commands."""
