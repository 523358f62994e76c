"""`chatgptt serve`: chat boxes as an OpenAI-compatible endpoint on this machine."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from chatgptt._errors import InvalidInputError
from chatgptt.cli import options, terminal
from chatgptt.cli.target import Target
from chatgptt.serve.options import ServeOptions

if TYPE_CHECKING:
    from chatgptt.serve.models import Catalogue


@click.command(
    "serve",
    short_help="Serve chat boxes to programs that speak to OpenAI.",
    epilog=options.examples("chatgptt serve --site https://site.example/chat"),
)
@options.target(240.0)
@options.host
@options.port(8780)
@click.option(
    "--api-key",
    envvar="CHATGPTT_API_KEY",
    show_envvar=True,
    default="",
    metavar="KEY",
    help="What clients have to send. Other users of this machine see an option, not the environment.",
)
@click.option(
    "--allow-origin", "origins", multiple=True, metavar="ORIGIN", help="Let scripts of this web page in."
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A name of this machine that clients use."
)
@click.option(
    "--concurrency",
    type=options.whole(least=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Questions that a site gets at once.",
)
@click.option(
    "--queue",
    type=options.whole(least=0),
    default=32,
    show_default=True,
    metavar="N",
    help="Questions that may wait for a site.",
)
@options.gathered("serving", ServeOptions)
@options.reporting()
def command(target: Target, serving: ServeOptions, as_json: bool) -> None:
    """Serve chat boxes to programs that speak to OpenAI; Ctrl-C ends it.

    Without --site, each named site is a model. See sites.
    """
    from chatgptt.cli.local_sites import explaining_address, explaining_extra

    with explaining_extra("serve", "the endpoint"):
        from chatgptt.serve.server import run

    catalogue = _catalogue(target)
    with explaining_address(serving.host, serving.port):
        run(catalogue, serving, lambda url: _print_start(url, catalogue, serving, as_json=as_json))


def _catalogue(target: Target) -> Catalogue:
    """The page of `--site`; without one the named sites, and where there are none the default page."""
    from chatgptt.serve.models import Catalogue
    from chatgptt.sites.file import find_site, read_sites
    from chatgptt.sites.named import NamedSite

    given = NamedSite(bot=target.bot, strategy=target.strategy, proxy=target.proxy, timeout=target.timeout)
    source = click.get_current_context().get_parameter_source("site")
    is_chosen = source is ParameterSource.COMMANDLINE or (
        source is ParameterSource.ENVIRONMENT and target.sites_file is None
    )
    named = () if is_chosen else read_sites(target.sites_file)
    if named:
        return Catalogue.of_sites(tuple(given.over(site) for site in named))
    if target.sites_file is not None and not is_chosen:
        raise InvalidInputError(f"{target.sites_file} holds no sites", hint="add one: chatgptt sites add")
    site = find_site(target.site, target.sites_file) or NamedSite(url=target.site)
    return Catalogue.of_page(given.over(site))


def _print_start(url: str, catalogue: Catalogue, serving: ServeOptions, *, as_json: bool) -> None:
    base, models = f"{url}/v1", list(catalogue.keys)
    header = ' -H "Authorization: Bearer $CHATGPTT_API_KEY"' if serving.api_key else ""
    key = "$CHATGPTT_API_KEY" if serving.api_key else "none"
    body = json.dumps({"model": models[0], "messages": [{"role": "user", "content": "Hello"}]})
    text = (
        f"{base} answers as OpenAI's API does; Ctrl-C ends it. Models: {', '.join(models)}\n"
        "In another terminal, try:\n"
        f"  curl {base}/chat/completions{header} -d {shlex.quote(body)}\n"
        f"  OPENAI_BASE_URL={base} OPENAI_API_KEY={key} your-program\n"
    )
    terminal.print_result({"url": base, "models": models}, text, as_json=as_json)
