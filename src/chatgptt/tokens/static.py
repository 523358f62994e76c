"""The rungs that read the page as it is served: the box's attributes, then the rest. Nothing is run."""

from __future__ import annotations

from functools import partial

from chatgptt._errors import ChatGpttError, Finding
from chatgptt._models import Rung
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.interface import Protocol
from chatgptt.protocols.page import Page
from chatgptt.tokens.acquisition import Acquisition, Outcome, PageFacts, foreign_box
from chatgptt.tokens.pages import PageReader

_MAX_SCRIPTS = 3


class HtmlRung:
    """Reads the page and takes the attributes of the box's own element."""

    name: Rung = "html"

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder."""
        read = await self._reader.read(facts, acquisition)
        findings = [foreign_box(self.name, site) for site in read.foreign_sites]
        box = read.box
        if read.missing is not None:
            findings.append(Finding(rung=self.name, saw=_describe(read)))
        if box is not None and box.nonce is not None:
            return _outcome(self._reader, read, acquisition, box.nonce, self.name, tuple(findings))
        if box is not None:
            saw = f"the {box.kind} box of bot {box.bot_id} shows no usable nonce"
            findings.append(Finding(rung=self.name, saw=saw))
        return Outcome(facts=read, findings=tuple(findings))


def _describe(facts: PageFacts) -> str:
    """What a page without the wanted box is."""
    assert facts.page is not None
    assert facts.head is not None
    cut = "; the page was cut off for its size" if facts.page.is_cut else ""
    number = len(facts.boxes)
    boxes = f"{number or 'no'} box{'' if number == 1 else 'es'}"
    return f"HTTP {facts.head.status}, title {facts.page.title!r}, {boxes}{cut}"


class ScriptRung:
    """Reads the nonce elsewhere in the page: from another box of the same generation, since all of them share
    one (C2), from the page's scripts, or from those that an optimiser moved out of the page (C3).
    """

    name: Rung = "script"

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder."""
        if facts.box is None or facts.page is None:
            return Outcome(facts=facts)
        findings: list[Finding] = []
        protocol = PROTOCOLS[facts.box.protocol]
        shared = [box.nonce for box in facts.boxes if box.protocol == facts.box.protocol]
        nonce = next((one for one in shared if one and one not in acquisition.rejected), None)
        if nonce is None and protocol.PARAMS:
            nonce = await self._find_in_scripts(protocol, facts.page, acquisition, findings)
        if nonce is None:
            saw = f"no script of the page holds {protocol.PARAMS} with a usable nonce"
            if not protocol.PARAMS:
                saw = f"{protocol.VERSIONS} keeps no nonce in scripts"
            findings.append(Finding(rung=self.name, saw=saw))
            return Outcome(facts=facts, findings=tuple(findings))
        return _outcome(self._reader, facts, acquisition, nonce, self.name, tuple(findings))

    async def _find_in_scripts(
        self, protocol: Protocol, page: Page, acquisition: Acquisition, findings: list[Finding]
    ) -> str | None:
        nonce = await self._reader.search(page, acquisition, protocol.find_page_nonce)
        if nonce is not None:
            return nonce
        scripts = await self._reader.search(page, acquisition, lambda page: page.combined_scripts)
        for url in scripts[:_MAX_SCRIPTS]:
            try:
                script = await self._reader.fetch_script(url, acquisition)
            except ChatGpttError as error:
                saw = f"a combined script could not be read: {error.message}"
                findings.append(Finding(rung=self.name, saw=saw))
                continue
            find = partial(protocol.find_script_nonce, script)
            nonce = await self._reader.aside(find, len(script), acquisition)
            if nonce is not None:
                return nonce
        return None


def _outcome(
    reader: PageReader,
    facts: PageFacts,
    acquisition: Acquisition,
    nonce: str,
    rung: Rung,
    findings: tuple[Finding, ...],
) -> Outcome:
    """The outcome of a rung that found a nonce, which may be the rejected one still."""
    tokens = reader.make_tokens(facts, acquisition, nonce, rung)
    if nonce not in acquisition.rejected:
        return Outcome(facts=facts, tokens=tokens, findings=findings)
    finding = Finding(rung=rung, saw="the site still shows the nonce that it rejected")
    return Outcome(facts=facts, doubtful=tokens, findings=(*findings, finding))
