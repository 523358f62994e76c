"""Many questions from a file, each asked once: rows, journal, output, and the schedule by site."""
