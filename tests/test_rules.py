"""The rule book as a whole: every rule is broken once and nearly broken once, speaks both languages, and can be stored."""

import datetime as dt
import re
from pathlib import Path
from string import Formatter
from typing import Any

import orjson
import pytest

from ocpi.rules import (
    LANGUAGES,
    RULES,
    Finding,
    Kind,
    Rule,
    check,
    check_patch,
    index,
    restore,
    semantics,
    shape,
    sheets,
    uploads,
    verdict,
)
from tests import cases_locations, cases_shapes, cases_tariffs
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
CASES: dict[str, cases_shapes.Case] = cases_shapes.CASES | cases_locations.CASES | cases_tariffs.CASES
PATCH_CASES = cases_shapes.PATCH_CASES

# The rules of ocpi/rules/uploads.py compare with what is stored: they are tested with a database, here.
UPLOAD_RULES: dict[str, str] = {
    "not_json": "test_receive_locations.py",
    "url_differs": "test_receive_locations.py",
    "foreign_party": "test_receive_locations.py",
    "stale": "test_receive_locations.py",
    "deleted_since": "test_receive_tariffs.py",
    "location_too_large": "test_receive_locations.py",
    "stale_evse": "test_documents.py",
    "stale_connector": "test_documents.py",
    "newer_evse_kept": "test_documents.py",
    "missing_evse_removed": "test_documents.py",
    "removed_brought_back": "test_documents.py",
    "withheld_elsewhere": "test_receive_locations.py",
    "tariff_still_named": "test_receive_tariffs.py",
    "unknown_tariff": "test_problems.py",
    "two_tariffs_of_a_type": "test_problems.py",
    "two_tariffs_without_type": "test_problems.py",
    "more_of_a_rule": "test_problems.py",
    "uid_elsewhere": "test_problems.py",
    "evse_id_elsewhere": "test_problems.py",
    "evse_id_at_another_party": "test_problems.py",
}
# Those of ocpi/rules/sheets.py are about cells, before there is an object.
SHEET_RULES = {rule.name for rule in vars(sheets).values() if isinstance(rule, Rule)}

rows = pytest.mark.parametrize(("name", "kind", "bad", "path", "good"), [(name, *case) for name, case in CASES.items()])
patches = pytest.mark.parametrize(
    ("name", "kind", "stored", "bad", "path", "good"), [(name, *case) for name, case in PATCH_CASES.items()]
)


def of(name: str, findings: list[Finding]) -> list[tuple[str, str]]:
    """Return path and severity of the findings by the rule of that name."""
    return [(finding.path, finding.severity) for finding in findings if finding.broken.name == name]


def everything_found() -> list[Finding]:
    """Return the findings in all bad bodies and patches of the cases."""
    found = [finding for kind, bad, _, _ in CASES.values() for finding in check(kind, bad, now=NOW).findings]
    for kind, stored, bad, _, _ in PATCH_CASES.values():
        found += check_patch(kind, stored, bad, now=NOW).findings
    return found


def fields(template: str) -> set[str]:
    """Return the names a template asks for."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


# --- Each rule ---------------------------------------------------------------------------------------------------------


@rows
def test_rule_finds_the_bad_body_at_its_path(name, kind, bad, path, good):
    assert (path, RULES[name].severity) in of(name, check(kind, bad, now=NOW).findings)


@rows
def test_rule_lets_the_good_body_pass(name, kind, bad, path, good):
    assert of(name, check(kind, good, now=NOW).findings) == []


def test_good_bodies_are_not_refused_for_something_else():
    refused = {name for name, (kind, _, _, good) in CASES.items() if check(kind, good, now=NOW).errors}

    assert refused == {"more_errors"}  # a hundred errors are what it takes to count one more


@patches
def test_rule_of_a_patch_finds_the_bad_patch_at_its_path(name, kind, stored, bad, path, good):
    assert of(name, check_patch(kind, stored, bad, now=NOW).findings) == [(path, RULES[name].severity)]


@patches
def test_rule_of_a_patch_lets_the_good_patch_pass(name, kind, stored, bad, path, good):
    assert of(name, check_patch(kind, stored, good, now=NOW).findings) == []


@rows
def test_trigger_hides_nothing_a_rule_would_find(name, kind, bad, path, good):
    for body in (bad, good):
        document = shape.fit(kind, body)[0]
        if document is None:
            continue
        document, raw, _ = verdict._tidied(document)

        assert semantics.review(kind, document, raw) == untriggered(kind, document)


def untriggered(kind: Kind, document: Body) -> list[Finding]:
    """Return what the rules find when all of them look, whatever their triggers say."""
    findings: list[Finding] = []
    book = semantics._BOOKS[kind]
    for plan in [book.always, *(plan for _, plan in book.triggered)]:
        semantics._visit(plan, document, "", findings)
    return findings


# --- The book is complete ----------------------------------------------------------------------------------------------


def test_every_rule_has_a_case_or_a_test_with_a_database():
    assert set(RULES) == set(CASES) | set(PATCH_CASES) | set(UPLOAD_RULES) | SHEET_RULES
    assert len(RULES) == len(CASES) + len(PATCH_CASES) + len(UPLOAD_RULES) + len(SHEET_RULES)


def test_no_case_stands_in_two_files():
    files = [cases_shapes.CASES, cases_shapes.PATCH_CASES, cases_locations.CASES, cases_tariffs.CASES]

    assert sum(len(cases) for cases in files) == len(set().union(*files))


def test_upload_rules_are_those_of_their_module_and_their_tests_exist():
    assert {rule.name for rule in vars(uploads).values() if isinstance(rule, Rule)} == set(UPLOAD_RULES)
    assert [file for file in UPLOAD_RULES.values() if not Path(__file__).with_name(file).exists()] == []


def test_every_rule_has_a_name_of_its_own():
    names = [rule.name for rule in index._rules()]

    assert sorted(names) == sorted(RULES)


def test_every_rule_of_the_protocol_is_in_the_book_or_a_principle():
    ids = {rule.id for rule in RULES.values()} | {principle.id for principle in index.PRINCIPLES}
    protocol = {f"L-{number:02}" for number in range(1, 31)} | {f"T-{number:02}" for number in range(1, 25)}

    assert {rule_id for rule_id in ids if rule_id[:2] in ("L-", "T-")} == protocol


def test_every_principle_says_what_and_whence_in_both_languages():
    assert [one.id for one in index.PRINCIPLES if not (one.source and one.text.en and one.text.nl)] == []


# --- Words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rule_says_the_same_in_both_languages(rule):
    assert rule.message.en
    assert rule.message.nl
    assert bool(rule.hint.en) == bool(rule.hint.nl)
    assert fields(rule.message.en) == fields(rule.message.nl)
    assert fields(rule.hint.en) == fields(rule.hint.nl)
    assert rule.source
    assert re.fullmatch(r"[LT]-[0-9]{2}|[NS]-[A-Za-z_]+", rule.id)


def test_every_finding_has_a_value_for_every_name_in_its_message():
    lacking = [f for f in everything_found() if not fields(f.broken.message.en) <= set(f.values)]

    assert [(f.broken.name, f.message) for f in lacking] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_finding_shows_its_template(language):
    said = [words for f in everything_found() for words in (f.said(language), f.hinted(language))]

    assert [words for words in said if re.search(r"\{[a-z_]*\}|\{\{|\}\}", words)] == []


def test_no_finding_is_half_in_dutch_and_half_in_english():
    english = re.compile(r"\b(expected|missing|required|characters|number|with|such as|Did you|is a)\b")

    said = [(f.said("nl"), f.hinted("nl")) for f in everything_found()]

    assert [words for words in said if any(english.search(re.sub(r'"[^"]*"', "", word)) for word in words)] == []


def test_findings_survive_being_stored():
    found = everything_found()

    stored = orjson.loads(orjson.dumps([finding.stored() for finding in found]))

    assert restore(stored) == found
    assert {finding.broken.name for finding in found} >= set(CASES) | set(PATCH_CASES)


def test_stored_finding_of_a_rule_that_is_gone_is_left_out():
    assert restore([{"path": "/name", "name": "no_such_rule"}, {"path": "/name"}]) == []


# --- Hints -------------------------------------------------------------------------------------------------------------

BODIES: dict[Kind, Any] = {
    "location": location_body,
    "evse": evse_body,
    "connector": connector_body,
    "tariff": tariff_body,
}
MEANT: list[tuple[Kind, str, Any, str]] = [  # kind, field, what was given, what the hint suggests
    ("connector", "max_voltage", "230", "230"),
    ("connector", "max_electric_power", 22.08, "22080"),
    ("connector", "max_electric_power", 7.4, "7400"),
    ("evse", "physical_reference", 3, '"3"'),
    ("evse", "floor_level", -1, '"-1"'),
    ("connector", "id", 1, '"1"'),
    ("tariff", "party_id", 505, '"505"'),
    ("location", "country", "NL", "NLD"),
    ("location", "country", "nld", "NLD"),
    ("location", "country", "Netherlands", "NLD"),
    ("location", "country", "België", "BEL"),
    ("location", "country_code", "NLD", "NL"),
    ("location", "country_code", "Nederland", "NL"),
    ("location", "time_zone", "europe/amsterdam", "Europe/Amsterdam"),
    ("location", "time_zone", "America/New York", "America/New_York"),
    ("location", "publish", "true", "true"),
    ("location", "publish", "False", "false"),
    ("location", "publish", 0, "false"),
    ("location", "publish", 1, "true"),
    ("tariff", "currency", "eur", "EUR"),
    ("tariff", "currency", "€", "EUR"),
    ("evse", "last_updated", "2026-03-02T10:00:00+01:00", "2026-03-02T09:00:00Z"),
    ("evse", "last_updated", "2026-03-02T10:00:00.123456Z", "2026-03-02T10:00:00.123Z"),
    ("evse", "last_updated", "2026-03-02 10:00:00", "2026-03-02T10:00:00Z"),
    ("evse", "last_updated", "2026-03-02t10:00:00z", "2026-03-02T10:00:00Z"),
    ("evse", "last_updated", "2026-03-02T10:00Z", "2026-03-02T10:00:00Z"),
    ("evse", "status", "charging", "CHARGING"),
    ("evse", "status", "OCCUPIED", "CHARGING"),
    ("evse", "status", "FAULTED", "OUTOFORDER"),
    ("evse", "status", "Unavailable", "INOPERATIVE"),
    ("evse", "status", "FREE", "AVAILABLE"),
    ("evse", "status", "OUT_OF_ORDER", "OUTOFORDER"),
    ("connector", "standard", "Type2", "IEC_62196_T2"),
    ("connector", "standard", "type 2", "IEC_62196_T2"),
    ("connector", "standard", "CCS", "IEC_62196_T2_COMBO"),
    ("connector", "standard", "IEC_60309_2_SINGLE_16", "IEC_60309_2_single_16"),
    ("connector", "power_type", "AC_3", "AC_3_PHASE"),
]


@pytest.mark.parametrize(("kind", "field", "given", "meant"), MEANT)
def test_hint_suggests_what_was_meant_and_that_is_accepted(kind, field, given, meant):
    (finding,) = check(kind, BODIES[kind](**{field: given}), now=NOW).errors

    assert finding.hint in (f"Did you mean {meant}?", f"Watts, not kilowatts? {meant}")
    value = orjson.loads(meant) if re.match(r'["0-9tf-]', meant) and meant[:2] != "20" else meant
    assert check(kind, BODIES[kind](**{field: value}), now=NOW).errors == []


DEEP: list[tuple[str, Body, str]] = [  # kind and name of the error, body, what the hint suggests
    ("/coordinates/latitude", cases_shapes.at("52,090736", "5.121420"), "52.090736"),
    ("/coordinates/latitude", cases_shapes.at("52.0907361234", "5.121420"), "52.0907361"),
    ("/coordinates/longitude", cases_shapes.at("52.090736", 5.12142), '"5.12142"'),
    ("/opening_times/regular_hours/0/period_begin", cases_shapes.open_at(period_begin="8:00"), "08:00"),
    ("/opening_times/regular_hours/0/period_end", cases_shapes.open_at(period_end="24:00"), "00:00"),
    ("/opening_times/regular_hours/0/weekday", cases_shapes.open_at(weekday="5"), "5"),
    ("/directions/0/language", location_body(directions=[cases_shapes.NL | {"language": "nld"}]), "nl"),
    ("/directions/0/language", location_body(directions=[cases_shapes.NL | {"language": "nl-NL"}]), "nl"),
    ("/directions/0/language", location_body(directions=[cases_shapes.NL | {"language": "Dutch"}]), "nl"),
    ("/elements/0/restrictions/day_of_week/0", cases_shapes.within(day_of_week=["MON"]), "MONDAY"),
    ("/elements/0/price_components/0/price", cases_shapes.element(price="0,41"), "0.41"),
    ("/elements/0/price_components/0/vat", cases_shapes.element(vat="21%"), "21"),
]


@pytest.mark.parametrize(("path", "body", "meant"), DEEP)
def test_hint_suggests_what_was_meant_deep_down(path, body, meant):
    kind: Kind = "tariff" if "elements" in body else "location"

    assert [(f.path, f.hint) for f in check(kind, body, now=NOW).errors] == [(path, f"Did you mean {meant}?")]


NO_GUESS: list[tuple[Kind, str, Any]] = [
    ("location", "coordinates", {"latitude": "52.0907", "longitude": "5.121420"}),  # precision is not invented
    ("location", "coordinates", {"latitude": 52.0907, "longitude": "5.121420"}),
    ("location", "coordinates", {"latitude": "95,12345", "longitude": "5.121420"}),
    ("location", "directions", cases_shapes.NL),
    ("location", "country", "XXX"),
    ("location", "time_zone", "CEST"),
    ("location", "time_zone", "localtime"),
    ("tariff", "currency", "XXX"),
    ("location", "publish", 2),
    ("location", "publish", "maybe"),
    ("evse", "last_updated", "2026-03-02"),
    ("evse", "last_updated", "2026-02-30T10:00:00Z"),
    ("evse", "last_updated", "0001-01-01T00:00:00+01:00"),
    ("evse", "last_updated", 1772445600),
    ("evse", "floor_level", 12345),
    ("evse", "status", "x" * 10_000),
    ("evse", "status", ""),
    ("evse", "status", 1),
    ("connector", "max_voltage", True),
    ("connector", "max_voltage", 230.5),
    ("connector", "max_voltage", "-230"),
    ("connector", "max_electric_power", "2" * 20_000),
    ("connector", "max_electric_power", 1e300),
    ("connector", "tariff_ids", {}),
]


@pytest.mark.parametrize(("kind", "field", "given"), NO_GUESS)
def test_hint_is_not_given_where_there_is_no_good_guess(kind, field, given):
    (finding,) = check(kind, BODIES[kind](**{field: given}), now=NOW).errors

    assert (finding.hint, finding.hinted("nl")) == ("", "")
