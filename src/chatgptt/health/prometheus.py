"""Reports in Prometheus' classic text format, for the node exporter's textfile collector. No timestamps."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from chatgptt.health.report import HealthReport, Status, worst

_STATUS: dict[Status, int] = {"pass": 0, "warn": 1, "fail": 2, "skip": -1}


def prometheus_text(reports: Sequence[HealthReport]) -> str:
    """The metrics of all reports. A page that this machine could not check has no `chatgptt_up`.

    Of several reports on one page without names, for several bots say, the worst counts: labels have to be
    unique. The label `name` is empty for a page that was given by its address.
    """
    registry = CollectorRegistry()

    def gauge(name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, ("site", "name", "protocol", *labels), registry=registry)

    up = gauge("chatgptt_up", "Whether the chat works: 1 yes, be it with a warning; 0 no.")
    duration = gauge("chatgptt_phase_duration_seconds", "How long a phase of the check took.", "phase")
    status = gauge(
        "chatgptt_phase_status",
        "How a phase of the check ended: 0 passed, 1 warned, 2 failed, -1 was not reached.",
        "phase",
    )
    expiry = gauge(
        "chatgptt_tls_certificate_expiry_timestamp_seconds", "When the site's certificate ends, in Unix time."
    )
    checked = gauge("chatgptt_last_check_timestamp_seconds", "When the check began, in Unix time.")
    shown: dict[tuple[str, str, str], HealthReport] = {}
    for report in reports:
        key = (report.site, report.name or "", report.protocol or "unknown")
        known = shown.get(key)
        if known is None or worst((known.verdict, report.verdict)) != known.verdict:
            shown[key] = report
    for labels, report in shown.items():
        if report.verdict != "unknown":
            up.labels(*labels).set(int(report.is_working))
        for phase in report.phases:
            status.labels(*labels, phase.name).set(_STATUS[phase.status])
            if phase.elapsed is not None:
                duration.labels(*labels, phase.name).set(phase.elapsed)
        if report.certificate_expires_at is not None:
            expiry.labels(*labels).set(report.certificate_expires_at)
        checked.labels(*labels).set(report.checked_at)
    return generate_latest(registry).decode()
