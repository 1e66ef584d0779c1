"""Every bad input of reliability §5, over a bare socket to the production server: the answer, and that it left nothing behind."""

import base64
import datetime as dt
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection

from gateway.embedded import ROOT
from ocpi import store
from tenants.models import Tenant, Token
from tests import bad_callers, bad_http, bad_json, bad_objects, factories, json_cases, stored
from tests.bad_elsewhere import ELSEWHERE
from tests.bad_inputs import DONE, LOCATION, RECEIVER, Case, send
from tests.benchmarks import stage
from tests.documents import tariff_body
from tests.wire import Answer, Wire, request

CASES = [*bad_http.CASES, *bad_json.CASES, *bad_objects.CASES, *bad_callers.CASES]


@dataclass
class Stage:
    """A gateway that serves two tenants; `cpo` has a Location, Tariffs and a tombstone, and a Connection to nowhere."""

    address: str
    cpo: Tenant
    rival: Tenant
    tokens: dict[str, str]
    before: list[Any] = field(default_factory=list)

    def everything(self) -> list[Any]:
        """Return all that is stored of both."""
        return [stored.everything(tenant) for tenant in (self.cpo, self.rival)]

    def fill(self) -> None:
        """Bring back what every case begins with."""
        for tenant in (self.cpo, self.rival):
            with connection.cursor() as cursor:
                for table in (
                    "ocpi_version",
                    "ocpi_pushattempt",
                    "ocpi_push",
                    "ocpi_location",
                    "ocpi_tariff",
                    "ocpi_import",
                ):
                    cursor.execute(f"DELETE FROM {table} WHERE tenant_id = %s", [tenant.pk])
            for ocpi_id in ("ADHOC-1", "GONE", "SPARE"):
                factories.put_tariff(tenant, id=ocpi_id)
            factories.put_location(tenant)
        factories.put_tariff(self.rival, id="RIVAL-ONLY")
        store.delete_tariff(self.cpo, "GONE")
        self.before = self.everything()

    def filled(self, text: str) -> str:
        """Return a text with the tokens in it."""
        for name, token in self.tokens.items():
            text = text.replace(f"{{{name}}}", token).replace(f"{{{name}:base64}}", _base64(token))
            text = text.replace(f"{{{name}:line}}", _base64(token + "\n"))
        return text.replace("~", "_")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _timed(body: bytes | None) -> bytes | None:
    """Return a body with its times filled in."""

    def moment(match: re.Match[bytes]) -> bytes:
        return f"{dt.datetime.now(dt.UTC) + dt.timedelta(minutes=int(match[1])):%Y-%m-%dT%H:%M:%SZ}".encode()

    return body and (re.sub(rb"\{now\+(\d+)\}", moment, body) if len(body) < 10_000 else body)


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, which here keeps what is stored from test to test: the server has to see it."""
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE tenants_tenant, tenants_serviceaccount, ocpi_version CASCADE")


@pytest.fixture(scope="module")
def gateway(db: None) -> Iterator[Stage]:
    """The production web server and what it serves."""
    with stage.web(workers=1) as address:
        cpo, rival = factories.make_tenant("EXA"), factories.make_tenant("RIV")
        factories.connect_to_nowhere(cpo)
        tokens = {
            "upload": factories.make_token(cpo),
            "pull": factories.make_token(cpo, Token.Purpose.PULL),
            "rival": factories.make_token(rival),
        }
        made = Stage(address, cpo, rival, tokens)
        made.fill()
        yield made


def bytes_of(gateway: Stage, case: Case, ids: dict[str, str]) -> bytes:
    """Return the request of a case."""
    usual = {"Authorization": "Token {upload}", "Content-Type": "application/json"}
    own = {name.lower() for name, _ in case.headers}
    headers = [(name, value) for name, value in (usual | ids).items() if name.lower() not in own]
    given = [(gateway.filled(name), gateway.filled(value)) for name, value in [*headers, *case.headers]]
    return request(case.method, gateway.filled(case.target), given, _timed(case.body))


def findings(answer: Answer) -> list[tuple[str, str]]:
    """Return rule and path of each finding in an answer."""
    return [(one["rule"], one["path"]) for one in answer.json.get("data") or []]


def check_form(case: Case, answer: Answer, ids: dict[str, str]) -> None:
    """Check what holds of any answer: JSON of ours, the caller's ids, nothing cached, no other site let in."""
    assert case.method == "HEAD" or answer.is_json
    assert {name: answer.headers.get(name.lower()) for name in ids} == ids
    assert answer.headers["cache-control"] in ("no-store", "private, no-cache")
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "evil.example" not in str(answer.headers)
    if answer.status == 405:
        assert answer.headers["allow"]
    if answer.status == 401:
        assert answer.headers["www-authenticate"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_answered_as_the_table_says_and_leaves_nothing_behind(gateway, case):
    ids = {name: str(uuid.uuid4()) for name in ("X-Request-ID", "X-Correlation-ID")}

    with Wire(gateway.address) as wire:
        wire.send(bytes_of(gateway, case, ids))
        answer = wire.answer(case.method)
        is_usable = answer.is_last or _is_usable(wire)

    after, before = gateway.everything(), gateway.before
    if after != before:
        gateway.fill()
    code = answer.json.get("status_code") if case.said[1] else None
    assert (answer.status, code) == case.said, answer.body[:500]
    check_form(case, answer, ids)
    assert case.finds is None or case.finds in findings(answer), findings(answer)
    assert is_usable
    assert not answer.is_last or len(case.body or b"") > 1_048_576
    if case.said[0] in (200, 201) and case.said[1] == 1000 and case.method in ("PUT", "PATCH", "DELETE"):
        assert answer.status != 201 or after != before
    else:
        assert after == before


def _is_usable(wire: Wire) -> bool:
    """Return True when the same connection serves another request."""
    wire.send(request("GET", "/healthz"))
    return wire.answer().status == 200


def test_every_case_of_json_is_answered_on_one_connection(gateway):
    said = {}
    expected = {name: (200, 2001) if is_read else (400, 2001) for name, is_read in json_cases.READ.items()}
    headers = [("Authorization", gateway.filled("Token {upload}")), ("Content-Type", "application/json")]

    with Wire(gateway.address) as wire:
        for name, raw in json_cases.RAW.items():
            wire.send(request("PUT", LOCATION, headers, raw))
            answer = wire.answer()
            said[name] = answer.status, answer.json["status_code"]

    assert len(said) > 250
    assert said == expected
    assert gateway.everything() == gateway.before


def test_put_and_delete_of_one_tariff_at_once_are_one_after_the_other(gateway):  # 228
    said: list[int] = []

    def ask(method: str, second: int) -> None:
        body = tariff_body(id="SPARE", last_updated=f"2026-03-03T09:15:{second:02}Z") if method == "PUT" else None
        case = send(228, "", method, f"{RECEIVER}/tariffs/NL/EXA/SPARE", DONE, body)
        with Wire(gateway.address) as wire:
            wire.send(bytes_of(gateway, case, {}))
            said.append(wire.answer().status)

    threads = [threading.Thread(target=ask, args=(("PUT", "DELETE")[n % 2], n)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(said) == 20
    assert set(said) <= {200, 201, 404}
    gateway.fill()


def test_every_bad_input_of_the_list_has_its_test():
    covered = {case.number for case in CASES} | {one.number for one in ELSEWHERE}

    assert covered == set(range(1, 289))


@pytest.mark.parametrize("file", sorted({one.file for one in ELSEWHERE}))
def test_bad_inputs_that_are_elsewhere_are_there(file):
    there = set(re.findall(r"^def (test_\w+)", (ROOT / "tests" / file).read_text(), re.MULTILINE))

    assert {one.test for one in ELSEWHERE if one.file == file} - there == set()
