"""Reports as a monitoring plugin prints them: one line, performance data, then the details.

The form is that of the Monitoring Plugins' development guidelines, as Nagios, Icinga and their kin read it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from chatgptt.health.report import HealthReport, worst

_DAY = 86_400.0


def nagios_text(reports: Sequence[HealthReport]) -> str:
    """The plugin's whole output; its exit code is that of the worst verdict."""
    verdict = worst(report.verdict for report in reports)
    if len(reports) == 1:
        words = reports[0].summary
    else:
        working = sum(report.is_working for report in reports)
        first = next(report for report in reports if report.verdict == verdict)
        words = f"{working} of {len(reports)} sites work"
        if verdict != "ok":
            words += f"; {first.title} {first.summary}"
    names = _names(reports) if len(reports) > 1 else [""]
    perfdata = " ".join(
        item for report, name in zip(reports, names, strict=True) for item in _perfdata(report, name)
    )
    lines = [f"CHATGPTT {verdict.upper()}: {_line(words)} | {perfdata}"]
    for report in reports:
        lines += _details(report)
    return "\n".join(lines) + "\n"


def _perfdata(report: HealthReport, prefix: str) -> Iterator[str]:
    """`'label'=value[unit];[warn];[crit];[min]`, in seconds and days."""
    yield f"{_label(prefix + 'time')}={report.elapsed:.4f}s;;;0"
    for phase in report.phases:
        if phase.elapsed is not None:
            yield f"{_label(prefix + phase.name)}={phase.elapsed:.4f}s;;;0"
    if report.certificate_expires_at is not None:
        days = (report.certificate_expires_at - report.checked_at) / _DAY
        yield f"{_label(prefix + 'certificate_days')}={days:.2f}"


def _details(report: HealthReport) -> Iterator[str]:
    yield _line(f"{report.title}: {report.verdict}")
    for phase in report.phases:
        elapsed = "-" if phase.elapsed is None else f"{phase.elapsed:.3f} s"
        code = f" [{phase.code}]" if phase.code else ""
        yield _line(f"{phase.name}: {phase.status}{code}, {elapsed}, {phase.detail}")
    if report.hint:
        yield _line(f"hint: {report.hint}")


def _names(reports: Sequence[HealthReport]) -> Iterator[str]:
    """What goes in front of each one's labels, which have to be unique: a page may be listed twice."""
    listed: Counter[str] = Counter()
    for report in reports:
        name = _name(report.site)
        listed[name] += 1
        yield f"{name} #{listed[name]} " if listed[name] > 1 else f"{name} "


def _name(site: str) -> str:
    parts = urlsplit(site)
    return f"{parts.netloc}{parts.path.rstrip('/')}" + (f"?{parts.query}" if parts.query else "")


def _label(name: str) -> str:
    """Quoted where it has to be; `=` and the quote itself cannot be part of a label."""
    name = _line(name).replace("=", "_").replace("'", "_")
    return f"'{name}'" if re.search(r"[^\w.-]", name) else name


def _line(text: str) -> str:
    """One line without `|`, which would begin the performance data, or control characters."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.replace("|", "/").split())
