"""A tenant leaves: uploads end at once, every EVSE goes REMOVED, NDW accepts each Location, and the proof says so."""

import csv
import hashlib
import threading
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections, transaction
from django.utils import timezone

from ocpi import acceptances, errors, imports, intake, offboarding, push, rules, sources, store, tasks
from ocpi.models import Crawl, Import, Location, Offboarding, Push, PushAttempt, Source, Tariff
from tenants.models import Connection, Tenant, Token
from tests import factories
from tests.conftest import Caller, puller, uploader
from tests.documents import evse_body, location_body, tariff_body
from tests.pushing import later, make_due, row, two_evses


def begin(tenant: Tenant) -> bool:
    return offboarding.begin(tenant, "anna", confirmed_at=timezone.now(), confirmed_by="bert")


def statuses(tenant: Tenant) -> dict[str, list[str]]:
    return {one.ocpi_id: [evse["status"] for evse in one.document["evses"]] for one in tenant.locations.order_by("pk")}


def is_over(tenant: Tenant) -> bool:
    tenant.refresh_from_db()
    return tenant.offboarded_at is not None


def fleet(tenant: Tenant, ndw: Any, environment: str = "production") -> Connection:
    """Store two shown Locations with three EVSEs, a withheld and a hidden one, a tariff; NDW has accepted what it shall have."""
    connection = factories.make_connection(tenant, ndw, environment)
    factories.put_tariff(tenant)
    factories.put_location(tenant, evses=two_evses())
    factories.put_location(tenant, id="LOC-0002", evses=[evse_body(uid="EVSE-3", evse_id="NL*EXA*E3")])
    factories.put_location(
        tenant, id="GAPS", energy_mix=None, evses=[evse_body(uid="EVSE-4", evse_id="NL*EXA*E4", status="REMOVED")]
    )
    factories.put_location(tenant, id="HIDDEN", evses=[evse_body(uid="EVSE-5", evse_id="NL*EXA*E5")])
    push.drain()
    store.patch_location(tenant, "HIDDEN", {"publish": False, "last_updated": later()})
    push.drain()
    assert {one.state for one in tenant.pushes.all()} == {"delivered"}
    return connection


def test_offboarding_end_to_end_removes_pushes_proves_and_stops(cpo, ndw):
    fleet(cpo, ndw)
    upload, pull = uploader(cpo), puller(cpo)
    Source(tenant=cpo, url="http://127.0.0.1:9/versions").set_token("t0ken")

    assert begin(cpo)
    tasks.offboard()
    assert (statuses(cpo), is_over(cpo)) == (
        {"LOC-0001": ["REMOVED"] * 2, "LOC-0002": ["REMOVED"], "GAPS": ["REMOVED"], "HIDDEN": ["REMOVED"]},
        False,
    )
    push.drain()
    tasks.offboard()

    assert is_over(cpo)
    assert {evse["status"] for one in ndw.locations.values() if one["publish"] for evse in one["evses"]} == {"REMOVED"}
    assert (ndw.stale, len(ndw.tariffs), Tariff.objects.filter(deleted_at=None).count()) == ([], 1, 1)
    assert Connection.objects.get().is_retired
    assert not Source.objects.get().is_active
    assert upload.get("/locations/NL/EXA/LOC-0001").status_code == 401
    served = pull.get("/locations")
    assert [one["evses"][0]["status"] for one in served.envelope["data"]] == ["REMOVED"] * 2


def test_offboarding_proof_tells_what_ndw_accepted_of_each_location(cpo, ndw):
    fleet(cpo, ndw)
    begin(cpo)
    for _ in range(2):
        tasks.offboard()
        push.drain()
    tasks.offboard()

    one = Offboarding.objects.get()
    text = offboarding.proof(one)
    summary, lines = acceptances.read(text.decode())

    assert one.digest == hashlib.sha256(text).hexdigest()
    told = dict(summary)
    assert (told["tenant"], told["Locations"], told["EVSEs"], told["Locations accepted"]) == ("NL-EXA", "4", "5", "3")
    assert (told["confirmed first"][25:], told["confirmed second"][25:]) == ("bert", "anna")
    assert (told["how NDW learnt it"], told["push URL"]) == ("push, production", ndw.push_url)
    assert [line[:3] for line in lines] == [
        ["LOC-0001", "2", "REMOVED"],
        ["LOC-0002", "1", "REMOVED"],
        ["GAPS", "1", "never had it"],
        ["HIDDEN", "1", "not published"],
    ]
    for line in lines:
        found = Push.objects.filter(location__ocpi_id=line[0]).first()
        if found is None:
            assert line[3:] == [""] * 5
            continue
        attempt = PushAttempt.objects.filter(push=found, outcome="delivered").first()
        body = Location.objects.get(ocpi_id=line[0]).body
        assert line[4:7] == [attempt.request_id, "200", "1000"]
        assert line[3][:19] == found.accepted_at.isoformat()[:19]
        if line[2] == "REMOVED":
            assert line[7] == hashlib.sha256(bytes(body)).hexdigest()
    PushAttempt.objects.all().delete()
    assert offboarding.proof(Offboarding.objects.get()) == text


UPLOADS = {
    "PUT Location": lambda one: one.put("/locations/NL/EXA/LOC-0001", location_body(name="New", last_updated=later())),
    "PUT new Location": lambda one: one.put("/locations/NL/EXA/NEW", location_body(id="NEW")),
    "PATCH EVSE": lambda one: one.patch(
        "/locations/NL/EXA/LOC-0001/EVSE-1", {"status": "AVAILABLE", "last_updated": later()}
    ),
    "PUT Tariff": lambda one: one.put("/tariffs/NL/EXA/NEW", tariff_body(id="NEW")),
    "DELETE Tariff": lambda one: one.delete("/tariffs/NL/EXA/ADHOC-1"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_offboarding_refuses_uploads_but_lets_the_cpo_look(cpo, upload, name):
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    begin(cpo)
    before = (bytes(Location.objects.get().body), Tariff.objects.filter(deleted_at=None).count())

    answer = UPLOADS[name](upload)

    assert (answer.status_code, answer.envelope["status_code"]) == (403, 2000)
    assert answer.envelope["status_message"] == "This party is being offboarded: uploads are no longer accepted."
    assert (bytes(Location.objects.get().body), Tariff.objects.filter(deleted_at=None).count()) == before
    assert upload.get("/locations/NL/EXA/LOC-0001").status_code == 200


def test_offboarding_refuses_bulk_uploads(cpo):
    token = factories.make_token(cpo)
    begin(cpo)
    headers = {"Authorization": f"Token {token}"}

    answer = Caller("/api/v1", headers).call("POST", "/imports?kind=locations", b"{}")

    assert (answer.status_code, answer.envelope["title"]) == (403, "Forbidden")
    assert Import.objects.count() == 0
    with pytest.raises(errors.Offboarded):
        intake.receive(cpo, "location", [b"{}"])


def test_offboarding_refuses_what_was_let_in_before_it_began(cpo):
    """The view has passed, the body was being read: the store looks once more, one by one and in bulk."""
    factories.put_location(cpo)
    begin(cpo)
    new = rules.check("location", location_body(id="NEW"))

    with pytest.raises(errors.Offboarded):
        factories.put_location(cpo, name="Changed", last_updated=later())
    with pytest.raises(errors.Offboarded):
        store.put_many("location", cpo, [new])
    with pytest.raises(errors.Offboarded):
        store.put_many("location", cpo, [new] + [rules.check("location", location_body(id=f"L{n}")) for n in range(30)])

    assert Location.objects.get().document["name"] == "Marktplein"


@pytest.mark.django_db(transaction=True)
def test_offboarding_waits_for_uploads_under_way_also_for_new_objects():
    """An upload that has begun is either stored before the sweep looks, or refused: never stored behind its back."""
    tenant = factories.make_tenant()
    began, ended = threading.Event(), []

    def leave() -> None:
        began.set()
        ended.append(begin(tenant))
        connections.close_all()

    with transaction.atomic():
        factories.put_location(tenant)  # holds the gate until the transaction ends
        other = threading.Thread(target=leave)
        other.start()
        began.wait()
        other.join(0.5)
        assert (ended, Tenant.objects.get().offboarding_at) == ([], None)
    other.join()

    assert ended == [True]
    offboarding.work()
    assert (statuses(tenant), is_over(tenant)) == ({"LOC-0001": ["REMOVED"]}, True)


def test_offboarding_ends_imports(cpo):
    factories.put_location(cpo)
    for number in range(6):
        factories.put_location(cpo, id=f"L{number}", evses=[evse_body(uid=f"E{number}", evse_id=f"NL*EXA*E{number}")])
    held = intake.receive(cpo, "location", [b"[]"], mode=Import.Mode.FULL)
    imports.work()
    waiting = intake.receive(cpo, "location", [b'{"id": "NEW"}'])
    held.refresh_from_db()
    assert held.state == "held"

    begin(cpo)
    tasks.offboard()
    imports.work()

    held.refresh_from_db()
    waiting.refresh_from_db()
    assert (held.state, held.note) == ("discarded", offboarding.NOTE)
    assert (waiting.state, waiting.note) == ("failed", str(errors.Offboarded()))


def test_offboarding_fetches_no_more(cpo):
    source = Source(tenant=cpo, url="http://127.0.0.1:9/versions")
    source.set_token("t0ken")
    assert sources.due().count() == 1

    begin(cpo)

    assert (sources.due().count(), sources.claim()) == (0, None)


def test_offboarding_begins_once(cpo):
    assert (begin(cpo), begin(cpo)) == (True, False)
    assert Offboarding.objects.count() == 1


def test_offboarding_goes_on_where_a_killed_worker_was_and_does_nothing_twice(cpo, ndw):
    factories.make_connection(cpo, ndw)
    for number in range(5):
        factories.put_location(cpo, id=f"L{number}", evses=[evse_body(uid=f"E{number}", evse_id=f"NL*EXA*E{number}")])
    push.drain()
    begin(cpo)
    one = Offboarding.objects.get()

    after = offboarding._remove_some(one, 0, limit=2)  # and then its worker is gone
    first = dict(cpo.locations.values_list("ocpi_id", "received_at"))
    assert [words[0] for words in statuses(cpo).values()] == ["REMOVED"] * 2 + ["AVAILABLE"] * 3
    assert after == cpo.locations.get(ocpi_id="L1").pk
    for _ in range(2):
        tasks.offboard()
    push.drain()
    tasks.offboard()

    assert is_over(cpo)
    again = dict(cpo.locations.values_list("ocpi_id", "received_at"))
    assert [name for name in first if first[name] == again[name]] == ["L0", "L1"]
    assert [request.method for request in ndw.received] == ["PUT"] * 10


@pytest.mark.django_db(transaction=True)
def test_offboarding_of_which_another_worker_has_hold_is_left_alone():
    tenant = factories.make_tenant()
    factories.put_location(tenant)
    begin(tenant)
    done: list[Any] = []

    def other() -> None:
        done.append(offboarding.work())
        connections.close_all()

    with transaction.atomic():
        Offboarding.objects.select_for_update().get()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)

    assert done == [0]
    assert statuses(tenant) == {"LOC-0001": ["AVAILABLE"]}


def test_offboarding_waits_for_what_ndw_rejects_until_it_is_tried_again(cpo, ndw):
    connection = fleet(cpo, ndw)
    begin(cpo)
    tasks.offboard()
    ndw.fail_next(2001, path="LOC-0002")
    push.drain()
    tasks.offboard()

    assert not is_over(cpo)
    assert acceptances.counts(connection) == (2, 1, 0, 0)

    Push.objects.filter(state="rejected").update(state="dirty")
    make_due(connection)
    push.drain()
    tasks.offboard()
    assert is_over(cpo)


def test_offboarding_waits_for_doubt_and_for_tariffs_on_their_way(cpo, ndw):
    connection = fleet(cpo, ndw)
    begin(cpo)
    tasks.offboard()
    push.drain()
    Push.objects.filter(location__ocpi_id="LOC-0001").update(doubt_until=timezone.now())
    Push.objects.exclude(tariff=None).update(state="dirty")

    assert acceptances.counts(connection) == (2, 0, 1, 1)
    tasks.offboard()
    assert not is_over(cpo)


def test_offboarding_production_decides_and_staging_alone_does_so_too(cpo, rival, ndw):
    fleet(cpo, ndw, "production")
    factories.connect_to_nowhere(cpo)  # staging, paused
    factories.put_location(rival)
    factories.connect_to_nowhere(rival)
    for tenant in (cpo, rival):
        begin(tenant)

    tasks.offboard()
    push.drain()
    tasks.offboard()

    assert (is_over(cpo), is_over(rival)) == (True, False)
    assert acceptances.progress(rival, timezone.now()).counts == (0, 0, 1, 0)


def test_offboarding_has_no_clock_and_lets_others_go_first(cpo, ndw):
    connection = fleet(cpo, ndw)
    begin(cpo)

    tasks.offboard()

    found = row(connection)
    assert (found.state, found.changed_at, found.priority, found.whole) == ("dirty", None, Push.Priority.BACKLOG, True)


def test_offboarding_without_a_connection_ends_with_the_next_complete_pull(cpo):
    factories.put_location(cpo)
    begin(cpo)
    Token.objects.create(tenant=None, purpose="pull", last_used_at=timezone.now())
    Crawl.objects.create(tenant=cpo, kind="location", finished_at=timezone.now())
    tasks.offboard()
    Crawl.objects.create(tenant=cpo, kind="location", finished_at=timezone.now())
    Crawl.objects.create(tenant=cpo, kind="tariff")
    tasks.offboard()
    assert not is_over(cpo)

    Crawl.objects.filter(kind="tariff").update(finished_at=timezone.now())
    tasks.offboard()

    assert is_over(cpo)
    summary, lines = acceptances.read(offboarding.proof(Offboarding.objects.get()).decode())
    assert dict(summary)["how NDW learnt it"].startswith("complete pull, ended 20")
    assert (lines[0][:3], lines[0][4:]) == (["LOC-0001", "1", "REMOVED"], [""] * 4)


def test_offboarding_that_ndw_never_saw_ends_at_once(cpo):
    factories.put_location(cpo)
    begin(cpo)

    tasks.offboard()

    assert is_over(cpo)
    summary, lines = acceptances.read(offboarding.proof(Offboarding.objects.get()).decode())
    assert (dict(summary)["how NDW learnt it"], lines[0][2]) == ("never connected", "never had it")


def test_offboarding_stays_open_while_the_rule_book_takes_a_location_no_more(cpo):
    factories.put_location(cpo)
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE ocpi_location SET body = convert_to(replace(convert_from(body, 'UTF8'), 'NLD', 'NL'), 'UTF8')"
        )
    begin(cpo)

    tasks.offboard()

    assert (is_over(cpo), offboarding.left(cpo, 5)) == (False, ["LOC-0001"])


def test_offboarding_proof_is_no_formula(cpo, ndw):
    cpo.name = '=HYPERLINK("http://evil.example")'
    cpo.save()
    factories.put_location(cpo, id="-1+1")
    begin(cpo)
    tasks.offboard()

    cells = list(csv.reader(offboarding.proof(Offboarding.objects.get()).decode().splitlines()))

    assert ["name", "'" + cpo.name] == cells[1][:2]
    assert cells[-1][0] == "'-1+1"
