"""Plugins for programs of others: each module is one program's, and imports it."""
