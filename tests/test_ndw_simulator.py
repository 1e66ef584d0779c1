"""The simulator answers as NDW's page says, is strict, and misbehaves on request. Plain pytest: no Django needed.

Names like V1 and X13 are the examples of our protocol reference, valid and invalid.
"""

import base64
import copy
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests import ndw_rules, ndw_simulator
from tests.ndw_simulator import Ndw

LOCATION = "/locations/NL/EXA/LOC-0001"
EVSE = LOCATION + "/EVSE-1"
TARIFF = "/tariffs/NL/EXA/ADHOC-1"
CREDENTIALS = {"client_id": "gateway", "client_secret": "simulator-secret", "grant_type": "client_credentials"}

V1: dict[str, Any] = {
    "country_code": "NL",
    "party_id": "EXA",
    "id": "LOC-0001",
    "publish": True,
    "name": "Marktplein",
    "address": "Marktplein 1",
    "city": "Utrecht",
    "postal_code": "3511 AA",
    "country": "NLD",
    "coordinates": {"latitude": "52.090736", "longitude": "5.121420"},
    "parking_type": "ON_STREET",
    "evses": [
        {
            "uid": "EVSE-1",
            "evse_id": "NL*EXA*E1001*1",
            "status": "AVAILABLE",
            "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
            "connectors": [
                {
                    "id": "1",
                    "standard": "IEC_62196_T2",
                    "format": "SOCKET",
                    "power_type": "AC_3_PHASE",
                    "max_voltage": 230,
                    "max_amperage": 32,
                    "max_electric_power": 22080,
                    "tariff_ids": ["ADHOC-1"],
                    "last_updated": "2026-03-02T09:15:00Z",
                }
            ],
            "physical_reference": "1001",
            "parking_restrictions": ["EV_ONLY"],
            "last_updated": "2026-03-02T09:15:00Z",
        }
    ],
    "operator": {"name": "Example Charging B.V.", "website": "https://www.example.org"},
    "time_zone": "Europe/Amsterdam",
    "opening_times": {"twentyfourseven": True},
    "energy_mix": {"is_green_energy": True, "supplier_name": "Example Energy"},
    "last_updated": "2026-03-02T09:15:00Z",
}
V2: dict[str, Any] = {
    "country_code": "NL",
    "party_id": "EXA",
    "id": "ADHOC-1",
    "currency": "EUR",
    "type": "AD_HOC_PAYMENT",
    "elements": [
        {
            "price_components": [{"type": "ENERGY", "price": 0.3306, "vat": 21, "step_size": 1}],
            "restrictions": {"start_time": "22:00", "end_time": "06:00"},
        },
        {"price_components": [{"type": "FLAT", "price": 0.2893, "vat": 21, "step_size": 1}]},
    ],
    "last_updated": "2026-03-01T00:00:00Z",
}
GONE = object()


def but(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with the value at a path such as "evses/0/status" replaced, or GONE."""
    document = copy.deepcopy(document)
    *way, last = path.split("/")
    at: Any = document
    for step in way:
        at = at[int(step) if step.isdigit() else step]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return document


@pytest.fixture(scope="module")
def simulator() -> Iterator[Ndw]:
    with ndw_simulator.running() as ndw:
        yield ndw


@pytest.fixture
def ndw(simulator: Ndw) -> Ndw:
    simulator.reset()
    return simulator


def send(ndw: Ndw, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    """Send a request as the gateway should; a body of bytes goes as it is."""
    own = {
        "Authorization": headers.get("Authorization") or f"Bearer {ndw.token()}",
        "X-Request-ID": "one",
        "X-Correlation-ID": "two",
    }
    own |= {"Content-Type": "application/json"} if body is not None else {}
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return requests.request(method, ndw.push_url + path, data=raw, headers=own | headers, timeout=5)


def answer(response: requests.Response) -> tuple[int, int]:
    return response.status_code, response.json()["status_code"]


def test_token_is_given_as_keycloak_gives_it(ndw: Ndw) -> None:
    response = requests.post(ndw.token_url, data=CREDENTIALS, timeout=5)
    basic = requests.post(
        ndw.token_url, data={"grant_type": "client_credentials"}, auth=("gateway", "simulator-secret"), timeout=5
    )

    given = response.json()
    assert response.status_code == basic.status_code == 200
    assert (given["expires_in"], given["token_type"], given["refresh_expires_in"]) == (1800, "Bearer", 3600)
    assert set(given) >= {"access_token", "refresh_token", "not-before-policy", "session_state", "scope"}
    assert answer(send(ndw, "PUT", TARIFF, V2, Authorization=f"Bearer {given['access_token']}")) == (201, 1000)
    assert len(ndw.token_calls) == 2


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
    ],
)
def test_token_is_refused_in_json(ndw: Ndw, changed: dict[str, str], status: int, error: str) -> None:
    response = requests.post(ndw.token_url, data=CREDENTIALS | changed, timeout=5)

    assert (response.status_code, response.json()["error"]) == (status, error)
    assert requests.post(ndw.token_url, json=CREDENTIALS, timeout=5).status_code == 400


def test_push_needs_a_live_bearer_token(ndw: Ndw) -> None:
    token = ndw.token()
    schemes = ("Bearer ", f"Token {token}", f"bearer {token}", "Bearer unknown")
    refused = [send(ndw, "PUT", TARIFF, V2, Authorization=value) for value in schemes]
    ndw.tokens.live[token] = time.monotonic()
    refused.append(send(ndw, "PUT", TARIFF, V2, Authorization=f"Bearer {token}"))
    token = ndw.token()
    ndw.revoke()
    refused.append(send(ndw, "PUT", TARIFF, V2, Authorization=f"Bearer {token}"))

    assert [response.status_code for response in refused] == [401] * 6
    assert ndw.tariffs == {}
    assert [record.applied for record in ndw.received] == [False] * 6


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/locations/NL/EXA", 404),
        ("PUT", "/locations/NLD/EXA/LOC-0001", 404),
        ("PUT", LOCATION + "/", 404),
        ("PUT", LOCATION + "?x=1", 404),
        ("PUT", EVSE + "/1/2", 404),
        ("PUT", TARIFF + "/1", 404),
        ("PUT", "/sessions/NL/EXA/1", 404),
        ("PATCH", TARIFF, 405),  # X39
        ("DELETE", LOCATION, 405),  # X40
        ("GET", LOCATION, 405),
        ("POST", TARIFF, 405),
    ],
)
def test_push_refuses_other_urls_and_methods(ndw: Ndw, method: str, path: str, status: int) -> None:
    response = send(ndw, method, path, V1)

    assert response.status_code == status
    assert (ndw.locations, ndw.tariffs) == ({}, {})


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b'{"price": NaN}', {}, 400),  # X41
        (b'{"status": "AVAILABLE",}', {}, 400),  # X42
        (b"\xef\xbb\xbf{}", {}, 400),
        (b'{"name": "\xff"}', {}, 400),
        (b'{"id": "1", "id": "1"}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"{}", {"Content-Type": "application/merge-patch+json"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415),
        (b"{}", {"Content-Type": "Application/JSON; charset=UTF-8"}, 200),
        (b"[]", {}, 200),
    ],
)
def test_push_draws_the_line_between_http_and_ocpi(ndw: Ndw, raw: bytes, headers: dict[str, str], status: int) -> None:
    response = send(ndw, "PUT", LOCATION, raw, **headers)

    assert response.status_code == status
    assert response.json()["status_code"] >= 2000
    assert (ndw.locations, ndw.received[0].applied) == ({}, False)


def test_push_creates_then_replaces_and_echoes_the_message_ids(ndw: Ndw) -> None:
    renamed = but(V1, "name", None) | {"state": None, "images": None}  # V12: null is absent

    first, second = (
        send(ndw, "PUT", LOCATION, V1),
        send(ndw, "PUT", LOCATION.lower().replace("nl/exa", "NL/EXA"), renamed),
    )

    assert (answer(first), answer(second)) == ((201, 1000), (200, 1000))
    assert (first.headers["X-Request-ID"], first.headers["X-Correlation-ID"]) == ("one", "two")
    assert ndw_rules.moment(first.json()["timestamp"]) is None
    assert ndw.locations == {("NL", "EXA", "loc-0001"): renamed}
    record = ndw.received[0]
    assert (record.method, record.path, record.body) == ("PUT", LOCATION, V1)
    assert (record.status, record.ocpi_code, record.applied, record.headers["x-request-id"]) == (201, 1000, True, "one")


CONNECTOR, HOURS, PRICE = "evses/0/connectors/0", "opening_times", "elements/0/price_components/0"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("last_updated", "2026-03-02T10:00:00+00:00", "/last_updated"),  # X4
        ("last_updated", "2026-03-02T10:00:00.123456Z", "/last_updated"),  # X5
        ("last_updated", "2026-03-02", "/last_updated"),  # X6
        ("last_updated", "2026-02-30T10:00:00Z", "/last_updated"),  # X7
        ("last_updated", "2026-03-02T09:14:59Z", "/last_updated"),  # older than its EVSE
        ("coordinates", {"latitude": 52.090736, "longitude": 5.12142}, "/coordinates/latitude"),  # X8
        ("coordinates/latitude", "52.0907", "/coordinates/latitude"),  # X9
        ("coordinates/latitude", "52.090736\n", "/coordinates/latitude"),
        ("coordinates/latitude", "52,090736", "/coordinates/latitude"),  # X10
        ("country", "NL", "/country"),  # X11
        ("country_code", "NLD", "/country_code"),  # X12
        ("id", "LOC-0002", "/id"),  # X13
        ("party_id", "GWY", "/party_id"),  # X14
        ("evses/0/connectors", [], "/evses/0/connectors"),  # X15
        (f"{CONNECTOR}/max_voltage", "230", f"/{CONNECTOR}/max_voltage"),  # X16
        (f"{CONNECTOR}/max_amperage", True, f"/{CONNECTOR}/max_amperage"),  # X17
        (f"{CONNECTOR}/max_electric_power", 22.08, f"/{CONNECTOR}/max_electric_power"),  # X18
        (f"{CONNECTOR}/standard", "IEC_60309_2_SINGLE_16", f"/{CONNECTOR}/standard"),  # X19
        (HOURS, {"twentyfourseven": True, "regular_hours": [{"weekday": 1}]}, "/opening_times/regular_hours"),  # X20
        (HOURS, {"twentyfourseven": False}, "/opening_times/regular_hours"),  # X21
        (HOURS, {"regular_hours": []}, "/opening_times/twentyfourseven"),  # X22
        ("energy_mix", {"supplier_name": "Example Energy"}, "/energy_mix/is_green_energy"),  # X26
        ("publish_allowed_to", [{"uid": "04AABBCC", "type": "RFID"}], "/publish_allowed_to"),  # X28
        ("publish_allowed_to", [{"uid": "04AABBCC"}], "/publish_allowed_to/0/type"),  # X29
        ("name", "Markt\nplein", "/name"),  # X30
        ("evses/0/floor_level", -1, "/evses/0/floor_level"),  # X31
        ("directions", {"language": "nl", "text": "Achter het station"}, "/directions"),  # X32
        ("evses/0/status", "charging", "/evses/0/status"),  # X2
        (f"{CONNECTOR}/max_electric_power", GONE, f"/{CONNECTOR}/max_electric_power: required by DOT-NL"),  # X45
        (f"{CONNECTOR}/tariff_ids", [], f"/{CONNECTOR}/tariff_ids"),  # X45
        ("energy_mix", GONE, "/energy_mix: required by DOT-NL"),  # X46
        ("opening_times", None, "/opening_times: required by DOT-NL"),  # X46
        ("evses/0/parking_restrictions", GONE, "/evses/0/parking_restrictions: required by DOT-NL"),  # X46
        ("evses", V1["evses"] * 2, "/evses/1/uid"),
        ("time_zone", "Europe/Utrecht", "/time_zone"),
        ("floor", 1, "/floor: unknown property"),
    ],
)
def test_put_location_names_the_field_it_refuses(ndw: Ndw, path: str, value: Any, field: str) -> None:
    response = send(ndw, "PUT", LOCATION, but(V1, path, value))

    assert answer(response) == (200, 2001)
    assert field in response.json()["status_message"]
    assert (ndw.locations, ndw.received[0].applied, ndw.received[0].ocpi_code) == ({}, False, 2001)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("elements", [], "/elements"),  # X33
        (f"{PRICE}/price", "0.41", f"/{PRICE}/price"),  # X34
        (f"{PRICE}/step_size", GONE, f"/{PRICE}/step_size"),  # X35
        (f"{PRICE}/step_size", 0, f"/{PRICE}/step_size"),
        ("elements/0/restrictions/end_time", "24:00", "/elements/0/restrictions/end_time"),  # X36
        ("elements/0/restrictions", {"day_of_week": ["MON"]}, "/elements/0/restrictions/day_of_week/0"),  # X37
        ("elements/0/restrictions", {"reservation": "RESERVATION"}, "/elements/0/price_components/0/type"),  # X38
        ("elements/0/restrictions", {"min_kwh": 20, "max_kwh": 20}, "/elements/0/restrictions/max_kwh"),
        ("currency", "EURO", "/currency"),
        ("end_date_time", "2026-02-28T00:00:00", "/end_date_time"),
    ],
)
def test_put_tariff_names_the_field_it_refuses(ndw: Ndw, path: str, value: Any, field: str) -> None:
    response = send(ndw, "PUT", TARIFF, but(V2, path, value) | {"start_date_time": "2026-03-01T00:00:00Z"})

    assert answer(response) == (200, 2001)
    assert field in response.json()["status_message"]
    assert ndw.tariffs == {}


def test_put_accepts_every_valid_example(ndw: Ndw) -> None:
    moment, hours = "2026-03-02T09:15:00Z", {"period_begin": "07:00", "period_end": "22:00"}
    closing = {"period_begin": "2026-12-24T23:00:00Z", "period_end": "2026-12-25T23:00:00Z"}
    dc = {"standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC", "max_voltage": 920}
    dc |= {
        "id": "2",
        "max_amperage": 400,
        "max_electric_power": 150000,
        "tariff_ids": ["A", "B"],
        "last_updated": moment,
    }
    mix = {"is_green_energy": False, "environ_impact": [{"category": "CARBON_DIOXIDE", "amount": 151.2}]}
    mix |= {"energy_sources": [{"source": "WIND", "percentage": 62.5}, {"source": "GAS", "percentage": 37.5}]}
    removed = {"uid": "EVSE-9", "status": "REMOVED", "connectors": [dc], "parking_restrictions": []}
    free = {"elements": [{"price_components": [{"type": "FLAT", "price": 0.00, "step_size": 0}]}]}
    weekdays = {"twentyfourseven": False, "regular_hours": [{"weekday": 1, **hours}], "exceptional_closings": [closing]}
    good: list[tuple[str, dict[str, Any]]] = [
        (LOCATION, but(V1, "evses/0/connectors", [dc])),  # V4
        (LOCATION, but(V1, "evses", [*V1["evses"], removed | {"last_updated": moment}])),  # V5
        (LOCATION + "/EVSE-10", removed | {"uid": "EVSE-10", "last_updated": "2026-03-02T12:00:00.25"}),
        (LOCATION + "/EVSE-10/2", dc | {"last_updated": "2026-03-02T13:00:00Z"}),
        ("/locations/NL/EXA/2", V1 | {"id": "2", "opening_times": weekdays}),  # V6
        ("/locations/NL/EXA/2", V1 | {"id": "2", "energy_mix": mix}),  # V8
        (TARIFF, V2),
        (TARIFF, V2 | free),  # V9
    ]

    codes = [answer(send(ndw, "PUT", path, body)) for path, body in good]

    assert codes == [
        (201, 1000),
        (200, 1000),
        (201, 1000),
        (200, 1000),
        (201, 1000),
        (200, 1000),
        (201, 1000),
        (200, 1000),
    ]


def test_put_location_keeps_every_evse(ndw: Ndw) -> None:
    send(ndw, "PUT", LOCATION, V1)

    response = send(ndw, "PUT", LOCATION, V1 | {"evses": []})

    assert answer(response) == (200, 2001)
    assert "evse-1 missing" in response.json()["status_message"]
    assert ndw.locations["NL", "EXA", "loc-0001"] == V1


def test_child_writes_move_the_parents_time(ndw: Ndw) -> None:
    send(ndw, "PUT", LOCATION, V1)

    charging = {"status": "CHARGING", "last_updated": "2026-03-02T10:01:30Z"}
    tariffs = {"tariff_ids": ["ADHOC-2"], "last_updated": "2026-03-02T11:00:00Z"}  # V10
    assert answer(send(ndw, "PATCH", EVSE.replace("EVSE-1", "e%56se-1"), charging)) == (200, 1000)
    assert answer(send(ndw, "PATCH", EVSE + "/1", tariffs)) == (200, 1000)

    location = ndw.locations["NL", "EXA", "loc-0001"]
    evse = location["evses"][0]
    assert (evse["status"], evse["connectors"][0]["tariff_ids"]) == ("CHARGING", ["ADHOC-2"])
    assert location["last_updated"] == evse["last_updated"] == "2026-03-02T11:00:00Z"
    steps = [step[1:] for step in ndw.history["locations", "NL", "EXA", "loc-0001", "evse-1"]]
    assert steps == [("2026-03-02T09:15:00Z", "AVAILABLE"), ("2026-03-02T10:01:30Z", "CHARGING")]
    assert ndw.stale == []


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (EVSE, {"status": "CHARGING"}, (200, 2001)),  # X1
        (EVSE, {"status": "OCCUPIED"}, (200, 2001)),  # X3
        (EVSE, {"uid": "EVSE-2"}, (200, 2001)),
        (EVSE, {"state": "CHARGING"}, (200, 2001)),
        (LOCATION, {"evses": [{"uid": "EVSE-1", "status": "CHARGING"}]}, (200, 2001)),  # X43
        (LOCATION, {"opening_times": {"regular_hours": []}}, (200, 2001)),
        (LOCATION, {"opening_times": None}, (200, 2001)),  # X44
        (LOCATION, {"publish_allowed_to": [{"group_id": "G"}]}, (200, 2001)),  # publish is true
        (LOCATION, {"opening_times": {"twentyfourseven": True}}, (200, 1000)),  # V11
        (LOCATION + "/EVSE-2", {"status": "CHARGING"}, (404, 2003)),
        (EVSE + "/2", {"max_amperage": 16}, (404, 2003)),
        ("/locations/NL/EXB/LOC-0001", {"name": "x"}, (404, 2003)),
    ],
)
def test_patch_needs_last_updated_and_whole_sub_objects(
    ndw: Ndw, path: str, body: dict[str, Any], expected: tuple[int, int]
) -> None:
    send(ndw, "PUT", LOCATION, V1)
    time_of_it = {} if body == {"status": "CHARGING"} and path == EVSE else {"last_updated": "2026-03-02T11:00:00Z"}

    response = send(ndw, "PATCH", path, body | time_of_it)

    assert answer(response) == expected
    assert (ndw.locations["NL", "EXA", "loc-0001"] == V1) == (expected[1] != 1000)


def test_put_child_of_unknown_parent_is_404(ndw: Ndw) -> None:
    assert answer(send(ndw, "PUT", EVSE, V1["evses"][0])) == (404, 2003)
    assert ndw.locations == {}


def test_delete_tariff_is_204_without_a_body(ndw: Ndw) -> None:
    send(ndw, "PUT", TARIFF, V2)

    first, second = send(ndw, "DELETE", TARIFF), send(ndw, "DELETE", TARIFF)

    assert (first.status_code, first.content, second.status_code) == (204, b"", 404)
    assert "Content-Length" not in first.headers
    assert [record.applied for record in ndw.received] == [True, True, False]
    assert ndw.tariffs == {}


def test_older_versions_are_accepted_and_counted(ndw: Ndw) -> None:
    send(ndw, "PUT", LOCATION, V1)
    send(ndw, "PUT", TARIFF, V2)
    same_instant = V2 | {"last_updated": V2["last_updated"].rstrip("Z")}
    assert answer(send(ndw, "PUT", TARIFF, same_instant)) == (200, 1000)
    assert ndw.stale == []

    older = but(V1, "evses/0/last_updated", "2026-03-02T09:14:59.999Z")
    older = but(older, f"{CONNECTOR}/last_updated", "2026-03-02T09:14:00Z")
    assert answer(send(ndw, "PUT", LOCATION, older)) == (200, 1000)
    assert answer(send(ndw, "PATCH", LOCATION, {"last_updated": "2026-03-01T00:00:00"})) == (200, 1000)
    send(ndw, "DELETE", TARIFF)
    assert answer(send(ndw, "PUT", TARIFF, V2)) == (201, 1000)  # back from the dead, no newer than it was

    assert [step["path"][3:] for step in ndw.stale] == [("loc-0001", "evse-1"), ("loc-0001",), ("adhoc-1",)]


@pytest.mark.parametrize(
    ("fault", "values", "shows", "is_applied"),
    [
        (
            503,
            {"headers": {"Retry-After": "7"}},
            lambda r: answer(r) == (503, 3000) and r.headers["Retry-After"] == "7",
            0,
        ),
        (429, {"body": "slow down"}, lambda r: (r.status_code, r.text) == (429, "slow down"), 0),
        (2001, {"status_message": "no"}, lambda r: answer(r) == (200, 2001) and r.json()["status_message"] == "no", 0),
        ("redirect", {"location": "http://x.example/"}, lambda r: r.headers["Location"] == "http://x.example/", 0),
        ("html", {}, lambda r: r.text.startswith("<!doctype") and "html" in r.headers["Content-Type"], 0),
        ("empty", {"apply": True}, lambda r: (r.status_code, r.content) == (200, b""), 1),
        ("garbage", {}, lambda r: r.content == b'{"a":', 0),
        ("bad_utf8", {}, lambda r: b"\xff" in r.content, 0),
        ("no_status_code", {}, lambda r: set(r.json()) == {"timestamp"}, 0),
        ("big", {"bytes": 200_000}, lambda r: len(r.content) == 200_000 and answer(r) == (200, 1000), 0),
        (
            "gzip_bomb",
            {"bytes": 300_000},
            lambda r: len(r.content) == 300_000 > 50 * int(r.headers["Content-Length"]),
            0,
        ),
        ("drip", {"rate": 2000}, lambda r: answer(r) == (201, 1000), 1),
        ("delay", {"seconds": 0.05}, lambda r: answer(r) == (201, 1000) and r.elapsed.total_seconds() > 0.05, 1),
    ],
)
def test_faults_show_on_the_wire_and_end(
    ndw: Ndw, fault: str | int, values: dict[str, Any], shows: Callable[[requests.Response], bool], is_applied: int
) -> None:
    asked = ndw.fail_next(fault, method="PUT", path="^/tariffs/", **values)
    headers = {"Authorization": f"Bearer {ndw.token()}", "Content-Type": "application/json"}

    other = send(ndw, "PUT", LOCATION, V1)
    put = {"data": json.dumps(V2), "headers": headers, "allow_redirects": False, "timeout": 5}
    first = requests.put(ndw.push_url + TARIFF, **put)  # type: ignore[arg-type]

    assert shows(first)
    assert (len(ndw.tariffs), ndw.received[1].applied) == (is_applied, bool(is_applied))
    assert (answer(other), asked.hits) == ((201, 1000), 1)
    assert answer(send(ndw, "PUT", TARIFF, V2)) == (200 if is_applied else 201, 1000)


@pytest.mark.parametrize(
    ("action", "values", "is_applied"),
    [("drop", {}, 0), ("apply_then_drop", {}, 1), ("reset", {}, 0), ("reset", {"head": True}, 0), ("truncate", {}, 1)],
)
def test_faults_break_the_connection(ndw: Ndw, action: str, values: dict[str, Any], is_applied: int) -> None:
    ndw.fail_next(action, **values)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        send(ndw, "PUT", TARIFF, V2)

    assert (len(ndw.tariffs), ndw.received[0].fault) == (is_applied, action)
    assert answer(send(ndw, "PUT", TARIFF, V2)) == (200 if is_applied else 201, 1000)


def test_hanging_requests_go_on_when_released_and_vanish_on_reset(ndw: Ndw) -> None:
    answers: list[Any] = []

    def push() -> None:
        try:
            answers.append(answer(send(ndw, "PUT", TARIFF, V2)))
        except requests.ConnectionError:
            answers.append("dropped")

    for let_go in (ndw.faults.release, ndw.reset):
        ndw.fail_next("hang")
        thread = threading.Thread(target=push)
        thread.start()
        ndw.wait_until(lambda: ndw.received and ndw.received[-1].fault == "hang" and not ndw.received[-1].status)
        assert thread.is_alive()
        let_go()
        thread.join(5)

    assert answers == [(201, 1000), "dropped"]
    assert ndw.tariffs == {}


def test_token_faults(ndw: Ndw) -> None:
    def ask() -> requests.Response:
        return requests.post(ndw.token_url, data=CREDENTIALS, timeout=5)

    ndw.fail_next("status", kind="token", status=401, body={"error": "invalid_client"})
    assert (send(ndw, "PUT", TARIFF, V2).status_code, ask().json()) == (201, {"error": "invalid_client"})
    for value in (0, -1, "1800", None):
        ndw.fail_next("token", kind="token", fields={"expires_in": value})
        assert ask().json().get("expires_in") == value
    ndw.fail_next("token", kind="token", bytes=5_000_000)
    assert len(ask().json()["access_token"]) == 5_000_000
    ndw.fail_next("garbage", kind="token")
    assert ask().text == '{"a":'


def test_connections_are_kept_and_refused_while_down(ndw: Ndw) -> None:
    place = urlsplit(ndw.push_url)
    connection = http.client.HTTPConnection(place.netloc, timeout=5)
    headers = {"Authorization": f"Bearer {ndw.token()}", "Content-Type": "application/json"}

    sockets = set()
    for _ in range(3):
        connection.request("PUT", place.path + TARIFF, json.dumps(V2), headers)
        assert connection.getresponse().read()
        sockets.add(connection.sock)
    (kept,) = sockets
    with ndw.down():
        assert kept.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((place.hostname, place.port))

    assert answer(send(ndw, "PUT", TARIFF, V2)) == (200, 1000)
    assert len(ndw.received) == 4


class Supplier(BaseHTTPRequestHandler):
    """A supplier of two pages of one Location each, a single one and no Tariff; `spoil` makes it a bad one."""

    protocol_version = "HTTP/1.1"
    spoil: ClassVar[str] = ""
    asked: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.asked.append((self.headers["Authorization"], query.get("date_from"), query.get("limit")))
        self.base = f"http://{self.headers['Host']}"
        module = urlsplit(self.path).path
        ends = [
            {"identifier": name, "role": "SENDER", "url": f"{self.base}/{name}"} for name in ("locations", "tariffs")
        ]
        single: dict[str, Any] = {
            "/versions": [{"version": "2.2.1", "url": f"{self.base}/2.2.1"}],
            "/2.2.1": {"version": "2.2.1", "endpoints": ends},
            "/locations/LOC-0001": V1,
        }
        if module in single:
            return self.reply(single[module], {})
        return self.list([] if module == "/tariffs" else [V1], query)

    def list(self, data: list[dict[str, Any]], query: dict[str, str]) -> None:
        offset = query.get("offset", "0")
        data = [document | {"id": "same" if self.spoil == "doubles" else offset} for document in data]
        data = [but(document, "energy_mix", GONE) if self.spoil == "gap" else document for document in data]
        headers = {"X-Total-Count": "3" if self.spoil == "total" else str(2 * len(data)), "X-Limit": "1"}
        if self.spoil == "limit":
            del headers["X-Limit"]
        if data and offset == "0":
            since = f"&date_from={query['date_from']}" if "date_from" in query and self.spoil != "filter" else ""
            following = f"offset={'0' if self.spoil == 'circle' else '1'}&limit=1{since}"
            headers["Link"] = f'<{self.base}/locations?{following}>; rel="next"'
        self.reply(data, headers)

    def reply(self, data: Any, headers: dict[str, str]) -> None:
        text = '{"status_code": 1000, "data" : ' + json.dumps(data, indent=1) + ', "timestamp": "2026-03-02T09:15:00Z"}'
        headers |= {name: self.headers[name] for name in ("X-Request-ID", "X-Correlation-ID")}
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def supplier() -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Supplier)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    Supplier.spoil, Supplier.asked = "", []
    yield {"locations_url": f"{base}/locations", "tariffs_url": f"{base}/tariffs", "base_url": base}
    server.shutdown()
    server.server_close()


def test_crawl_follows_every_page_and_keeps_the_bytes(ndw: Ndw, supplier: dict[str, str]) -> None:
    since = "2026-03-01T00:00:00Z"

    ends: dict[str, Any] = {name: supplier[name] for name in ("locations_url", "tariffs_url")}
    pulled = ndw.crawl(**ends, token="gw-demo-token", limit=1, since=since, apply=True)

    assert pulled.problems == []
    assert (pulled.summary()["locations"], pulled.summary()["tariffs"], pulled.pages) == (2, 0, 3)
    assert [found.document["id"] for found in pulled.locations] == ["0", "1"]
    raw = json.dumps([V1 | {"id": "1"}], indent=1)[2:-2].strip()
    assert pulled.locations[1].sha256 == sha256(raw.encode()).hexdigest()
    assert set(ndw.locations) == {("NL", "EXA", "0"), ("NL", "EXA", "1")}
    token = "Token " + base64.b64encode(b"gw-demo-token").decode()
    assert Supplier.asked == [(token, since, "1")] * 3


def test_crawl_finds_the_modules_by_version_and_fetches_its_own_token(ndw: Ndw, supplier: dict[str, str]) -> None:
    client: dict[str, Any] = {"token_url": ndw.token_url, "client_id": "gateway", "client_secret": "simulator-secret"}

    pulled = ndw_simulator.crawl(supplier["base_url"], **client)
    page, problems = ndw_simulator.get_location(supplier["locations_url"], "LOC-0001", **client)

    assert (pulled.problems, len(pulled.locations), pulled.pages) == ([], 2, 3)
    assert (page.envelope["data"], problems) == (V1, [])
    assert [call.applied for call in ndw.token_calls] == [True, True]
    assert {authorization.split(" ")[0] for authorization, _, _ in Supplier.asked} == {"Bearer"}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        ("doubles", "'same') twice"),
        ("gap", "/energy_mix: required by DOT-NL"),
        ("circle", "Link goes in a circle"),
        ("filter", "Link changes date_from"),
        ("total", "2 different objects, X-Total-Count 3"),
        ("limit", "x-limit"),
    ],
)
def test_crawl_finds_what_a_supplier_does_wrong(supplier: dict[str, str], spoil: str, problem: str) -> None:
    Supplier.spoil = spoil

    ends: dict[str, Any] = {name: supplier[name] for name in ("locations_url", "tariffs_url")}
    pulled = ndw_simulator.crawl(**ends, token="t", raw=True, limit=1, since="2026-03-01T00:00:00Z")

    assert any(problem in found for found in pulled.problems)
    assert Supplier.asked[0][0] == "Token t"


def test_a_process_of_its_own_is_steered_by_urls_and_stops_at_once() -> None:
    command = [sys.executable, "-m", "tests.ndw_simulator", "--port", "0", "--token-life", "60"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        base = f"http://{urlsplit(told['push_url']).netloc}"
        form = {"client_id": told["client_id"], "client_secret": told["client_secret"]}
        token = requests.post(told["token_url"], data={"grant_type": "client_credentials", **form}, timeout=5).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        fault = [{"match": {"method": "PUT"}, "action": "ocpi", "status_code": 2001, "times": 1}]

        assert requests.post(f"{base}/_faults", json=fault, timeout=5).status_code == 200
        assert requests.post(f"{base}/_faults", json=[{"action": "explode"}], timeout=5).status_code == 400
        codes = [requests.put(told["push_url"] + LOCATION, json=V1, headers=headers, timeout=5) for _ in range(2)]
        state = requests.get(f"{base}/_state?full=1", timeout=5).json()
        log = requests.get(f"{base}/_log?since=1", timeout=5).json()
        one = requests.get(f"{base}/_state?object=locations/NL/EXA/LOC-0001/EVSE-1", timeout=5).json()
        hits = [fault["hits"] for fault in requests.get(f"{base}/_faults", timeout=5).json()]
        requests.post(f"{base}/_revoke", timeout=5)
        late = requests.put(told["push_url"] + LOCATION, json=V1, headers=headers, timeout=5)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        exit_code = process.wait(5)

    assert (token["expires_in"], [answer(code) for code in codes]) == (60, [(200, 2001), (201, 1000)])
    assert (state["locations"], state["evses"], state["answered"]) == (1, 1, {"200/2001": 1, "201/1000": 1})
    assert state["documents"]["locations"] == {"NL/EXA/loc-0001": V1}
    assert state["history"]["locations/NL/EXA/loc-0001/evse-1"][0][1:] == ["2026-03-02T09:15:00Z", "AVAILABLE"]
    assert (one["document"], hits, late.status_code) == (V1["evses"][0], [1], 401)
    assert [(entry["number"], entry["body"]) for entry in log] == [(1, V1)]
    assert log[0]["headers"]["authorization"] == "Bearer ***"
    assert (exit_code, time.monotonic() - began < 1) == (0, True)
