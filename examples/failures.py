"""Tell failures apart and act on them."""

import chatgptt
from chatgptt.demo import serve


def ask(client: chatgptt.Client, message: str) -> str:
    """The answer, or what a program would do without one."""
    try:
        return client.ask(message).text
    except chatgptt.RefusedError as error:
        return f"the site said no ({error.reason}): {error}"
    except chatgptt.RateLimitedError as error:
        return f"come back in {error.retry_after} s"
    except chatgptt.StreamInterruptedError as error:
        return f"only this came: {error.partial_text!r}"
    except chatgptt.ChatGpttError as error:
        return f"{error.code}: {error} - {error.hint}"


with serve() as demo, chatgptt.Client(demo.page("wpaicg/"), state_dir=None) as client:
    for message in ("Hello", "QUOTA", "BUSYLONG", "CUT", "PROVIDER500", "NONCE"):
        print(f"{message}: {ask(client, message)}")
