"""Time travel: each way to write leaves the version it replaced, and the walk back gives each byte for byte."""

import datetime as dt
import random
from typing import Any

import orjson
import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ocpi import history, rules, store, tasks
from ocpi.errors import Refused, Stale
from ocpi.models import Location, Tariff, Version
from tests.documents import connector_body, evse_body, location_body, tariff_body
from tests.factories import put_location, put_tariff

DAY = dt.timedelta(days=1)
LATER = "2026-03-02T10:00:00Z"


def two_evses(**overrides: Any) -> dict:
    """Return a Location with EVSE-1 and EVSE-2."""
    return location_body(evses=[evse_body(), evse_body(uid="EVSE-2", evse_id="NL*EXA*E1001*2")]) | overrides


def judged(*documents: dict) -> list[rules.Verdict]:
    return [rules.check("location", document) for document in documents]


# --- The codec ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_codec_restores_any_body_from_any_other(seed):
    chance = random.Random(seed)
    size = chance.choice([0, 1, 500, history.BLOCK, history.BLOCK + 1, 200_000])
    old = chance.randbytes(size) if seed % 2 else b'{"uid":"EVSE","status":"AVAILABLE"},' * (size // 36)
    new = old[: size // 3] + chance.randbytes(chance.randrange(40)) + old[size // 3 :] if seed % 3 else b"{}"

    kept, is_whole = history.pack(old, new)

    assert history.unpack(kept, None if is_whole else new) == old


def test_codec_keeps_a_changed_status_of_a_large_location_in_few_bytes():
    before = orjson.dumps([evse_body(uid=f"EVSE-{number}") for number in range(300)])
    after = before.replace(b"AVAILABLE", b"OUTOFORDER", 1)

    sizes = [len(kept) for kept, is_whole in (history.pack(before, after) for _ in range(50)) if not is_whole]

    assert len(before) > 100_000
    assert max(sizes) < len(before) / 40


# --- Every way to write ------------------------------------------------------------------------------------------------


def _patch_location(cpo):
    store.patch_location(cpo, "LOC-0001", {"name": "Stadsplein", "last_updated": LATER})


def _status(cpo):
    store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "CHARGING", "last_updated": LATER})


def _put_evse(cpo):
    store.put_evse(cpo, "LOC-0001", evse_body(status="RESERVED", last_updated=LATER))


def _whole_with_one_status(cpo):
    evses = [evse_body(status="CHARGING", last_updated=LATER), evse_body(uid="EVSE-2", evse_id="NL*EXA*E1001*2")]
    put_location(cpo, evses=evses, last_updated=LATER)


def _two_statuses(cpo):
    evses = [evse_body(status="CHARGING", last_updated=LATER)]
    evses.append(evse_body(uid="EVSE-2", evse_id="NL*EXA*E1001*2", status="CHARGING", last_updated=LATER))
    put_location(cpo, evses=evses, last_updated=LATER)


def _only_a_time(cpo):
    store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "AVAILABLE", "last_updated": LATER})


def _put_connector(cpo):
    store.put_connector(cpo, "LOC-0001", "EVSE-1", connector_body(max_amperage=16, last_updated=LATER))


def _patch_connector(cpo):
    store.patch_connector(cpo, "LOC-0001", "EVSE-1", "1", {"max_amperage": 16, "last_updated": LATER})


def _lacks_an_evse(cpo):
    put_location(cpo, last_updated=LATER)


def _remove_all(cpo):
    store.remove_evses(cpo, "LOC-0001")


def _unpublish(cpo):
    store.patch_location(cpo, "LOC-0001", {"publish": False, "last_updated": LATER})


def _bulk(cpo):
    store.put_many("location", cpo, judged(two_evses(name="Bulk", last_updated=LATER)))


def _bulk_with_others(cpo):
    others = [location_body(id=f"NEW-{number}", evses=None) for number in range(3)]
    store.put_many("location", cpo, judged(two_evses(name="Bulk", last_updated=LATER), *others))


WAYS = {
    _patch_location: "", _status: "EVSE-1", _put_evse: "EVSE-1", _whole_with_one_status: "EVSE-1", _two_statuses: "",
    _only_a_time: "", _put_connector: "", _patch_connector: "", _lacks_an_evse: "EVSE-2", _remove_all: "",
    _unpublish: "", _bulk: "", _bulk_with_others: "",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_change_a_location_leaves_what_it_was(cpo, way):
    put_location(cpo, evses=two_evses()["evses"])
    before = Location.objects.get()

    way(cpo)

    after, kept = Location.objects.get(pk=before.pk), Version.objects.get()
    (old,) = history.versions(after)
    assert (kept.tenant_id, kept.location_id, kept.tariff_id) == (cpo.pk, before.pk, None)
    assert (old.body, old.is_shown, old.evse_uid) == (bytes(before.body), True, WAYS[way])
    assert (old.since_at, old.until_at) == (before.received_at, after.received_at)
    assert bytes(after.body) != old.body


def test_a_status_is_noted_of_a_withheld_location_too(cpo):
    put_location(cpo, energy_mix=None)

    _status(cpo)

    assert [(one.evse_uid, one.was_shown) for one in Version.objects.all()] == [("EVSE-1", False)]


def test_many_at_once_leave_one_version_each(cpo):
    documents = [location_body(id=f"LOC-{number}", evses=None) for number in range(40)]
    store.put_many("location", cpo, judged(*documents))
    before = {one.ocpi_id: (bytes(one.body), one.received_at) for one in Location.objects.all()}

    changed = [one | {"name": f"{one['id']} B", "last_updated": LATER} for one in documents[:30]] + documents[30:]
    store.put_many("location", cpo, judged(*changed))

    left = {one.ocpi_id: history.versions(one) for one in Location.objects.all()}
    expected = {f"LOC-{number}": [before[f"LOC-{number}"]] if number < 30 else [] for number in range(40)}
    assert {key: [(old.body, old.since_at) for old in found] for key, found in left.items()} == expected
    assert Version.objects.count() == 30


def test_many_tariffs_at_once_leave_one_version_each(cpo):
    verdicts = [rules.check("tariff", tariff_body(id=f"T-{number}")) for number in range(25)]
    store.put_many("tariff", cpo, verdicts)
    changed = [rules.check("tariff", tariff_body(id=f"T-{n}", currency="NOK", last_updated=LATER)) for n in range(25)]

    store.put_many("tariff", cpo, changed)

    assert {history.versions(one)[0].document["currency"] for one in Tariff.objects.all()} == {"EUR"}
    assert Version.objects.filter(tariff__isnull=False, location=None).count() == 25


def test_a_tariff_that_is_deleted_and_brought_back_was_gone_in_between(cpo):
    put_tariff(cpo)
    store.delete_tariff(cpo, "ADHOC-1")
    put_tariff(cpo, last_updated=LATER)
    tariff = Tariff.objects.get()

    gone, first = history.versions(tariff)

    assert (first.is_shown, gone.is_shown, history.present(tariff).is_shown) == (True, False, True)
    assert first.body == gone.body != bytes(tariff.body)
    assert (first.until_at, gone.until_at) == (gone.since_at, tariff.received_at)


def test_a_new_edition_that_shows_a_location_leaves_that_it_was_not(cpo):
    put_location(cpo)
    Location.objects.update(is_shown=False, gaps=["N-energy_mix"], edition="old")

    store.recheck("location", cpo, "LOC-0001")
    store.recheck("location", cpo, "LOC-0001")

    location = Location.objects.get()
    (old,) = history.versions(location)
    assert (location.is_shown, old.is_shown, old.body) == (True, False, bytes(location.body))
    assert history.at(location, timezone.now()).is_shown


def test_what_changes_nothing_leaves_nothing(cpo):
    put_location(cpo)
    put_tariff(cpo)

    put_location(cpo)
    put_tariff(cpo)
    put_location(cpo, x_colour="green")  # kept apart, not served
    store.put_many("location", cpo, judged(location_body()))
    store.put_many("location", cpo, judged(location_body(name="Dry", last_updated=LATER)), is_dry_run=True)
    store.try_out("location", cpo, location_body(name="Dry", last_updated=LATER))
    with pytest.raises(Refused):
        put_location(cpo, energy_mix=None, last_updated=LATER)
    with pytest.raises(Stale):
        store.patch_location(cpo, "LOC-0001", {"name": "Old", "last_updated": "2026-03-01T00:00:00Z"})

    assert Version.objects.count() == 0


# --- The walk back -----------------------------------------------------------------------------------------------------


def _grown(chance: random.Random, number: int, document: dict) -> dict:
    """Return the document changed somewhere, also where it grows and shrinks past a block."""
    stamp = f"2026-03-02T11:{number // 60:02}:{number % 60:02}Z"
    document = orjson.loads(orjson.dumps(document)) | {"last_updated": stamp}
    if number % 7 == 0:
        document["name"] = f"Plein {chance.random()}"
    elif number % 31 == 0:
        document["directions"] = [{"language": "nl", "text": chance.randbytes(chance.randrange(250)).hex()}]
    evse = chance.choice(document["evses"])
    evse["status"] = chance.choice(["AVAILABLE", "CHARGING", "OUTOFORDER"])
    evse["last_updated"] = stamp
    return document


@pytest.mark.parametrize("evses", [2, 90])
def test_two_hundred_versions_come_back_byte_for_byte(cpo, evses):
    chance = random.Random(evses)
    document = location_body(evses=[evse_body(uid=f"E{n}", evse_id=f"NL*EXA*E{n}") for n in range(evses)])
    put_location(cpo, **document)
    was = []
    for number in range(200):
        was.insert(0, bytes(Location.objects.get().body))
        document = _grown(chance, number, document)
        put_location(cpo, **document)
    location = Location.objects.get()

    found = history.versions(location, limit=200)

    assert [one.body for one in found] == was
    for number in (0, 1, 77, 150, 199):
        one = found[number]
        assert history.version(location, one.id) == one
        assert history.at(location, one.until_at - dt.timedelta(microseconds=1)) == one
        following = found[number - 1] if number else history.present(location)
        assert history.at(location, one.until_at) == history.next_of(location, one) == following
    assert history.versions(location, before=found[99].id, limit=3) == found[100:103]


def test_a_version_is_found_in_few_queries_and_no_longer_walk_than_to_a_whole_one(cpo):
    put_location(cpo)
    for number in range(60):
        store.patch_location(cpo, "LOC-0001", {"name": f"N{number}", "last_updated": f"2026-03-02T10:00:{number:02}Z"})
    location = Location.objects.get()
    keys = list(Version.objects.order_by("pk").values_list("pk", flat=True))
    middle = Version.objects.get(pk=keys[30])
    whole = history._deflate(history.version(location, middle.pk).body, b"")
    Version.objects.filter(pk=middle.pk).update(is_whole=True, body=whole)
    Version.objects.filter(pk__gt=middle.pk).update(body=b"not needed")

    with CaptureQueriesContext(database) as caught:
        found = history.version(location, keys[10])

    assert (found.document["name"], len(caught)) == ("N9", 2)


def test_before_the_first_upload_and_beyond_ninety_days_nothing_is_known(cpo):
    put_location(cpo)
    location = Location.objects.get()

    assert history.at(location, location.received_at - dt.timedelta(seconds=1)) is None
    assert history.at(location, location.received_at) == history.present(location)
    Location.objects.update(received_at=timezone.now() - 200 * DAY)
    location = Location.objects.get()
    assert history.at(location, timezone.now() - 91 * DAY) is None
    assert history.at(location, timezone.now() - 89 * DAY) == history.present(location)


def test_an_upload_that_changed_nothing_served_leaves_no_hole(cpo):
    put_location(cpo)
    store.patch_location(cpo, "LOC-0001", {"name": "B", "last_updated": LATER})
    between = timezone.now()
    put_location(cpo, name="B", last_updated=LATER, x_colour="green")
    store.patch_location(cpo, "LOC-0001", {"name": "C", "last_updated": "2026-03-02T11:00:00Z"})

    assert history.at(Location.objects.get(), between).document["name"] == "B"


def test_a_version_is_what_it_was_though_an_upload_came_since_the_object_was_read(cpo):
    put_location(cpo)
    before = Location.objects.get()
    for status in ("OUTOFORDER", "CHARGING"):
        store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": status, "last_updated": "2026-03-02T12:00:00Z"})

    assert history.versions(before)[-1].body == bytes(before.body)


def test_versions_are_kept_for_ninety_days_and_the_rest_needs_none_of_the_old(cpo):
    put_location(cpo)
    for number in range(6):
        store.patch_location(cpo, "LOC-0001", {"name": f"N{number}", "last_updated": f"2026-03-02T10:00:0{number}Z"})
    now = timezone.now()
    for age, pk in zip(
        [93, 92, 91, 89, 1, 0], Version.objects.order_by("pk").values_list("pk", flat=True), strict=True
    ):
        Version.objects.filter(pk=pk).update(until_at=now - age * DAY)

    assert tasks.prune_versions() == 3
    assert tasks.prune_versions() == 0

    assert [one.document["name"] for one in history.versions(Location.objects.get())] == ["N4", "N3", "N2"]


# --- Differences -------------------------------------------------------------------------------------------------------


def test_differences_name_children_and_do_not_count_them():
    before = two_evses(name="A")
    after = two_evses(city="Zeist")
    after["evses"].reverse()
    after["evses"][1]["connectors"] = [connector_body(id="2"), connector_body(max_voltage=400)]
    after["evses"].insert(0, evse_body(uid="a/b~"))
    del after["energy_mix"], before["operator"]["website"]

    found = {one.path: one for one in history.differences(before, after)}

    assert list(found) == [
        "/name", "/city", "/evses/a~1b~0", "/evses/EVSE-1/connectors/2", "/evses/EVSE-1/connectors/1/max_voltage",
        "/operator/website", "/energy_mix",
    ]  # fmt: skip
    assert (found["/city"].before, found["/city"].after) == ("Utrecht", "Zeist")
    assert (found["/evses/a~1b~0"].is_added, found["/energy_mix"].is_removed) == (True, True)
    assert (found["/evses/EVSE-1/connectors/1/max_voltage"].before, found["/operator/website"].is_added) == (230, True)
    assert history.differences(before, before) == []
