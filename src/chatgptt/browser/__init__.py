"""The rung that runs the page in a headless Chromium; the only importer of playwright."""
