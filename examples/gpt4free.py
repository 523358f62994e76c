"""Use the provider class with gpt4free's client and with a list of providers.

Where `g4f` is not installed, the example says so; examples/provider.py uses the class without it.
"""

from chatgptt import ChatGptt
from chatgptt.demo import serve

try:
    import g4f.debug
    from g4f.client import Client
    from g4f.providers.retry_provider import RetryProvider
except ImportError:
    Client = RetryProvider = None


def main(page: str, page_without_tokens: str) -> None:
    """Asks the page as a provider alone, then as the second one of a list."""

    class Lacking(ChatGptt):
        url = page_without_tokens

    class MyChat(ChatGptt):
        url = page

    g4f.debug.version_check = False  # the example talks to the demo site alone
    for chunk in Client(provider=MyChat).chat.completions.create("Hello", stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()

    client = Client(provider=RetryProvider([Lacking, MyChat], shuffle=False))
    answer = client.chat.completions.create("Hello", strategy="static", timeout=30)
    print(f"{answer.provider}: {answer.choices[0].message.content}")


if Client is None:
    print("gpt4free is not installed; get it with: pip install g4f")
else:
    with serve() as demo:
        main(demo.page("wpaicg/"), demo.page("never/"))
