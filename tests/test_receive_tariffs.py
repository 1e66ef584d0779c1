"""A CPO uploads Tariffs: replaced, deleted, brought back; what is stored, what is pushed, what is refused."""

from typing import Any

import pytest

from ocpi.models import Push, Tariff
from tests import factories, stored
from tests.conftest import Caller
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

TARIFF = "/tariffs/NL/EXA/ADHOC-1"
FIRST, LATER = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"
EARLIER = "2026-02-28T00:00:00Z"


@pytest.fixture
def known(cpo: Any, upload: Caller) -> Body:
    """ADHOC-1, uploaded and delivered over a Connection that goes nowhere."""
    factories.connect_to_nowhere(cpo)
    body = tariff_body()
    assert upload.put(TARIFF, body).status_code == 201
    stored.deliver(cpo)
    return body


def answer(response: Any) -> tuple[int, int]:
    """Return HTTP status and OCPI status code."""
    return response.status_code, response.envelope["status_code"]


def test_put_tariff_creates_then_replaces(cpo, upload):
    factories.connect_to_nowhere(cpo)

    created = upload.put(TARIFF, tariff_body())
    replaced = upload.put(TARIFF, tariff_body(currency="SEK", last_updated=LATER))

    assert (answer(created), answer(replaced)) == ((201, 1000), (200, 1000))
    assert upload.get(TARIFF).envelope["data"] == tariff_body(currency="SEK", last_updated=LATER)
    assert stored.pushed(cpo) == [("tariff ADHOC-1", 2, True, None)]
    assert Push.objects.get().priority == Push.Priority.TARIFF


def test_put_tariff_again_writes_and_pushes_nothing(cpo, upload, known):
    before = stored.everything(cpo)

    response = upload.put("/tariffs/nl/exa/adhoc-1/", known | {"id": "Adhoc-1", "party_id": "exa"})

    assert answer(response) == (200, 1000)
    assert stored.everything(cpo) == before


def test_put_tariff_with_a_newer_time_only_is_stored_but_not_pushed(cpo, upload, known):
    response = upload.put(TARIFF, known | {"last_updated": LATER})

    assert answer(response) == (200, 1000)
    assert upload.get(TARIFF).envelope["data"]["last_updated"] == LATER
    assert stored.pushed(cpo) == []


def test_put_tariff_keeps_unknown_properties_apart(upload, known):
    response = upload.put("/tariffs/NL/EXA/adhoc-1", known | {"id": "adhoc-1", "x_margin": 0.3, "last_updated": LATER})

    assert [(f["rule"], f["path"]) for f in response.envelope["data"]] == [("S-unknown", "/x_margin")]
    assert Tariff.objects.get().unknown == {"/x_margin": 0.3}
    assert upload.get(TARIFF).envelope["data"] == known | {"last_updated": LATER}


def test_put_tariff_keeps_every_digit_of_a_price(upload, cpo):
    prices = [0.3306, 0.41325, 1e-05, 0, 21, 99999999999.9999]
    elements = [{"price_components": [{"type": "FLAT", "price": p, "step_size": 1, "vat": 21}]} for p in prices]

    upload.put(TARIFF, tariff_body(elements=elements))

    assert b'"price":0.3306,' in bytes(Tariff.objects.get().body)
    served = upload.get(TARIFF).envelope["data"]["elements"]
    assert [element["price_components"][0]["price"] for element in served] == prices


REFUSED: dict[str, Body] = {
    "older": tariff_body(last_updated=EARLIER, currency="SEK"),
    "another id": tariff_body(id="ADHOC-2"),
    "another party": tariff_body(party_id="GWY"),
    "another country": tariff_body(country_code="BE"),
    "without elements": tariff_body(elements=[]),
    "unknown currency": tariff_body(currency="eur"),
    "price as text": tariff_body(elements=[{"price_components": [{"type": "FLAT", "price": "1", "step_size": 1}]}]),
    "in the future": tariff_body(last_updated="2099-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_put_tariff_refused_changes_nothing(cpo, upload, known, body):
    before = stored.everything(cpo)

    response = upload.put(TARIFF, body)

    assert answer(response) == (200, 2001)
    assert stored.everything(cpo) == before


def test_delete_tariff_leaves_a_tombstone_and_is_pushed(cpo, upload, pull, known):
    deleted, again = upload.delete(TARIFF), upload.delete(TARIFF)

    assert (answer(deleted), answer(again)) == ((200, 1000), (404, 2000))
    assert "data" not in deleted.envelope
    assert (answer(upload.get(TARIFF)), pull.get("/tariffs").envelope["data"]) == ((404, 2000), [])
    assert stored.pushed(cpo) == [("tariff ADHOC-1", 2, True, None)]
    assert Push.objects.get().priority == Push.Priority.TARIFF_DELETE


@pytest.mark.parametrize("last_updated", [EARLIER, FIRST])
def test_put_that_is_not_newer_than_the_tombstone_is_refused(cpo, upload, known, last_updated):
    upload.delete(TARIFF)
    before = stored.everything(cpo)

    response = upload.put(TARIFF, tariff_body(last_updated=last_updated))

    assert answer(response) == (200, 2001)
    assert stored.everything(cpo) == before


def test_put_that_is_newer_than_the_tombstone_brings_the_tariff_back(cpo, upload, pull, known):
    upload.delete(TARIFF)
    stored.deliver(cpo)

    response = upload.put(TARIFF, known | {"last_updated": LATER})

    assert answer(response) == (201, 1000)
    assert pull.get("/tariffs").envelope["data"] == [known | {"last_updated": LATER}]
    assert stored.pushed(cpo) == [("tariff ADHOC-1", 3, True, None)]
    assert Push.objects.get().priority == Push.Priority.TARIFF


def test_delete_tariff_is_refused_while_a_connector_names_it(cpo, upload, known):
    factories.put_location(cpo, evses=[evse_body(connectors=[connector_body(tariff_ids=["OTHER", "adhoc-1"])])])
    before = stored.everything(cpo)

    response = upload.delete(TARIFF)

    assert answer(response) == (200, 2001)
    assert response.envelope["data"][0]["rule"] == "T-22"
    assert "LOC-0001" in response.envelope["status_message"]
    assert stored.everything(cpo) == before


def test_delete_tariff_is_not_held_up_by_a_rival_or_a_removed_evse(cpo, rival, upload, known):
    factories.put_location(rival)
    factories.put_location(cpo)
    assert answer(upload.delete(TARIFF)) == (200, 2001)

    upload.put("/locations/NL/EXA/LOC-0001", location_body(evses=[evse_body(status="REMOVED")]))

    assert answer(upload.delete(TARIFF)) == (200, 1000)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_tariff_is_404(upload, method):
    # "locations" in the id must not make it a Location.
    for ocpi_id in ("NONE", "locations"):
        response = upload.call(method, f"/tariffs/NL/EXA/{ocpi_id}")

        assert answer(response) == (404, 2000)


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_tariff_has_no_patch(cpo, upload, known, method):
    before = stored.everything(cpo)

    response = upload.call(method, TARIFF, {"currency": "SEK", "last_updated": LATER})

    assert (answer(response), response["Allow"]) == ((405, 2000), "GET, PUT, DELETE, HEAD, OPTIONS")
    assert stored.everything(cpo) == before
