"""The rung that runs the page in a headless Chromium; the only importer of playwright.

From the ladder inward: `on_demand` imports the rest on first use; `rung` decides whether to visit the page;
`shared` gives it a tab of the process's one browser; `chromium` starts that browser, and `tab` is a page in
it; `observations` decides when what the page shows makes tokens.
"""
