"""The two wire protocols, pure: no I/O, no clock, no randomness.

Values in, values or errors of the project out.
"""
