"""How often somebody may ask: the tenant that asks too much, the address that guesses, and who must not suffer for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory

from tenants import limits, remote
from tenants.limits import Buckets
from tenants.models import Token
from tests import factories, stored
from tests.conftest import CLIENT, uploader
from tests.documents import location_body

LOC = "/locations/NL/EXA/LOC-0001"
VERSIONS = "/ocpi/receiver/versions"


@pytest.fixture(autouse=True)
def _fresh(settings) -> Iterator[None]:
    settings.WEB_PROCESSES = 1
    yield
    limits.uploads.clear()
    limits.failures.clear()
    limits.token_failures.clear()


def guess(address: str = "192.0.2.1", value: str = "gw-u.wrong", **headers: str) -> Any:
    return CLIENT.get(VERSIONS, headers={"Authorization": f"Token {value}", **headers}, REMOTE_ADDR=address)


# --- Buckets -----------------------------------------------------------------------------------------------------------


def test_bucket_gives_its_burst_and_says_when_there_is_more():
    buckets = Buckets()

    waits = [buckets.take("a", per_s=0.5, burst=3) for _ in range(4)]

    assert waits[:3] == [0, 0, 0]
    assert 1.9 < waits[3] <= 2
    assert 1.9 < buckets.wait("a", per_s=0.5, burst=3) <= 2
    assert buckets.take("b", per_s=0.5, burst=3) == 0


def test_bucket_fills_with_time(monkeypatch):
    buckets, clock = Buckets(), [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock[0])

    taken = []
    for seconds in (0, 0, 0, 1.9, 0.1, 1000, 0, 0):
        clock[0] += seconds
        taken.append(buckets.take("a", per_s=0.5, burst=2) == 0)

    assert taken == [True, True, False, False, True, True, True, False]


def test_buckets_stay_few_however_many_ask():
    buckets = Buckets()
    for number in range(limits.MOST_KEYS + 10):
        buckets.take(number, per_s=1, burst=1)

    assert len(buckets._level) == 10


# --- A tenant's uploads ------------------------------------------------------------------------------------------------


def test_tenant_that_asks_too_often_is_429_in_the_callers_form_and_stores_nothing(settings, cpo, rival, pull):
    settings.TENANT_RATE = 1
    upload, others = uploader(cpo), uploader(rival)
    said = [upload.put(LOC, location_body()).status_code for _ in range(limits.BURST_S)]
    before = stored.everything(cpo)

    refused = upload.put(LOC, location_body(name="Not stored", last_updated="2026-03-03T09:15:00Z"))
    rest = CLIENT.get("/api/v1/problems", headers=upload.headers)

    assert said == [201] + [200] * (limits.BURST_S - 1)
    assert (refused.status_code, refused.envelope["status_code"], refused["Retry-After"]) == (429, 2000, "1")
    assert (rest.status_code, rest["Content-Type"], rest["Retry-After"]) == (429, "application/problem+json", "1")
    assert rest.json()["status"] == 429
    assert stored.everything(cpo) == before
    assert others.get(LOC.replace("EXA", "RIV")).status_code == 404
    assert pull.get("/locations").status_code == 200  # NDW is not the tenant


def test_each_process_has_its_share(settings, cpo):
    settings.TENANT_RATE, settings.WEB_PROCESSES = 2, 4
    upload = uploader(cpo)

    said = [upload.get(LOC).status_code for _ in range(6)]

    assert said == [404] * 5 + [429]


# --- Guessing ----------------------------------------------------------------------------------------------------------


def test_address_that_guesses_is_429_and_others_are_not(settings, cpo):
    settings.FAILED_AUTH_RATE = 5
    known, fresh = factories.make_token(cpo), factories.make_token(cpo)
    assert guess(value=known).status_code == 200

    said = [guess().status_code for _ in range(7)]
    last = guess()

    assert said == [401] * 5 + [429] * 2
    assert (last.json()["status_code"], 11 <= int(last["Retry-After"]) <= 12) == (2000, True)
    assert guess("192.0.2.2").status_code == 401
    assert [guess(value=value).status_code for value in (known, fresh)] == [200, 429]


def test_known_credential_that_was_revoked_is_refused(settings, cpo):
    settings.FAILED_AUTH_RATE = 1
    known = factories.make_token(cpo)
    assert guess(value=known).status_code == 200
    Token.objects.get().revoke()

    assert [guess(value=known).status_code for _ in range(2)] == [401, 401]


def test_token_endpoint_counts_wrong_clients_with_the_rest_and_takes_a_third_of_them(settings, db):
    settings.FAILED_AUTH_RATE = 6
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "x"}

    answers = [CLIENT.post("/oauth/token", "&".join(f"{k}={v}" for k, v in form.items()), "application/x-www-form-urlencoded",
                           REMOTE_ADDR="192.0.2.1") for _ in range(3)]  # fmt: skip

    assert [one.status_code for one in answers] == [401, 401, 429]
    assert (answers[2].json(), answers[2]["Retry-After"]) == ({"error": "temporarily_unavailable"}, "30")
    assert [guess().status_code for _ in range(5)] == [401] * 4 + [429]


@pytest.mark.parametrize(
    ("is_behind", "forwarded", "address"),
    [
        (False, "10.0.0.1", "192.0.2.1"),
        (True, "10.0.0.1", "10.0.0.1"),
        (True, "spoofed, 10.0.0.1", "10.0.0.1"),
        (True, "", "192.0.2.1"),
    ],
)
def test_address_is_what_our_proxy_says_and_nothing_else(settings, is_behind, forwarded, address):
    settings.HAS_PROXY = is_behind

    assert remote.address(RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)) == address
