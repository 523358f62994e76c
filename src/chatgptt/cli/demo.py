"""`chatgptt demo`: a chat site on this machine."""

from __future__ import annotations

import click

from chatgptt.cli import options, terminal


@click.command("demo", epilog=options.examples("chatgptt demo --port 8765"))
@options.port(8765)
@options.host
@options.reporting()
def command(port: int, host: str, as_json: bool) -> None:
    """Run a chat site on this machine; Ctrl-C ends it."""
    from chatgptt.cli.local_sites import explaining_address, explaining_extra

    with explaining_extra("demo", "the demo site"):
        from chatgptt.demo import run

    with explaining_address(host, port):
        run(port=port, host=host, on_ready=lambda site: _print_url(site.url, as_json=as_json))


def _print_url(url: str, *, as_json: bool) -> None:
    text = (
        f"{url}/ lists the demo's pages; Ctrl-C ends it. In another terminal, try:\n"
        f"  chatgptt ask --site {url}/wpaicg/ Hello\n"
    )
    terminal.print_result({"url": url}, text, as_json=as_json)
