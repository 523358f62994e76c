"""The one seam to httpx: requests, sockets, deadlines, retries, and foreign errors to ours."""
