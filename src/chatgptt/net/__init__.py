"""The one seam to httpx: requests, sockets, deadlines, retries, and foreign errors to ours."""

import sys

# Keep `import httpx` from loading its command line, with click, rich and pygments: half of its time.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
