"""`manage.py report` and `manage.py rules`: what they print, in every format and language, and what they refuse."""

import csv
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from ocpi import problems
from ocpi.rules import RULES
from ocpi.rules.profiles import ADVICE
from tenants.models import Tenant
from tests.documents import connector_body, evse_body
from tests.factories import make_tenant, put_location, put_tariff


def run(*arguments: str, **options: Any) -> str:
    """Return what a command prints."""
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out, no_color=True, **options)
    return out.getvalue()


def report(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(run("report", *arguments, "--format=json"))


def lines(text: str) -> list[str]:
    """Return the lines with single blanks."""
    return [" ".join(line.split()) for line in text.splitlines()]


def fill(tenant: Tenant) -> None:
    """Store a Location that is shown, two that are held back, one of them with a tariff nobody knows; an odd Tariff."""
    put_tariff(tenant)
    put_tariff(tenant, id="ODD", colour="red")
    for name, count, given in (
        ("FINE", 1, {}),
        ("MIX", 3, {"energy_mix": None}),
        ("BOTH", 2, {"energy_mix": None, "opening_times": None}),
    ):
        connector = connector_body(tariff_ids=["NOBODY" if name == "BOTH" else "ODD"])
        evses = [
            evse_body(uid=f"{name}-{n}", evse_id=f"NL*{tenant.party_id}*E{name}{n}", connectors=[connector])
            for n in range(count)
        ]
        put_location(tenant, id=name, evses=evses, **given)


# --- report ------------------------------------------------------------------------------------------------------------


def test_report_shows_findings_plan_and_readiness(cpo):
    fill(cpo)

    printed = lines(run("report", "nl-exa"))

    unknown = next(problems.of_tenant(cpo, "tariff"))
    met = ("100 3 3", "0 0 3", "0 0 6", "100 6 6", "100 6 6", "66 4 6")
    assert printed == [
        "NL-EXA: 3 Locations, 33 % shown, 2 withheld, 5 of 6 EVSEs held back; 2 Tariffs",
        "severity rule of findings objects EVSEs example",
        "gap N-energy_mix location 2 2 5 energy_mix is missing; DOT-NL demands it (location MIX /energy_mix)",
        "gap N-opening_times location 1 1 2 opening_times is missing; DOT-NL demands it (location BOTH /opening_times)",
        f"warning S-unknown tariff 1 1 4 {unknown.finding.message} (tariff ODD /colour)",
        'warning L-25 location 2 1 2 Tariff "NOBODY" is not known here (location BOTH /evses/0/connectors/0/tariff_ids/0)',
        "total 6",
        "",
        "Mend first",
        "1. N-energy_mix: frees 3 EVSEs in 1 Locations (3 of 5)",
        "2. N-opening_times: frees 2 EVSEs in 1 Locations (5 of 5)",
        "",
        "Readiness for afir-2025-655 (advice, blocks nothing)",
        *(
            f"{percent} % {advice.id}: {advice.text.en} ({count} of {of})"
            for advice, (percent, count, of) in zip(ADVICE, map(str.split, met), strict=True)
        ),
        "",
    ]


def test_report_takes_all_parties_and_sums_up(cpo, rival):
    fill(cpo)

    printed = lines(run("report"))

    assert [line.partition(":")[0] for line in printed if line.startswith("NL-")] == ["NL-EXA", "NL-RIV"]
    assert "No findings." in printed
    assert printed[-1] == "2 parties: 6 findings."


def test_report_of_a_part_leaves_out_plan_and_readiness(cpo):
    fill(cpo)

    gaps, rule = report("NL-EXA", "--severity=gap")[0], report("NL-EXA", "--rule=l-25")[0]

    assert [(row["rule"], row["findings"]) for row in gaps["findings"]] == [("N-energy_mix", 2), ("N-opening_times", 1)]
    assert [(row["rule"], row["findings"]) for row in rule["findings"]] == [("L-25", 2)]
    assert (gaps["plan"], gaps["readiness"]) == ([], {})


def test_report_names_as_many_examples_as_asked(cpo):
    fill(cpo)

    named = {
        count: [one["id"] for one in report("--rule=N-energy_mix", f"--examples={count}")[0]["findings"][0]["examples"]]
        for count in (0, 1, 5)
    }

    assert named == {0: [], 1: ["MIX"], 5: ["MIX", "BOTH"]}
    printed = lines(run("report", "--rule=N-energy_mix", "--examples=2"))
    assert printed[3] == "energy_mix is missing; DOT-NL demands it (location BOTH /energy_mix)"


def test_report_speaks_dutch(cpo):
    fill(cpo)

    found = report("--lang=nl")[0]

    assert found["findings"][0]["examples"][0]["message"] == "energy_mix ontbreekt; DOT-NL eist het"
    assert found["readiness"]["afir-2025-655"][0]["what"] == "de naam van de exploitant"


def test_report_as_json_holds_all_figures(cpo):
    fill(cpo)

    found = report("NL-EXA")[0]

    assert {
        name: found[name] for name in ("party", "locations", "shown", "withheld", "evses", "evses_held_back", "tariffs")
    } == {
        "party": "NL-EXA",
        "locations": 3,
        "shown": 1,
        "withheld": 2,
        "evses": 6,
        "evses_held_back": 5,
        "tariffs": 2,
    }
    assert found["plan"][1] == {"rules": ["N-opening_times"], "locations": 1, "evses": 2, "total": 5}
    assert found["readiness"]["afir-2025-655"][-1] == {"id": "A-ad_hoc", "what": ADVICE[-1].text.en, "met": 4, "of": 6}


def test_report_as_csv_is_a_line_for_each_party_and_rule(cpo, rival):
    fill(cpo)
    fill(rival)

    rows = list(csv.DictReader(io.StringIO(run("report", "--severity=gap", "--format=csv"))))

    assert [(row["party"], row["rule"], row["objects"], row["evses"]) for row in rows] == [
        ("NL-EXA", "N-energy_mix", "2", "5"),
        ("NL-EXA", "N-opening_times", "1", "2"),
        ("NL-RIV", "N-energy_mix", "2", "5"),
        ("NL-RIV", "N-opening_times", "1", "2"),
    ]
    assert rows[0]["examples"] == "location MIX /energy_mix: energy_mix is missing; DOT-NL demands it"


def test_report_refuses_an_unknown_party_and_lists_the_known(cpo, rival):
    with pytest.raises(CommandError) as refused:
        run("report", "NL-EXA", "NL-XXX")

    assert str(refused.value) == "No such party: NL-XXX. Known: NL-EXA, NL-RIV."


def test_report_refuses_an_unknown_rule(cpo):
    with pytest.raises(CommandError) as refused:
        run("report", "--rule=L-999")

    assert str(refused.value) == "No such rule: L-999. manage.py rules lists them."


def test_report_of_an_empty_gateway(db):
    assert lines(run("report")) == ["0 parties: 0 findings."]


def test_report_takes_as_many_queries_for_ten_locations_as_for_one(db):
    tenant, counts = make_tenant(), []
    for numbers in (range(1), range(1, 10)):
        for number in numbers:
            put_location(tenant, id=f"L{number}", energy_mix=None)
        with CaptureQueriesContext(database) as caught:
            run("report")
        counts.append(len(caught))

    assert counts[0] == counts[1]


# --- rules -------------------------------------------------------------------------------------------------------------


def rules(*arguments: str) -> list[dict[str, str]]:
    return json.loads(run("rules", *arguments, "--format=json"))


def test_rules_lists_the_whole_book():
    found = rules()

    assert {rule.id for rule in RULES.values()} | {advice.id for advice in ADVICE} <= {one["id"] for one in found}
    assert {one["severity"] for one in found} == {"error", "gap", "warning", "advice", "principle"}
    assert all(one["text"] and one["source"] for one in found)


def test_rules_are_in_the_order_in_which_people_count():
    numbers = [int(one["id"][2:]) for one in rules("--severity=principle") if one["id"].startswith("L-")]

    assert numbers == sorted(numbers)
    assert numbers[-1] > 9


def test_rules_of_some_ids():
    assert {(one["id"], one["severity"]) for one in rules("l-25", "A-power")} == {
        ("L-25", "warning"),
        ("A-power", "advice"),
    }
    assert {one["severity"] for one in rules("N-energy_mix", "--severity=gap")} == {"gap"}


def test_rules_speak_dutch():
    assert rules("A-power", "--lang=nl")[0]["text"] == "het vermogen van elke connector"


def test_rules_as_a_table_fit_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")

    printed = run("rules").splitlines()

    assert max(map(len, printed)) <= 60
    assert printed[-1] == f"{len(rules())} rules."
    assert max(map(len, run("rules", "--lang=nl", "--severity=warning").splitlines())) <= 60


def test_rules_as_markdown_are_tables():
    printed = run("rules", "N-energy_mix", "--severity=gap", "--format=markdown").splitlines()

    assert printed == [
        "## What DOT-NL demands beyond OCPI 2.2.1",
        "",
        "| Rule | Severity | What | Hint | Source |",
        "|---|---|---|---|---|",
        "| N-energy_mix | gap | energy_mix is missing; DOT-NL demands it | "
        'At least {"is_green_energy": true} or false. | NDW DOT-NL, "AFIR"; protocol §7.9 |',
        "",
    ]


def test_rules_refuse_an_unknown_id():
    with pytest.raises(CommandError) as refused:
        run("rules", "L-25", "L-999")

    assert str(refused.value) == "Not in the book: L-999. Without an id all rules are listed."
