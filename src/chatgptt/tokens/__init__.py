"""Acquiring tokens: a ladder of rungs, cheapest first, and the memory of what was acquired."""
