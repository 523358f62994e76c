"""A person's visit to a site, kept for later calls: its value, its files, its use."""
