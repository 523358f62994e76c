"""An OpenAI-compatible endpoint for chat boxes.

Reading requests and building replies are functions of values: `models`, `requests`, `stops`, `chat`,
`responses`, `failures`. `answers` moves an answer from a site to a client, `access` has the rules, `app` the
routes, and `server` is the edge: a socket and uvicorn.
"""
