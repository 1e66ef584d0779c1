"""A short round of `make fuzz`, the same requests each time: no answer of 500, nothing stored that was refused, memory flat."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuzz import openapi, target
from tests.fuzz.__main__ import play, table
from tests.fuzz.target import GROWTH_MB, Target

REQUESTS = 1200
SEED = 7


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, which here keeps what is stored from test to test: the server has to see it."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def gateway(db: None) -> Iterator[Target]:
    with target.running() as running:
        yield running


def test_fuzz_finds_every_operation_of_the_openapi(gateway):
    found = {(one.method.upper(), one.path) for one in openapi.operations(gateway)}

    assert len(found) >= 25
    assert ("PUT", "/ocpi/receiver/2.2.1/locations/{country_code}/{party_id}/{location_id}") in found


def test_fuzz_short_round_finds_nothing(gateway):
    play(gateway, REQUESTS, SEED)

    print(table(gateway, 0, SEED))
    assert gateway.wrong == []
    assert gateway.stored_by_refused == 0
    assert gateway.sent >= REQUESTS
    assert gateway.growth_mb() < GROWTH_MB
    assert {200, 201, 400, 404, 405} <= set(gateway.statuses)
