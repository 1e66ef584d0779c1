"""NDW's nine steps: what evidence each shows by itself, who may be believed without, what a tick keeps."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ocpi import evidence, onboarding
from ocpi.models import Crawl, Push
from ocpi.onboarding import State, Step
from tenants.models import Connection, ConnectionStep, OAuthClient, ServiceAccount, Tenant, Token
from tests import factories
from tests.minutes import attempt, connect

AT = dt.datetime(2026, 11, 3, 9, 5, tzinfo=dt.UTC)  # 10:05 in Amsterdam
Arrange = Callable[[Tenant], Any]


def step(tenant: Tenant, number: int) -> Step:
    return onboarding.steps(evidence.read(tenant))[number - 1]


def known(tenant: Tenant, number: int) -> tuple[State, str]:
    """Return what is known of a step."""
    found = step(tenant, number)
    return found.state, "; ".join(found.evidence.words)


# --- Arranging ---------------------------------------------------------------------------------------------------------


def credential(used: bool, *, everybody: bool = False, **fields: Any) -> Arrange:
    def arrange(tenant: Tenant) -> None:
        Token(tenant=None if everybody else tenant, purpose="pull", **fields).issue()
        Token.objects.update(created_at=AT, last_used_at=AT + dt.timedelta(hours=1) if used else None)

    return arrange


def client(tenant: Tenant) -> None:
    OAuthClient(tenant=tenant).issue()
    OAuthClient.objects.update(created_at=AT, last_used_at=AT)


def uploaded(tenant: Tenant) -> None:
    Token(tenant=tenant, purpose="upload").issue()


def revoked(tenant: Tenant) -> None:
    credential(True)(tenant)
    Token.objects.get().revoke()


def locations(*bodies: dict[str, Any]) -> Arrange:
    return lambda tenant: [factories.put_location(tenant, id=f"L{n}", **body) for n, body in enumerate(bodies)]


def tariffs(*bodies: dict[str, Any]) -> Arrange:
    return lambda tenant: [factories.put_tariff(tenant, id=f"T{n}", **body) for n, body in enumerate(bodies)]


def crawled(*crawls: tuple[str, str]) -> Arrange:
    """Crawls of (kind, environment of the credential); one of another tenant proves nothing."""

    def arrange(tenant: Tenant) -> None:
        for kind, environment in crawls:
            token = Token(tenant=tenant, purpose="pull", environment=environment)
            token.issue()
            Crawl.objects.create(tenant=tenant, kind=kind, token=token, finished_at=AT, objects_count=1234)
        Crawl.objects.create(tenant=factories.make_tenant("OTH"), kind="location", finished_at=AT)

    return arrange


def connected(environment: str, *, token: bool = False) -> Arrange:
    def arrange(tenant: Tenant) -> None:
        connect(tenant, environment)
        if token:
            ServiceAccount.objects.update(access_token_expires_at=AT)

    return arrange


def accepted(environment: str, *requests: tuple[str, str], outcome: str = "delivered") -> Arrange:
    """Requests of (kind, method) that NDW answered so."""

    def arrange(tenant: Tenant) -> None:
        made = connect(tenant, environment)
        factories.put_location(tenant)
        factories.put_tariff(tenant)
        for kind, method in requests:
            push = Push.objects.get(**{"connection": made, f"{kind}__isnull": False})
            Push.objects.filter(pk=push.pk).update(accepted_at=AT, priority=4 if method == "DELETE" else 1)
            attempt(push, None, 0, method=method, outcome=outcome, started_at=AT).save()

    return arrange


def busy(tenant: Tenant) -> None:
    """One PATCH with a clock, of an object of which many were accepted since; the oldest PUT has none."""
    made = connect(tenant, "staging")
    factories.put_location(tenant)
    push = Push.objects.get(connection=made)
    Push.objects.update(accepted_at=timezone.now())
    attempt(push, None, 0, method="PUT", started_at=AT).save()
    for n in range(1, 40):
        attempt(push, AT, 0, method="PATCH", started_at=AT + dt.timedelta(minutes=n)).save()


BOTH = (("location", "staging"), ("tariff", "staging"))
CASES = [
    (1, None, State.NOTHING, "No pull credential has been issued."),
    (1, uploaded, State.NOTHING, "No pull credential has been issued."),
    (1, credential(False), State.UNDER_WAY, "Issued on 3 Nov 2026 10:05; never used yet"),
    (1, credential(True), State.READY, "Issued on 3 Nov 2026 10:05; last used on 3 Nov 2026 11:05"),
    (1, credential(True, everybody=True), State.READY, "Issued on 3 Nov 2026 10:05; last used on 3 Nov 2026 11:05"),
    (1, client, State.READY, "Issued on 3 Nov 2026 10:05; last used on 3 Nov 2026 10:05"),
    (1, revoked, State.READY, "Issued on 3 Nov 2026 10:05; last used on 3 Nov 2026 11:05; none is live now"),
    (2, None, State.NOTHING, "No published Location yet."),
    (2, locations({"publish": False}), State.NOTHING, "No published Location yet."),
    (2, locations({}), State.READY, "100 % of 1 published Locations are compliant"),
    (
        2,
        locations({}, {"energy_mix": None}, {"energy_mix": None, "opening_times": None}, {"publish": False}),
        State.UNDER_WAY,
        "33 % of 3 published Locations are compliant; missing most: energy_mix (2), opening_times (1)",
    ),
    (3, None, State.NOTHING, "No Tariff yet."),
    (3, tariffs({}, {}), State.READY, "100 % of 2 Tariffs have no warning"),
    (
        3,
        tariffs({}, {"colour": "red"}),
        State.UNDER_WAY,
        "50 % of 2 Tariffs have no warning; most often: S-unknown (1)",
    ),
    (4, None, State.NOTHING, "No list was pulled to its last page."),
    (4, crawled(("location", "staging")), State.UNDER_WAY, "Locations: complete on 3 Nov 2026 10:05 (1,234 objects)"),
    (
        4,
        crawled(*BOTH),
        State.READY,
        "Locations: complete on 3 Nov 2026 10:05 (1,234 objects); Tariffs: complete on 3 Nov 2026 10:05 (1,234 objects)",
    ),
    (4, crawled(("location", "production"), ("tariff", "production")), State.NOTHING, None),
    (4, crawled(("location", ""), ("tariff", "")), State.READY, None),
    (5, crawled(*BOTH), State.NOTHING, "No list was pulled to its last page."),
    (5, crawled(("location", ""), ("tariff", "production")), State.READY, None),
    (6, None, State.NOTHING, "No connection to staging."),
    (6, connected("production", token=True), State.NOTHING, "No connection to staging."),
    (6, connected("staging"), State.UNDER_WAY, "Connected; no access token yet"),
    (
        6,
        connected("staging", token=True),
        State.READY,
        "Connected; NDW issued an access token",
    ),
    (
        6,
        accepted("staging", ("tariff", "PUT")),
        State.READY,
        "Connected; a request was accepted on 3 Nov 2026 10:05",
    ),
    (7, None, State.NOTHING, "no PUT accepted yet; no PATCH accepted yet"),
    (
        7,
        accepted("staging", ("location", "PUT")),
        State.UNDER_WAY,
        "PUT accepted on 3 Nov 2026 10:05; no PATCH accepted yet",
    ),
    (7, accepted("staging", ("location", "PUT"), ("location", "PATCH")), State.READY, None),
    (7, accepted("staging", ("location", "PUT"), ("location", "PATCH"), outcome="rejected"), State.NOTHING, None),
    (7, accepted("staging", ("tariff", "PUT"), ("tariff", "DELETE")), State.NOTHING, None),
    (7, accepted("production", ("location", "PUT"), ("location", "PATCH")), State.NOTHING, None),
    (7, busy, State.READY, "PUT accepted on 3 Nov 2026 10:05; PATCH accepted on 3 Nov 2026 10:44"),
    (8, accepted("staging", ("location", "PUT")), State.NOTHING, "no PUT accepted yet; no DELETE accepted yet"),
    (
        8,
        accepted("staging", ("tariff", "DELETE")),
        State.UNDER_WAY,
        "no PUT accepted yet; DELETE accepted on 3 Nov 2026 10:05",
    ),
    (8, accepted("staging", ("tariff", "PUT"), ("tariff", "DELETE")), State.READY, None),
    (9, None, State.NOTHING, "No connection to production."),
    (9, accepted("staging", ("location", "PUT")), State.NOTHING, "No connection to production."),
    (
        9,
        connected("production", token=True),
        State.UNDER_WAY,
        "Connected; nothing accepted yet",
    ),
    (
        9,
        accepted("production", ("location", "PUT")),
        State.READY,
        "Connected; a request was accepted on 3 Nov 2026 10:05",
    ),
]


@pytest.mark.parametrize(("number", "arrange", "state", "words"), CASES)
def test_step_shows_its_evidence(cpo, number, arrange, state, words):
    if arrange:
        arrange(cpo)

    found = known(cpo, number)

    assert found == (state, words or found[1])


def test_steps_are_nine_in_order_and_a_retired_connection_is_none(cpo):
    connected("staging", token=True)(cpo)
    Connection.objects.update(is_retired=True)

    assert [one.number for one in onboarding.steps(evidence.read(cpo))] == list(range(1, 10))
    assert known(cpo, 6) == (State.NOTHING, "No connection to staging.")


# --- Ticking -----------------------------------------------------------------------------------------------------------


def test_tick_without_evidence_wants_a_note(cpo):
    boss, facts = User.objects.create_user("boss"), evidence.read(cpo)

    with pytest.raises(onboarding.NoteWanted):
        onboarding.tick(step(cpo, 2), facts, boss, "")
    assert ConnectionStep.objects.count() == 0
    assert onboarding.tick(step(cpo, 2), facts, boss, "NDW mailed it")

    kept = ConnectionStep.objects.get()
    assert (kept.tenant, kept.number, kept.done_by, kept.note) == (cpo, 2, boss, "NDW mailed it")
    assert (step(cpo, 2).state, step(cpo, 2).ticked) == (State.TICKED, kept)


def test_tick_with_evidence_wants_none_and_the_first_one_stays(cpo, rival):
    boss, other = User.objects.create_user("boss"), User.objects.create_user("other")
    factories.put_location(cpo)

    done = [onboarding.tick(step(cpo, 2), evidence.read(cpo), user, "") for user in (boss, other)]

    assert (done, ConnectionStep.objects.get().done_by) == ([True, False], boss)
    assert step(rival, 2).ticked is None
    assert [onboarding.untick(step(cpo, 2), evidence.read(one)) for one in (rival, cpo, cpo)] == [False, True, False]
    assert step(cpo, 2).state == State.READY
