"""Verdict: what the rule book costs for one Location of average size, in µs; a ratio below 1 is quicker than the yardstick.

The yardstick is pydantic alone: `Location.model_validate_json` of the same bytes, a parse without rules, findings or body.
`check` gets the document already read, so a row with the reader in front stands beside it.
"""

import copy
import time
from collections.abc import Callable

import orjson

from ocpi.reader import read
from ocpi.rules import check
from ocpi.schemas import Location
from tests.benchmarks import stage
from tests.benchmarks.stage import Row
from tests.documents import Body, connector_body, evse_body, location_body


def run(count: int = 2_000, rounds: int = 15) -> list[Row]:
    """Return the rows of the table: medians of `rounds`, of `count` calls each."""
    document = average_location()
    raw, warned, refused = orjson.dumps(document), with_warnings(document), with_errors(document)

    def row(
        path: str, ours: Callable[[], object], against: str, yardstick: Callable[[], object], target: str = ""
    ) -> Row:
        pair = stage.alternated(lambda: _us(ours, count), lambda: _us(yardstick, count), rounds)
        return Row(path, *pair, "µs", against, target)

    def pydantic() -> object:
        return Location.model_validate_json(raw)

    bare = "pydantic's model_validate_json"
    return [
        row("verdict, Location of 2.3 kB", lambda: check("location", document), bare, pydantic, "<= 1.50"),
        row("verdict, the same", lambda: check("location", document), "orjson + model_validate",
            lambda: Location.model_validate(orjson.loads(raw))),
        row("verdict, with the strict reader", lambda: check("location", read(raw)), bare, pydantic),
        row("strict reader alone", lambda: read(raw), "orjson.loads", lambda: orjson.loads(raw)),
        row("verdict with five warnings", lambda: check("location", warned), bare, pydantic),
        row("verdict of a refused Location", lambda: check("location", refused), bare, pydantic),
    ]  # fmt: skip


def average_location() -> Body:
    """Return a Location of 2.3 kB with two EVSEs, as most are, in which the rules find nothing."""
    evses = [
        evse_body(
            uid=f"EVSE-{number}",
            evse_id=f"NL*EXA*E1001*{number}",
            capabilities=["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
            connectors=[
                connector_body(tariff_ids=["ADHOC-1", "REG-1"], terms_and_conditions="https://example.org/terms")
            ],
            coordinates={"latitude": "52.090736", "longitude": f"5.12142{number}"},
            directions=[{"language": "nl", "text": f"Laadpunt {number}, naast de ingang van de bibliotheek"}],
        )
        for number in (1, 2)
    ]
    days = [{"weekday": day, "period_begin": "07:00", "period_end": "22:00"} for day in range(1, 6)]
    location = location_body(
        evses=evses,
        directions=[{"language": "nl", "text": "Volg vanaf de ring de borden naar het centrum"}],
        facilities=["SUPERMARKET"],
        opening_times={"twentyfourseven": False, "regular_hours": days},
        charging_when_closed=True,
    )
    assert check("location", location).findings == []
    return location


def with_warnings(document: Body) -> Body:
    """Return the Location with five things to warn about."""
    warned = copy.deepcopy(document) | {"name": "Marktplein ", "state": None, "phone": "030 123 45 67"}
    warned["evses"][0]["evse_id"] = "1001"
    warned["evses"][1]["parking_restrictions"] = []
    assert len(check("location", warned).warnings) == 5
    return warned


def with_errors(document: Body) -> Body:
    """Return the Location with five mistakes."""
    refused = copy.deepcopy(document) | {
        "country": "NL",
        "coordinates": {"latitude": "52,090736", "longitude": 5.12142},
    }
    refused["evses"][0]["status"] = "OCCUPIED"
    refused["evses"][1]["connectors"][0]["max_voltage"] = "230"
    assert len(check("location", refused).errors) == 5
    return refused


def _us(work: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - started) / count * 1_000_000
