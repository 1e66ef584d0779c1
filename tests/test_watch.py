"""The status watch: what is odd and what nearly is, how long a row lives, whom the digest tells, and how often."""

import datetime as dt
from typing import Any

import pytest
from django.core import mail
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ocpi import digests, tasks, watch
from ocpi.models import Location, Lookout, UploadHour, Version, Watched
from tenants.models import Tenant
from tests.documents import evse_body
from tests.factories import make_tenant, put_location

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def ago(age: dt.timedelta) -> str:
    return f"{timezone.now().astimezone(dt.UTC) - age:%Y-%m-%dT%H:%M:%SZ}"


def put(tenant: Tenant, name: str, *evses: tuple[str, dt.timedelta], **overrides: Any) -> Location:
    """Upload a Location with EVSEs of these statuses and ages."""
    bodies = []
    for number, (status, age) in enumerate(evses, 1):
        body = evse_body(
            uid=f"{name}-{number}",
            evse_id=f"NL*{tenant.party_id}*E{name}{number}",
            status=status,
            last_updated=ago(age),
        )
        body["connectors"][0]["last_updated"] = ago(age)
        bodies.append(body)
    latest = ago(min((age for _, age in evses), default=HOUR))
    put_location(tenant, **{"id": name, "evses": bodies, "last_updated": latest} | overrides)
    return Location.objects.get(tenant=tenant, ocpi_id=name)


def look() -> list[tuple[str, str, str]]:
    """Have every tenant looked at now; return (EVSE uid, or party of a fleet; kind; status) of all that is odd."""
    Lookout.objects.update(begun_at=None)
    assert watch.work(60) is False
    rows = Watched.objects.select_related("tenant").order_by("tenant_id", "kind", "evse_uid")
    return [(row.evse_uid or str(row.tenant), row.kind, row.status) for row in rows]


# --- What is odd -------------------------------------------------------------------------------------------------------


def test_charging_for_over_three_days_is_odd(cpo):
    put(cpo, "A", ("CHARGING", 3 * DAY + HOUR), ("CHARGING", 3 * DAY - HOUR), ("AVAILABLE", HOUR))

    assert look() == [("A-1", "charging", "CHARGING")]
    row = Watched.objects.get()
    assert (row.location.ocpi_id, row.since_at.isoformat(), row.changes) == (
        "A", Location.objects.get().document["evses"][0]["last_updated"].replace("Z", "+00:00"), 0,
    )  # fmt: skip


@pytest.mark.parametrize(("heartbeat_h", "found"), [(24, ["A-1"]), (26, []), (22, ["A-1", "A-2"])])
def test_unknown_is_odd_behind_the_tenants_own_heartbeat(cpo, heartbeat_h, found):
    Tenant.objects.update(heartbeat_h=heartbeat_h)
    put(cpo, "A", ("UNKNOWN", 25 * HOUR), ("UNKNOWN", 23 * HOUR), ("AVAILABLE", HOUR))

    assert look() == [(uid, "unknown", "UNKNOWN") for uid in found]


def test_silent_is_what_stays_still_for_a_month_while_the_others_move(cpo):
    put(cpo, "STILL", ("AVAILABLE", 31 * DAY), ("BLOCKED", 31 * DAY), ("RESERVED", 31 * DAY), ("AVAILABLE", 29 * DAY))
    put(cpo, "REST", *((status, 31 * DAY) for status in ("INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED")))
    put(cpo, "MOVES", ("AVAILABLE", HOUR))

    assert look() == [
        (f"STILL-{number}", "silent", status) for number, status in enumerate(("AVAILABLE", "BLOCKED", "RESERVED"), 1)
    ]


def test_evse_is_not_silent_where_nobody_moves(cpo):
    for number in range(3):
        put(cpo, f"STILL{number}", ("AVAILABLE", 31 * DAY))
    put(cpo, "MOVES", ("AVAILABLE", HOUR))

    assert look() == []


def test_evse_is_not_silent_before_a_longer_heartbeat(cpo):
    Tenant.objects.update(heartbeat_h=24 * 40)
    put(cpo, "STILL", ("AVAILABLE", 31 * DAY))
    put(cpo, "MOVES", ("AVAILABLE", HOUR))

    assert look() == []


def test_tenant_that_uploads_nothing_is_silent(cpo, rival):
    for tenant in (cpo, rival):
        put(tenant, "A", ("AVAILABLE", HOUR))
    Location.objects.update(received_at=timezone.now() - 25 * HOUR)
    UploadHour.objects.create(tenant=rival, hour=timezone.now() - 24 * HOUR, accepted=1)  # unchanged, so not in the row

    assert look() == [("NL-EXA", "silent", "")]


def test_fleet_in_which_nothing_changes_is_silent(cpo, rival):
    put(cpo, "A", *[("AVAILABLE", 25 * HOUR)] * 10, *[("CHARGING", 25 * HOUR)] * 10)
    put(rival, "A", *[("AVAILABLE", 25 * HOUR)] * 10, *[("CHARGING", 25 * HOUR)] * 9)

    assert look() == [("NL-EXA", "silent", "")]


def test_fleet_that_is_taken_off_while_it_is_looked_at_is_no_fault(cpo):
    put(cpo, "A", *[("AVAILABLE", 25 * HOUR)] * 20)
    Location.objects.update(publish=False)

    assert watch._silent_since(cpo, 20) is None


def flap(location: Location, uid: str, count: int, age: dt.timedelta = HOUR) -> None:
    at = timezone.now() - age
    versions = [
        Version(
            tenant=location.tenant, location=location, since_at=at, until_at=at, was_shown=True, evse_uid=uid, body=b""
        )
        for _ in range(count)
    ]
    Version.objects.bulk_create(versions)


def test_flapping_is_more_than_48_changes_in_a_day(cpo):
    location = put(cpo, "A", ("AVAILABLE", HOUR), ("CHARGING", HOUR), ("AVAILABLE", HOUR), ("REMOVED", HOUR))
    flap(location, "A-1", 49)
    flap(location, "A-2", 48)
    flap(location, "A-2", 10, 25 * HOUR)
    flap(location, "", 60)  # more changed than the status of one
    flap(location, "A-4", 60)

    assert look() == [("A-1", "flapping", "AVAILABLE")]
    assert Watched.objects.get().changes == 49


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"UNKNOWN": 20}, "UNKNOWN"),
        ({"CHARGING": 39, "AVAILABLE": 1}, "CHARGING"),
        ({"CHARGING": 38, "AVAILABLE": 2}, None),  # 95 % is not over
        ({"CHARGING": 19}, None),
        ({"CHARGING": 19, "REMOVED": 30}, None),
        ({"CHARGING": 20, "REMOVED": 30, "PLANNED": 30}, "CHARGING"),
        ({"AVAILABLE": 99}, None),
        ({"AVAILABLE": 100}, "AVAILABLE"),
        ({"AVAILABLE": 100, "CHARGING": 1}, None),
    ],
)
def test_uniform_is_a_whole_fleet_on_one_status(cpo, counts, status):
    put(cpo, "A", *[(name, HOUR) for name, count in counts.items() for _ in range(count)])

    assert look() == ([("NL-EXA", "uniform", status)] if status else [])


def test_withheld_is_looked_at_and_unpublished_is_not(cpo):
    put(cpo, "GAPS", ("UNKNOWN", 2 * DAY), energy_mix=None)
    put(cpo, "HIDDEN", ("UNKNOWN", 2 * DAY), publish=False)

    assert look() == [("GAPS-1", "unknown", "UNKNOWN")]


# --- How long a row lives ----------------------------------------------------------------------------------------------


def test_row_stays_with_its_time_while_it_is_true_and_goes_when_mended(cpo, rival):
    put(cpo, "A", ("CHARGING", 4 * DAY), ("UNKNOWN", 4 * DAY))
    put(rival, "B", ("UNKNOWN", 4 * DAY))
    look()
    found_at = timezone.now() - 2 * DAY
    Watched.objects.update(found_at=found_at)
    put(cpo, "A", ("CHARGING", HOUR), ("UNKNOWN", 3 * DAY))

    assert look() == [("A-2", "unknown", "UNKNOWN"), ("B-1", "unknown", "UNKNOWN")]
    row = Watched.objects.get(tenant=cpo)
    assert row.found_at == found_at
    assert row.since_at > timezone.now() - 3 * DAY - HOUR


def test_rows_go_with_publication_and_with_an_inactive_tenant(cpo, rival):
    put(cpo, "A", ("UNKNOWN", 4 * DAY))
    put(cpo, "B", ("UNKNOWN", 4 * DAY))
    put(rival, "C", ("UNKNOWN", 4 * DAY))
    assert len(look()) == 3

    put(cpo, "A", ("UNKNOWN", 3 * DAY), publish=False)
    Tenant.objects.filter(pk=rival.pk).update(is_active=False)

    assert look() == [("B-1", "unknown", "UNKNOWN")]


def test_flapping_and_fleet_rows_go_when_mended(cpo):
    location = put(cpo, "A", *[("UNKNOWN", HOUR)] * 20)
    flap(location, "A-3", 50)
    assert look() == [("A-3", "flapping", "UNKNOWN"), ("NL-EXA", "uniform", "UNKNOWN")]

    put(cpo, "A", *[("AVAILABLE", HOUR / 2)] * 20)
    Version.objects.update(until_at=timezone.now() - 25 * HOUR)

    assert look() == []


def test_look_goes_on_where_it_was_left_and_begins_once_an_hour(cpo, monkeypatch):
    monkeypatch.setattr(watch, "BATCH", 2)
    for name in "ABCDE":
        put(cpo, name, ("UNKNOWN", 2 * DAY))

    assert watch.work(0) is True
    assert watch._look_on(cpo) is True
    half = Watched.objects.count()
    begun_at = Lookout.objects.get().begun_at
    assert tasks.watch_statuses() is False

    assert (half, Watched.objects.count()) == (2, 5)
    assert (Lookout.objects.get().begun_at, Lookout.objects.get().counts) == (begun_at, {"UNKNOWN": 5})
    tasks.watch_statuses()
    assert Lookout.objects.get().begun_at == begun_at


def test_look_takes_as_many_queries_for_many_evses_as_for_one(cpo):
    counts = []
    for batch in range(2):
        for number in range(1 + batch * 8):
            put(cpo, f"L{batch}{number}", ("UNKNOWN", 2 * DAY), ("CHARGING", 4 * DAY))
        Lookout.objects.update(begun_at=None)
        with CaptureQueriesContext(database) as caught:
            look()
        counts.append(len(caught))

    assert counts[0] == counts[1]


# --- The digest --------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(db, settings) -> Tenant:
    """A tenant that wants the digest and has two odd EVSEs."""
    settings.PUBLIC_URL = "https://gateway.example"
    tenant = make_tenant("EXA", contact_email="ops@exa.example", has_digest=True)
    put(tenant, "A", ("CHARGING", 4 * DAY), ("UNKNOWN", 2 * DAY), ("AVAILABLE", HOUR))
    look()
    return tenant


def test_digest_says_how_much_and_which(reader):
    Watched.objects.filter(kind="charging").update(found_at=timezone.now() - 2 * DAY)

    assert tasks.mail_digests() == 1

    [message] = mail.outbox
    assert (message.to, message.subject) == (["ops@exa.example"], "Statusbewaking van NL-EXA: 2 om naar te kijken")
    english = message.body.split("English\n")[1]
    assert "Statuses of CPO EXA (NL-EXA) that are hard to believe, as of 20" in english
    assert "- Charging for over three days: 1 (0 of them new within a day)" in english
    assert "- Unknown for longer than the heartbeat: 1 (1 of them new within a day)" in english
    assert "Unknown for longer than the heartbeat, A / A-2, UNKNOWN, since 20" in english
    assert f"\n  https://gateway.example/admin/ocpi/location/{Location.objects.get().pk}/change/" in english
    assert "A-3" not in english


@pytest.mark.parametrize(("country", "first"), [("NL", "Nederlands"), ("BE", "Nederlands"), ("DE", "English")])
def test_digest_is_in_two_languages_dutch_first_where_it_is_spoken(reader, country, first):
    Tenant.objects.update(country_code=country)

    digests.send()

    body = mail.outbox[0].body
    assert body.startswith(f"{first}\n")
    assert (body.count("Nederlands\n"), body.count("English\n"), body.count("A / A-2")) == (1, 1, 2)


def test_digest_is_mailed_once_a_day(reader):
    assert [tasks.mail_digests() for _ in range(3)] == [1, 0, 0]

    Lookout.objects.update(mailed_on=timezone.localdate() - DAY)

    assert tasks.mail_digests() == 1
    assert len(mail.outbox) == 2


def test_digest_of_two_beats_is_mailed_once(reader):
    stale = Lookout.objects.select_related("tenant").get()
    digests.send()

    assert digests._send(stale, timezone.localdate()) is False
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("change", [{"has_digest": False}, {"contact_email": ""}, {"is_active": False}])
def test_digest_is_only_for_who_asked_for_it(reader, change):
    Tenant.objects.update(**change)

    assert (digests.send(), mail.outbox) == (0, [])


def test_digest_is_not_mailed_when_nothing_is_odd_nor_later_that_day(reader):
    rows = list(Watched.objects.all())
    Watched.objects.all().delete()
    assert digests.send() == 0

    Watched.objects.bulk_create(rows)

    assert (digests.send(), mail.outbox) == (0, [])


def test_digest_that_cannot_be_mailed_is_tried_again(reader, settings, caplog):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert digests.send() == 0
    assert "NL-EXA: digest not mailed" in caplog.text
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

    assert (digests.send(), len(mail.outbox)) == (1, 1)


def test_digest_names_fifty_and_leads_to_the_rest(reader):
    put(reader, "B", *[("UNKNOWN", 2 * DAY)] * 60)
    look()

    digests.send()

    english = mail.outbox[0].body.split("English\n")[1]
    assert (english.count("/change/"), english.count("\n- ")) == (49, 50 + 3)  # one of the 50 is the fleet
    assert "Unknown for longer than the heartbeat: 61 " in english
    assert "The whole fleet on one status, the whole fleet, UNKNOWN" in english
    assert "All of them: https://gateway.example/admin/ocpi/watched/" in english
