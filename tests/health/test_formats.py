"""Each form of output is read by a parser that is not ours: a JUnit reader, Prometheus' own, the guideline's grammar."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO

import pytest
from health.samples import ALL, CRITICAL, NOON, NOT_CHECKED, OK, UNKNOWN, WARNING
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from prometheus_client.parser import text_string_to_metric_families

from chatgptt.health.junit import junit_text
from chatgptt.health.nagios import nagios_text
from chatgptt.health.prometheus import prometheus_text
from chatgptt.health.report import PHASES, HealthReport, reports_as_json, soften, worst

# Monitoring Plugins Development Guidelines, "Plugin output" and "Performance data":
# 'label'=value[UOM];[warn];[crit];[min];[max], separated by spaces; a label has no = or ', and is quoted if it has
# spaces; a value is of the class [-0-9.]; UOM is none, s (also us, ms), %, B (also KB, MB, TB) or c.
VALUE = r"-?\d+(?:\.\d+)?"
RANGE = rf"@?(?:(?:~|{VALUE})?:)?(?:{VALUE})?"
ITEM = rf"(?:'[^'=|]+'|[^\s'=|]+)=(?:{VALUE}|U)(?:[um]?s|%|[KMTGP]?B|c)?(?:;(?:{RANGE})?){{0,2}}(?:;(?:{VALUE})?){{0,2}}"
FIRST_LINE = re.compile(
    rf"CHATGPTT (OK|WARNING|CRITICAL|UNKNOWN): [^|\n]+ \| (?P<perfdata>{ITEM}(?: {ITEM})*)"
)

SETS = {
    "ok": [OK],
    "warning": [WARNING],
    "critical": [CRITICAL],
    "unknown": [UNKNOWN],
    "not checked": [NOT_CHECKED],
    "all": list(ALL),
    "two": [OK, CRITICAL],
    "one twice": [OK, OK],
}


@pytest.mark.parametrize("reports", SETS.values(), ids=SETS)
def test_nagios_output_follows_the_guidelines_grammar(reports: list[HealthReport]) -> None:
    text = nagios_text(reports)
    first, *details = text.removesuffix("\n").split("\n")
    found = FIRST_LINE.fullmatch(first)
    assert found, first
    assert found[1] == worst(report.verdict for report in reports).upper()
    labels = re.findall(r"('[^']+'|[^\s'=]+)=", found["perfdata"])
    assert len(labels) == len(set(labels))
    assert not any("|" in line for line in details)
    assert all(character.isprintable() or character == "\n" for character in text)


def test_nagios_performance_data_tells_times_and_the_certificate() -> None:
    first = nagios_text([OK]).split("\n")[0]
    assert "time=0.4200s;;;0" in first
    assert "dns=0.0000s;;;0" in first
    assert first.endswith("certificate_days=20.00")


def test_nagios_names_the_worst_of_several_sites() -> None:
    first = nagios_text([OK, CRITICAL, WARNING]).split("\n")[0]
    assert first.startswith("CHATGPTT CRITICAL: 2 of 3 sites work; http://a'b=c.example/ page:")
    assert "'shop.example/chat?lang_en dns'=" in first


@pytest.mark.parametrize("reports", SETS.values(), ids=SETS)
def test_prometheus_output_is_read_by_its_own_parser(reports: list[HealthReport]) -> None:
    text = prometheus_text(reports)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {
        "chatgptt_up",
        "chatgptt_phase_duration_seconds",
        "chatgptt_phase_status",
        "chatgptt_tls_certificate_expiry_timestamp_seconds",
        "chatgptt_last_check_timestamp_seconds",
    }
    for family in families.values():
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.timestamp is None
            assert {"site", "name", "protocol"} <= set(sample.labels)
    seen = {sample.labels["site"] for sample in families["chatgptt_last_check_timestamp_seconds"].samples}
    assert seen == {report.site for report in reports}


def test_prometheus_shows_the_worst_of_a_page_that_is_checked_twice() -> None:
    bad = replace(CRITICAL, site=OK.site, protocol=OK.protocol)
    for reports in ([OK, bad], [bad, OK]):
        families = {
            family.name: family for family in text_string_to_metric_families(prometheus_text(reports))
        }
        assert [sample.value for sample in families["chatgptt_up"].samples] == [0]


def test_names_of_sites_are_in_every_form() -> None:
    shop, blog = replace(OK, name="shop"), replace(CRITICAL, site=OK.site, protocol=OK.protocol, name="blog")
    first, *details = nagios_text([shop, blog]).split("\n")
    assert first.startswith(f"CHATGPTT CRITICAL: 1 of 2 sites work; blog ({OK.site}) page:")
    assert f"shop ({OK.site}): ok" in details
    families = {
        family.name: family for family in text_string_to_metric_families(prometheus_text([shop, blog, OK]))
    }
    up = {sample.labels["name"]: sample.value for sample in families["chatgptt_up"].samples}
    assert up == {"shop": 1, "blog": 0, "": 1}


def test_prometheus_values() -> None:
    families = {family.name: family for family in text_string_to_metric_families(prometheus_text(ALL))}

    def value(name: str, site: str, phase: str = "") -> float | None:
        for sample in families[name].samples:
            if sample.labels["site"] == site and sample.labels.get("phase", "") == phase:
                return float(sample.value)
        return None

    assert value("chatgptt_up", OK.site) == 1
    assert value("chatgptt_up", WARNING.site) == 1
    assert value("chatgptt_up", CRITICAL.site) == 0
    assert value("chatgptt_up", UNKNOWN.site) is None
    assert value("chatgptt_phase_duration_seconds", OK.site, "page") == pytest.approx(0.03)
    assert value("chatgptt_phase_duration_seconds", CRITICAL.site, "dns") is None
    status = [value("chatgptt_phase_status", CRITICAL.site, name) for name in PHASES]
    assert status == [-1, 0, 0, 2, -1, -1, -1, -1, -1]
    assert value("chatgptt_phase_status", WARNING.site, "answer") == 1
    assert value("chatgptt_tls_certificate_expiry_timestamp_seconds", OK.site) == OK.certificate_expires_at
    assert value("chatgptt_last_check_timestamp_seconds", OK.site) == NOON


@pytest.mark.parametrize("reports", SETS.values(), ids=SETS)
def test_junit_output_is_read_by_a_junit_parser(reports: list[HealthReport]) -> None:
    document = JUnitXml.fromroot(JUnitXml.fromstring(junit_text(reports).encode())._elem)
    suites = list(document)
    assert len(suites) == len(reports)
    for suite, report in zip(suites, reports, strict=True):
        cases = [case for case in suite if isinstance(case, TestCase)]
        assert [case.name for case in cases][: len(PHASES)] == list(PHASES)
        counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
        kinds = [type(result) for case in cases for result in case.result]
        assert counted == (len(cases), kinds.count(Failure), kinds.count(Error), kinds.count(Skipped))
        assert bool(suite.failures) == (report.verdict == "critical")
        assert bool(suite.errors) == (report.verdict == "unknown")


def test_junit_failures_have_type_and_words() -> None:
    (suite,) = JUnitXml.fromstring(junit_text([CRITICAL]).encode())
    (failure,) = [result for case in suite for result in case.result if isinstance(result, Failure)]
    assert failure.type == "http_error"
    assert failure.message.startswith("it's <b>|'=?[31m?")


def test_junit_is_written_as_utf_8() -> None:
    from xml.etree import ElementTree

    assert ElementTree.parse(BytesIO(junit_text(ALL).encode())).getroot().tag == "testsuites"


def test_json_has_the_keys_of_the_contract() -> None:
    document = OK.as_dict()
    assert list(document) == [
        "site",
        "name",
        "verdict",
        "code",
        "summary",
        "hint",
        "checked_at",
        "elapsed_s",
        "phases",
    ]
    assert document["checked_at"] == "2025-06-16T12:00:00Z"
    assert document["elapsed_s"] == 0.42
    phases = document["phases"]
    assert isinstance(phases, list)
    assert [list(phase) for phase in phases] == [
        ["name", "status", "elapsed_s", "detail", "code", "hint"]
    ] * 9


def test_json_of_several_sites_is_a_list() -> None:
    assert reports_as_json([OK]) == OK.as_dict()
    assert reports_as_json([OK, CRITICAL]) == [OK.as_dict(), CRITICAL.as_dict()]


def test_the_worst_verdict_counts() -> None:
    assert worst(["ok", "warning", "unknown", "critical"]) == "critical"
    assert worst(["warning", "unknown", "ok"]) == "unknown"
    assert worst(["ok", "warning"]) == "warning"
    assert worst([]) == "unknown"


def test_a_single_blip_is_a_warning() -> None:
    assert soften(CRITICAL, failures_before=0, needed=2).verdict == "warning"
    assert "1 of 2" in soften(CRITICAL, failures_before=0, needed=2).summary
    assert soften(CRITICAL, failures_before=1, needed=2) is CRITICAL
    assert soften(CRITICAL, failures_before=0, needed=1) is CRITICAL
    for other in (OK, WARNING, UNKNOWN, NOT_CHECKED):
        assert soften(other, failures_before=0, needed=2) is other


def test_a_report_knows_its_phases() -> None:
    assert CRITICAL.failing == CRITICAL.phase("page")
    assert OK.failing is None
    assert [report.exit_code for report in ALL] == [0, 1, 2, 3, 3]
    assert replace(OK, verdict="warning").is_working
