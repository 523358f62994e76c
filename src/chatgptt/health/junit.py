"""Reports as JUnit XML: a suite for each page, a test case for each phase, as CI systems show them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from chatgptt.health.report import HealthReport, Phase, iso

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


def junit_text(reports: Sequence[HealthReport]) -> str:
    """The XML document. A failure that is this machine's is an error; a warning passes and says so."""
    root = ElementTree.Element("testsuites", name="chatgptt health-check")
    for report in reports:
        cases = [_case(report, phase) for phase in report.phases]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_text(report.site),
            tests=str(len(cases)),
            failures=str(_count(cases, "failure")),
            errors=str(_count(cases, "error")),
            skipped=str(_count(cases, "skipped")),
            time=f"{report.elapsed:.4f}",
            timestamp=iso(report.checked_at).removesuffix("Z"),
        )
        suite.extend(cases)
        if report.verdict == "unknown" and not _count(cases, "error"):
            # Nothing was checked at all, which must not pass for success.
            case = ElementTree.SubElement(
                suite, "testcase", classname=_text(report.site), name="check", time="0"
            )
            ElementTree.SubElement(case, "error", message=_text(report.summary), type=report.code or "")
            suite.set("tests", str(len(cases) + 1))
            suite.set("errors", "1")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(report: HealthReport, phase: Phase) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=_text(report.site), name=phase.name, time=f"{phase.elapsed or 0.0:.4f}"
    )
    match phase.status:
        case "skip":
            ElementTree.SubElement(case, "skipped", message=_text(phase.detail))
        case "fail":
            kind = "error" if report.verdict == "unknown" else "failure"
            failed = ElementTree.SubElement(case, kind, message=_text(phase.detail), type=phase.code or "")
            failed.text = _text(phase.hint)
        case "warn" | "pass":
            words = f"warning, {phase.code}: {phase.detail}" if phase.status == "warn" else phase.detail
            ElementTree.SubElement(case, "system-out").text = _text(words)
    return case


def _count(cases: Sequence[ElementTree.Element], kind: str) -> int:
    return sum(case.find(kind) is not None for case in cases)


def _text(text: str) -> str:
    return _NO_XML.sub("?", text)
