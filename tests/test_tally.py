"""What is counted of uploads: by every way in, exactly, and not lost while the database is away."""

import datetime as dt
import json
import threading

import pytest
from django.db import connection as database
from django.utils import timezone

from ocpi import imports, tally
from ocpi.models import UploadHour
from tenants.models import Tenant
from tests import factories
from tests.conftest import Caller, puller, uploader
from tests.documents import location_body, tariff_body
from tests.test_api import rest_client

LATER = "2026-03-03T09:15:00Z"


def counted(tenant: Tenant) -> tuple[int, int]:
    """Return how many uploads of a tenant are stored as accepted and as refused; the hour may have turned meanwhile."""
    tally.flush()
    rows = UploadHour.objects.filter(tenant=tenant).values_list("accepted", "refused")
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


def test_tally_counts_every_upload_over_ocpi_once(cpo, upload):
    upload.put("/tariffs/NL/EXA/ADHOC-1", tariff_body())
    upload.put("/locations/NL/EXA/LOC-0001", location_body())
    upload.put("/locations/NL/EXA/LOC-0001", location_body())  # unchanged: uploaded all the same
    upload.patch("/locations/NL/EXA/LOC-0001/EVSE-1", {"status": "CHARGING", "last_updated": LATER})
    assert counted(cpo) == (4, 0)

    upload.patch("/locations/NL/EXA/LOC-0001/EVSE-1", {"status": "CHARGING", "last_updated": "2020-01-01T00:00:00Z"})
    upload.patch("/locations/NL/EXA/NONE", {"publish": False, "last_updated": LATER})
    upload.put("/locations/NL/EXA/LOC-0002", b"{")
    upload.delete("/tariffs/NL/EXA/ADHOC-1")
    assert counted(cpo) == (4, 4)


def test_tally_does_not_count_what_is_no_upload_of_the_tenant(cpo, rival, upload):
    upload.get("/locations/NL/EXA/NONE")
    upload.patch("/tariffs/NL/EXA/ADHOC-1", {})  # 405
    uploader(rival).put("/locations/NL/EXA/LOC-0001", location_body())
    Caller("/ocpi/receiver/2.2.1", puller(cpo).headers).put("/locations/NL/EXA/LOC-0001", location_body())
    rest_client(cpo).call("POST", "/validate?kind=location", json.dumps(location_body()).encode())

    assert (counted(cpo), counted(rival)) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=locations", (2, 1)),
        ("kind=locations&mode=full", (2, 1)),  # read twice, counted once; what it removes was not uploaded
        ("kind=locations&dry_run=true", (0, 0)),
        ("kind=locations&mode=full&dry_run=true", (0, 0)),
    ],
)
def test_tally_counts_the_lines_of_an_import_that_stores(cpo, query, expected):
    factories.put_location(cpo, id="GOES")
    bodies = [location_body(id="L1"), location_body(id="L2"), location_body(id="L3", coordinates=None)]

    rest_client(cpo).call("POST", f"/imports?{query}", b"\n".join(json.dumps(body).encode() for body in bodies))
    while imports.work():
        pass

    assert counted(cpo) == expected


@pytest.mark.django_db(transaction=True)
def test_tally_is_exact_while_threads_count_and_flush():
    tenants = [factories.make_tenant(party) for party in ("EXA", "RIV")]

    def upload() -> None:
        for number in range(500):
            tally.note(tenants[number % 2], is_accepted=number % 5 > 0)

    def flush() -> None:
        for _ in range(30):
            tally.flush()
        database.close()

    threads = [threading.Thread(target=work) for work in [upload] * 6 + [flush] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [counted(tenant) for tenant in tenants] == [(1200, 300), (1200, 300)]


@pytest.mark.django_db(transaction=True)
def test_tally_keeps_what_the_database_does_not_take(monkeypatch):
    cpo = factories.make_tenant("EXA")
    tally.note(cpo, is_accepted=True)
    with monkeypatch.context() as away:
        database.close()
        away.setitem(database.settings_dict, "HOST", "/nowhere")
        tally.flush()
    tally.note(cpo, is_accepted=True)

    assert counted(cpo) == (2, 0)


def test_tally_adds_up_by_hour_and_forgets_what_is_old(cpo, rival):
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for tenant, hours, accepted in [(cpo, 0, 3), (rival, 0, 4), (cpo, 5, 1), (cpo, 91 * 24, 7)]:
        UploadHour.objects.create(tenant=tenant, hour=now - dt.timedelta(hours=hours), accepted=accepted, refused=1)

    assert tally.by_hour(None, now) == {now: (7, 2)}
    assert tally.by_hour([cpo.pk], now - dt.timedelta(days=1)) == {now: (3, 1), now - dt.timedelta(hours=5): (1, 1)}
    assert (tally.prune(), tally.prune(), UploadHour.objects.count()) == (1, 0, 3)
