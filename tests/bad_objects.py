"""Bad inputs E8 and E9: what OCPI and NDW say about objects, timestamps and order.

Source: reliability §5; protocol §2.3, §2.7-§2.9, §6; design §3, §7.
"""

from typing import Any

from tests.bad_inputs import (
    CREATED,
    DONE,
    LATER,
    LOCATION,
    METHOD,
    NOTHING,
    RECEIVER,
    REFUSED,
    TARIFF,
    UNKNOWN,
    Case,
    patch,
    put,
    send,
    without,
)  # fmt: skip
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

GOOD = location_body(last_updated=LATER)
STATUS = {"status": "CHARGING", "last_updated": LATER}
NEW = f"{RECEIVER}/locations/NL/EXA/NEW"
EVSE, CONNECTOR = f"{LOCATION}/EVSE-1", f"{LOCATION}/EVSE-1/1"
FIRST, FIRST_CONNECTOR = "/evses/0", "/evses/0/connectors/0"


def _evses(*evses: Body, **overrides: Any) -> Body:
    return location_body(**{"last_updated": LATER, "evses": list(evses)} | overrides)


def _connector(**changes: Any) -> Body:
    return _evses(evse_body(connectors=[connector_body(**changes)]))


def _lacking(number: int, name: str, body: Body, find: str) -> list[Case]:
    """Return the same lack in a Location NDW has (refused) and in a new one (stored, withheld, named)."""
    return [
        put(number, f"without {name}, though shown", body, REFUSED, find=find),
        put(number, f"without {name}, new: withheld", body | {"id": "NEW"}, CREATED, at=NEW, find=find),
    ]


def _open(begin: str, end: str) -> Body:
    hours = {"weekday": 1, "period_begin": begin, "period_end": end}
    return GOOD | {"opening_times": {"twentyfourseven": False, "regular_hours": [hours]}}


def _at(latitude: Any, longitude: Any) -> Body:
    return GOOD | {"coordinates": {"latitude": latitude, "longitude": longitude}}


OVERLAPPING = [
    {"period_begin": "2027-01-01T00:00:00Z", "period_end": "2027-01-03T00:00:00Z", "status": "BLOCKED"},
    {"period_begin": "2027-01-02T00:00:00Z", "status": "RESERVED"},
]
TWO_EVSES = [evse_body(), evse_body(evse_id="NL*EXA*E2")]

IDENTITY = [
    put(184, "another id than in the path", GOOD | {"id": "OTHER"}, REFUSED, find="L-14 /id"),
    put(185, "another party than in the path", GOOD | {"party_id": "XYZ"}, REFUSED, find="L-14 /party_id"),
    put(185, "another country than in the path", GOOD | {"country_code": "BE"}, REFUSED, find="L-14 /country_code"),
    put(186, "a rival's party", GOOD | {"party_id": "RIV"}, UNKNOWN, at=f"{RECEIVER}/locations/NL/RIV/LOC-0001"),
    put(186, "nobody's party", GOOD | {"party_id": "NON"}, UNKNOWN, at=f"{RECEIVER}/locations/NL/NON/LOC-0001"),
    patch(187, "another id", STATUS | {"id": "OTHER"}, REFUSED, find="L-14 /id"),
    patch(187, "another uid", STATUS | {"uid": "OTHER"}, REFUSED, at=EVSE, find="L-14 /uid"),
    patch(188, "no last_updated", {"name": "x"}, REFUSED, find="S-required /last_updated"),
    patch(188, "no last_updated of an EVSE", {"status": "CHARGING"}, REFUSED, at=EVSE, find="S-required /last_updated"),
    patch(189, "incomplete coordinates", {"coordinates": {"latitude": "52.00000"}, "last_updated": LATER}, REFUSED,
          find="S-required /coordinates/longitude"),
    patch(189, "incomplete EVSE", {"evses": [{"uid": "EVSE-1", "status": "CHARGING"}], "last_updated": LATER}, REFUSED,
          find="S-required /evses/0/last_updated"),
    patch(190, "unknown Location", STATUS, UNKNOWN, at=f"{RECEIVER}/locations/NL/EXA/NONE"),
    patch(190, "unknown EVSE", STATUS, UNKNOWN, at=f"{LOCATION}/NONE"),
    patch(191, "nothing", {}, REFUSED, find="S-required /last_updated"),
    patch(192, "null for a required field", {"city": None, "last_updated": LATER}, REFUSED, find="S-required /city"),
    patch(192, "null for what DOT-NL demands", {"opening_times": None, "last_updated": LATER}, REFUSED,
          find="N-opening_times /opening_times"),
    put(193, "EVSE of an unknown Location", evse_body(), UNKNOWN, at=f"{RECEIVER}/locations/NL/EXA/NONE/EVSE-1"),
    put(194, "Connector of an unknown EVSE", connector_body(), UNKNOWN, at=f"{LOCATION}/NONE/1"),
]  # fmt: skip

CONTENT = [
    *_lacking(195, "opening_times", without(GOOD, "opening_times"), "N-opening_times /opening_times"),
    *_lacking(196, "energy_mix", without(GOOD, "energy_mix"), "N-energy_mix /energy_mix"),
    *_lacking(197, "parking_restrictions", _evses(without(evse_body(), "parking_restrictions")),
              f"N-parking_restrictions {FIRST}/parking_restrictions"),
    *_lacking(198, "max_electric_power", _evses(evse_body(connectors=[without(connector_body(), "max_electric_power")])),
              f"N-max_electric_power {FIRST_CONNECTOR}/max_electric_power"),
    *_lacking(199, "tariff_ids", _connector(tariff_ids=[]), f"N-tariff_ids {FIRST_CONNECTOR}/tariff_ids"),
    put(200, "unknown tariff", _connector(tariff_ids=["NONE"]), DONE, find=f"L-25 {FIRST_CONNECTOR}/tariff_ids/0"),
    put(201, "tariff of a rival only", _connector(tariff_ids=["RIVAL-ONLY"]), DONE, find=f"L-25 {FIRST_CONNECTOR}/tariff_ids/0"),
    put(202, "uid twice", _evses(*TWO_EVSES), REFUSED, find="L-29 /evses/1/uid"),
    put(203, "connector id twice", _evses(evse_body(connectors=[connector_body()] * 2)), REFUSED, find="L-29 /evses/0/connectors/1/id"),
    put(204, "evse_id twice", _evses(evse_body(), evse_body(uid="E2")), DONE, find="S-evse_id /evses/1/evse_id"),
    put(205, "odd evse_id", _evses(evse_body(evse_id="no such id")), DONE, find="S-evse_id /evses/0/evse_id"),
    put(206, "evse_id of another operator", _evses(evse_body(evse_id="NL*RIV*E1")), DONE, find="S-evse_id /evses/0/evse_id"),
    put(207, "latitude 91", _at("91.00000", "5.12142"), REFUSED, find="S-latitude /coordinates/latitude"),
    put(207, "longitude 181", _at("52.09073", "181.00000"), REFUSED, find="S-longitude /coordinates/longitude"),
    put(208, "comma", _at("52,09073", "5.12142"), REFUSED, find="S-latitude /coordinates/latitude"),
    put(208, "eight decimals", _at("52.09073612", "5.12142"), REFUSED, find="S-latitude /coordinates/latitude"),
    put(209, "coordinates as numbers", _at(52.09073, 5.12142), REFUSED, find="S-latitude /coordinates/latitude"),
    put(210, "country of two letters", GOOD | {"country": "NL"}, REFUSED, find="S-country /country"),
    put(210, "country_code of three", GOOD | {"country_code": "NLD"}, REFUSED, find="L-14 /country_code"),
    put(211, "time zone that is none", GOOD | {"time_zone": "Europe/Utrecht"}, REFUSED, find="L-24 /time_zone"),
    put(211, "time zone that is a file", GOOD | {"time_zone": "../../etc/passwd"}, REFUSED, find="L-24 /time_zone"),
    put(212, "hours that end before they begin", _open("22:00", "07:00"), REFUSED, find="L-10 /opening_times/regular_hours/0/period_end"),
    put(212, "25:00", _open("07:00", "25:00"), REFUSED, find="S-local_time /opening_times/regular_hours/0/period_end"),
    put(213, "always open, with hours", GOOD | {"opening_times": {"twentyfourseven": True, "regular_hours": [
        {"weekday": 1, "period_begin": "07:00", "period_end": "22:00"}]}}, REFUSED, find="L-07 /opening_times/regular_hours"),
    put(214, "status that is none", _evses(evse_body(status="BROKEN")), REFUSED, find="S-enum /evses/0/status"),
    put(215, "status in small letters", _evses(evse_body(status="available")), REFUSED, find="S-enum /evses/0/status"),
    put(216, "schedule that overlaps", _evses(evse_body(status_schedule=OVERLAPPING)), DONE, find="S-schedule /evses/0/status_schedule/1"),
    put(217, "XXX", tariff_body(currency="XXX", last_updated=LATER), REFUSED, at=TARIFF, find="S-currency /currency"),
    put(217, "eur", tariff_body(currency="eur", last_updated=LATER), REFUSED, at=TARIFF, find="S-currency /currency"),
    put(218, "no elements", tariff_body(elements=[], last_updated=LATER), REFUSED, at=TARIFF, find="T-01 /elements"),
    patch(219, "Tariff", {"currency": "EUR", "last_updated": LATER}, METHOD, at=TARIFF),
    send(220, "DELETE of an unknown Tariff", "DELETE", f"{RECEIVER}/tariffs/NL/EXA/NONE", NOTHING),
    send(220, "DELETE of a deleted Tariff", "DELETE", f"{RECEIVER}/tariffs/NL/EXA/GONE", NOTHING),
    send(220, "DELETE of a Tariff nobody names", "DELETE", f"{RECEIVER}/tariffs/NL/EXA/SPARE", DONE),
    send(221, "DELETE of a Tariff that is named", "DELETE", TARIFF, REFUSED, find="T-22 "),
    put(222, "Tariff as old as its tombstone", tariff_body(id="GONE"), REFUSED, at=f"{RECEIVER}/tariffs/NL/EXA/GONE",
        find="S-stale /last_updated"),
    put(222, "Tariff newer than its tombstone", tariff_body(id="GONE", last_updated=LATER), CREATED,
        at=f"{RECEIVER}/tariffs/NL/EXA/GONE"),
    put(224, "publish false", GOOD | {"publish": False}, DONE),
    put(225, "no EVSEs", GOOD | {"evses": []}, DONE, find="L-13 /evses"),
]  # fmt: skip


def _dated(
    number: int, text: Any, said: tuple[int, int | None] = REFUSED, find: str = "S-date_time /last_updated"
) -> Case:
    return put(number, f"last_updated {text!r}"[:60], GOOD | {"last_updated": text}, said, find=find)


TIMES = [
    _dated(229, "2026-02-30T10:00:00Z"),
    *[_dated(230, text) for text in ("0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z")],
    *[_dated(231, text) for text in ("2026-03-03T24:00:00Z", "2026-03-03T23:59:60Z")],
    *[_dated(232, text) for text in ("2026-03-03T10:00:00+00:00", "2026-03-03T10:00:00+01:00")],
    _dated(233, "0001-01-01T00:00:00+23:59"),
    _dated(234, "2026-03-03T10:00:00", DONE, "S-date_time /last_updated"),
    _dated(235, "2026-03-03 10:00:00Z"),
    _dated(236, "20260303T100000Z"),
    _dated(237, "2026-W10-2T10:00:00Z"),
    _dated(238, "2026-03-03"),
    _dated(239, "\uff12026-03-03T10:00:00Z"),
    _dated(239, "202\u0666-03-03T10:00:00Z"),
    _dated(240, "2026-03-03T10:00:00Z\n"),
    _dated(241, "2026-03-03T10:00:00z"),
    _dated(241, "2026-03-03t10:00:00Z"),
    _dated(242, "2026-03-03T10:00Z"),
    _dated(243, "2026-03-03T10:00:00.1234567Z"),
    _dated(244, 1772445600),
    _dated(244, "1772445600"),
    _dated(245, None, find="S-required /last_updated"),
    _dated(245, []),
    _dated(246, "{now+4}", DONE, ""),
    _dated(246, "{now+6}", find="S-future /last_updated"),
    _dated(246, "9999-12-31T23:59:59Z", find="S-future /last_updated"),
    put(247, "older than stored", location_body(name="Older", last_updated="2026-03-01T00:00:00Z", evses=[
        evse_body(last_updated="2026-03-01T00:00:00Z", connectors=[connector_body(last_updated="2026-03-01T00:00:00Z")])]), REFUSED,
        find="S-stale /last_updated"),
    put(248, "the same once more", location_body(), DONE),
    put(249, "the same time, another name", location_body(name="Other"), DONE),
    put(250, "EVSE newer than its Location", location_body(evses=[evse_body(last_updated=LATER)]), DONE, find="L-06 /last_updated"),
    put(251, "1970, a new Location", location_body(id="NEW", last_updated="1970-01-01T00:00:00Z"), CREATED, at=NEW),
    put(251, "1970, a Location of today", location_body(last_updated="1970-01-01T00:00:00Z", evses=[]), REFUSED,
        find="S-stale /last_updated"),
]  # fmt: skip

CASES = IDENTITY + CONTENT + TIMES
