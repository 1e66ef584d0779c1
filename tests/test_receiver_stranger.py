"""The Receiver interface as a CPO's strict client meets it: HTTP only, the production server, OCPI's own table of answers.

Source: protocol §2.1 to §2.7, §4, §8, Receiver.
"""

import base64
import http.client
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tenants.models import Token
from tests import factories
from tests.benchmarks import stage
from tests.documents import connector_body, evse_body, location_body, tariff_body

ROOT = "/ocpi/receiver/2.2.1"
LOCATION, TARIFF = "/locations/NL/EXA/LOC-0001", "/tariffs/NL/EXA/ADHOC-1"
LATER = "2026-03-03T09:15:00Z"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[str]:
    """The production web server; its address."""
    with stage.web(workers=1) as address:
        yield address


class Client:
    """A strict client: every answer has to be an envelope with the ids it sent."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token, self.session = address, token, requests.Session()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Send a body as JSON, bytes as they are, an iterator in chunks; check what holds of any answer."""
        ids = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4())}
        packed = base64.b64encode(self.token.encode()).decode()
        data = json.dumps(body).encode() if isinstance(body, dict | list) else body
        sent = {"Authorization": f"Token {packed}", "Content-Type": "application/json", **ids}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.address + (path if path.startswith("/ocpi") else ROOT + path)
        answer = self.session.request(method, url, data=data, headers=sent, timeout=10, allow_redirects=False)
        envelope = answer.json()
        assert answer.headers["Content-Type"] == "application/json"
        assert {name: answer.headers[name] for name in ids} == ids
        assert type(envelope["status_code"]) is int
        assert MOMENT.fullmatch(envelope["timestamp"])
        assert envelope.get("status_message") or envelope["status_code"] < 2000
        return answer

    def said(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, int]:
        """Return HTTP status and OCPI status code."""
        answer = self.send(method, path, body, **headers)
        return answer.status_code, answer.json()["status_code"]


@pytest.fixture
def client(transactional_db: None, web: str) -> Client:
    tenant = factories.make_tenant("EXA")
    factories.put_tariff(tenant)
    factories.put_location(tenant)
    factories.make_tenant("RIV")
    return Client(web, factories.make_token(tenant))


def test_receiver_leads_from_versions_to_modules(client):
    versions = client.send("GET", "/ocpi/receiver/versions").json()["data"]
    details = client.send("GET", versions[0]["url"].removeprefix(client.address)).json()["data"]

    assert [version["version"] for version in versions] == ["2.2.1"]
    assert {(end["identifier"], end["role"], end["url"]) for end in details["endpoints"]} == {
        ("locations", "RECEIVER", f"{client.address}{ROOT}/locations"),
        ("tariffs", "RECEIVER", f"{client.address}{ROOT}/tariffs"),
    }


def test_receiver_takes_a_location_its_parts_and_a_tariff_through_their_lives(client):
    new = location_body(id="LOC-0002", evses=[evse_body(uid="E2", evse_id="NL*EXA*E2")])
    status = {"status": "CHARGING", "last_updated": LATER}
    steps = [
        ("GET", "/locations/NL/EXA/LOC-0002", None, (404, 2003)),
        ("PUT", "/locations/NL/EXA/LOC-0002", new, (201, 1000)),
        ("PUT", "/locations/NL/EXA/LOC-0002", new, (200, 1000)),
        ("GET", "/locations/nl/exa/loc-0002", None, (200, 1000)),
        ("PATCH", "/locations/NL/EXA/LOC-0002/E2", status, (200, 1000)),
        ("PATCH", "/locations/NL/EXA/LOC-0002/E2/1", {"max_amperage": 16, "last_updated": LATER}, (200, 1000)),
        (
            "PUT",
            "/locations/NL/EXA/LOC-0002/E3",
            evse_body(uid="E3", evse_id="NL*EXA*E3", last_updated=LATER),
            (201, 1000),
        ),
        ("PUT", "/locations/NL/EXA/LOC-0002/E3/2", connector_body(id="2", last_updated=LATER), (201, 1000)),
        ("GET", "/locations/NL/EXA/LOC-0002/E3/2/", None, (200, 1000)),
        ("PUT", "/tariffs/NL/EXA/T2", tariff_body(id="T2"), (201, 1000)),
        ("GET", "/tariffs/NL/EXA/T2", None, (200, 1000)),
        ("DELETE", "/tariffs/NL/EXA/T2", None, (200, 1000)),
        ("GET", "/tariffs/NL/EXA/T2", None, (404, 2000)),
        ("DELETE", "/tariffs/NL/EXA/T2", None, (404, 2000)),
    ]

    assert [client.said(method, path, body) for method, path, body, _ in steps] == [said for *_, said in steps]
    held = client.send("GET", "/locations/NL/EXA/LOC-0002").json()["data"]
    assert [(evse["uid"], evse["status"], len(evse["connectors"])) for evse in held["evses"]] == [
        ("E2", "CHARGING", 1), ("E3", "AVAILABLE", 2)
    ]  # fmt: skip
    assert held["last_updated"] == LATER


def test_receiver_answers_without_data_to_what_is_taken(client):
    answer = client.send("PATCH", f"{LOCATION}/EVSE-1", {"status": "CHARGING", "last_updated": LATER})

    assert "data" not in answer.json()


REFUSED = [
    ("PUT", LOCATION, b"{", (400, 2001)),
    ("PUT", LOCATION, b'{"price": NaN}', (400, 2001)),
    ("PUT", LOCATION, b'\xef\xbb\xbf{"id": 1}', (400, 2001)),
    ("PUT", LOCATION, b'{"id": "A", "id": "B"}', (400, 2001)),
    ("PUT", LOCATION, b'{"id": "\xff"}', (400, 2001)),
    ("PUT", LOCATION, b"", (400, 2001)),
    ("PUT", LOCATION, [], (200, 2001)),
    ("PUT", LOCATION, location_body(id="OTHER"), (200, 2001)),
    ("PUT", LOCATION, location_body(party_id="RIV"), (200, 2001)),
    ("PUT", LOCATION, location_body(country="NL"), (200, 2001)),
    ("PATCH", LOCATION, {"name": "x", "last_updated": "2026-03-01T00:00:00Z"}, (200, 2001)),
    ("PATCH", LOCATION, {"name": "x"}, (200, 2001)),
    ("PATCH", f"{LOCATION}/NONE", {"status": "CHARGING", "last_updated": LATER}, (404, 2003)),
    ("PATCH", f"{LOCATION}/EVSE-1/NONE", {"max_amperage": 1, "last_updated": LATER}, (404, 2003)),
    ("PUT", "/locations/NL/EXA/NONE/EVSE-1", evse_body(), (404, 2003)),
    ("PUT", "/locations/NL/RIV/LOC-0001", location_body(party_id="RIV"), (404, 2003)),
    ("PUT", "/locations/NL/ZZZ/LOC-0001", location_body(party_id="ZZZ"), (404, 2003)),
    ("PUT", "/tariffs/NL/RIV/T1", tariff_body(party_id="RIV", id="T1"), (404, 2000)),
    ("DELETE", LOCATION, None, (405, 2000)),
    ("POST", LOCATION, location_body(), (405, 2000)),
    ("PATCH", TARIFF, {"currency": "EUR", "last_updated": LATER}, (405, 2000)),
    ("DELETE", TARIFF, None, (200, 2001)),
    ("GET", "/locations", None, (404, 2003)),
    ("GET", "/sessions/NL/EXA/1", None, (404, 2000)),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), REFUSED)
def test_receiver_refuses_as_the_table_says_and_stores_nothing(client, method, path, body, said):
    before = [client.send("GET", one).json()["data"] for one in (LOCATION, TARIFF)]

    assert client.said(method, path, body) == said

    assert [client.send("GET", one).json()["data"] for one in (LOCATION, TARIFF)] == before


def test_receiver_names_the_methods_of_a_url(client):
    assert client.send("DELETE", LOCATION).headers["Allow"] == "GET, PUT, PATCH, HEAD, OPTIONS"
    assert client.send("PATCH", TARIFF, {}).headers["Allow"] == "GET, PUT, DELETE, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content_Type": "application/json; charset=UTF-8"}, (200, 1000)),
        ({"Content_Type": "application/json; charset=latin-1"}, (415, 2000)),
        ({"Content_Type": "text/plain"}, (415, 2000)),
        ({"Content_Encoding": "gzip"}, (415, 2000)),
        ({"Authorization": ""}, (401, 2000)),
        ({"Authorization": "Token wrong"}, (401, 2000)),
        ({"Authorization": "Bearer wrong"}, (401, 2000)),
        ({"OCPI_to_country_code": "NL", "OCPI_to_party_id": "RIV"}, (200, 2001)),
        ({"OCPI_from_country_code": "NL", "OCPI_from_party_id": "CPX"}, (200, 1000)),
    ],
)
def test_receiver_looks_at_the_headers(client, headers, said):
    assert client.said("PUT", LOCATION, location_body(), **headers) == said


def test_receiver_reads_chunks_and_refuses_what_is_too_large(client):
    whole = json.dumps(location_body(name="In chunks", last_updated=LATER)).encode()

    assert client.said("PUT", LOCATION, iter([whole[:100], whole[100:]])) == (200, 1000)
    assert client.send("GET", LOCATION).json()["data"]["name"] == "In chunks"
    assert client.said("PUT", LOCATION, b" " * 1_048_577) == (413, 2000)


@pytest.mark.parametrize("path", ["/locations/NL/RIV/L1", "/nothing"])
def test_connection_stays_usable_when_a_refused_body_comes_late(client, path):
    line = http.client.HTTPConnection(client.address.removeprefix("http://"), timeout=10)
    said = []
    for body in (b" " * 300_000, b"{}"):
        line.putrequest("PUT", ROOT + path)
        line.putheader("Authorization", f"Token {client.token}")
        line.putheader("Content-Length", str(len(body)))
        line.endheaders()
        line.auto_open = 0  # a second connection would prove nothing
        time.sleep(0.1)  # a server that does not wait for the body has answered by now, and closed
        line.send(body)
        answer = line.getresponse()
        answer.read()
        said.append(answer.status)

    assert said == [404, 404]


def test_receiver_knows_the_token_in_all_its_forms_and_no_pull_token(client):
    newline = base64.b64encode(f"{client.token}\n".encode()).decode()
    pull = factories.make_token(None, Token.Purpose.PULL)

    said = [client.said("GET", LOCATION, Authorization=f"Token {value}") for value in (client.token, newline, pull)]

    assert said == [(200, 1000), (200, 1000), (403, 2000)]
