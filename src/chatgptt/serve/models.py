"""Which models there are: named sites, or the one page that is served.

A model is looked up, never built from a request: a URL as a model would let any client send this machine to
any address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatgptt.serve.failures import Failure, RequestError
from chatgptt.sites.named import NamedSite

DEFAULT_MODEL = "default"
ALIASES = ("gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo")
"""Names that programs have in their code. They stand for the one page where no site has a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The sites by their keys, and the key of each model's id."""

    sites: Mapping[str, NamedSite]
    keys: Mapping[str, str]

    @classmethod
    def of_page(cls, site: NamedSite) -> Catalogue:
        """The one page that is served, under every usual name."""
        ids = (*([site.name] if site.name else []), DEFAULT_MODEL, *ALIASES)
        return cls(sites={DEFAULT_MODEL: site}, keys=dict.fromkeys(ids, DEFAULT_MODEL))

    @classmethod
    def of_sites(cls, sites: tuple[NamedSite, ...]) -> Catalogue:
        """Named sites under their names."""
        return cls(sites={site.name: site for site in sites}, keys={site.name: site.name for site in sites})

    def find(self, model: str) -> tuple[str, str | None]:
        """The site's key and the bot of a request's model: an id, or `ID:BOT` with a bot of the page.

        Raises:
            RequestError: 404 for any other name, with the ids.
        """
        name, colon, bot = model.partition(":")
        if name not in self.keys or (colon and not bot.strip()):
            message = f"there is no model {model[:80]!r}; the models are: {', '.join(self.keys)}"
            raise RequestError(Failure(status=404, code="model_not_found", message=message, param="model"))
        return self.keys[name], bot.strip() or None

    def as_dict(self, created: int) -> dict[str, object]:
        """The list of models as the API has it."""
        return {"object": "list", "data": [model_as_dict(model, created) for model in self.keys]}


def model_as_dict(model: str, created: int) -> dict[str, object]:
    """One model as the API has it; `created` in Unix seconds."""
    return {"id": model, "object": "model", "created": created, "owned_by": "chatgptt"}
