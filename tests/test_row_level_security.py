"""The second lock: inside `tenant.transaction()` the database itself shows one tenant's rows only.

Source: reliability C24, P15.
"""

import json
import re
import tempfile

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db.models import ForeignKey
from django.db.utils import IntegrityError, ProgrammingError
from django.test import Client

from ocpi import intake
from ocpi.models import Import, Location, Push, Tariff
from tenants.models import Tenant, Token
from tests import factories
from tests.documents import evse_body, location_body

OWNED = [
    model
    for model in apps.get_models()
    if model._meta.app_label in ("ocpi", "tenants")
    and any(isinstance(field, ForeignKey) and field.name == "tenant" for field in model._meta.fields)
]


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]


@pytest.fixture
def two(db) -> tuple[Tenant, Tenant]:
    """Two tenants with one of everything that uploads make."""
    both = factories.make_tenant("EXA"), factories.make_tenant("RIV")
    for tenant in both:
        factories.connect_to_nowhere(tenant)
        factories.make_token(tenant)
        factories.put_tariff(tenant)
        factories.put_location(tenant)
        intake.receive(tenant, "location", [b"{}"])
    return both


def test_every_table_of_a_tenant_is_locked_and_no_other_is_open(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relrowsecurity")
        locked = {name for (name,) in cursor}
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND has_table_privilege('gateway_tenant', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
        )
        opened = {name for (name,) in cursor}
        cursor.execute("SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'gateway_tenant'")
        role = cursor.fetchone()

    assert locked == {model._meta.db_table for model in OWNED} | {"tenants_tenant"}
    assert opened == locked
    assert role == (False, False, False)


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__name__)
def test_confined_sees_own_rows_only(two, model):
    tenant, rival = two
    owner_sees = model.objects.filter(tenant=rival).count()

    with tenant.transaction():
        own, foreign = model.objects.count(), model.objects.filter(tenant=rival).count()
        changed = model.objects.filter(tenant=rival).update(tenant=tenant)
        deleted = count(f"{model._meta.db_table} WHERE tenant_id = {rival.pk}")

    assert (foreign, changed, deleted) == (0, 0, 0)
    assert own == model.objects.filter(tenant=tenant).count()
    assert model.objects.filter(tenant=rival).count() == owner_sees
    if model in (Location, Tariff, Push, Token, Import):
        assert own == owner_sees >= 1


def test_confined_cannot_write_for_another(two):
    tenant, rival = two
    row = Location.objects.filter(tenant=tenant)

    for attempt in (
        lambda: row.update(tenant=rival),
        lambda: Location.objects.create(tenant=rival, ocpi_id="X", body=b"{}", last_updated="2026-01-01T00:00:00Z"),
    ):
        with pytest.raises(ProgrammingError, match="row-level security"), tenant.transaction():
            attempt()

    assert Location.objects.filter(tenant=rival).count() == 1


def test_role_without_a_tenant_sees_nothing(two):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE gateway_tenant")
        seen = {model.__name__: model.objects.count() for model in OWNED}
        cursor.execute("RESET ROLE")

    assert set(seen.values()) == {0}


@pytest.mark.parametrize("table", ["auth_user", "django_session", "tenants_serviceaccount"])
def test_confined_has_no_business_elsewhere(two, table):
    with pytest.raises(ProgrammingError, match="permission denied"), two[0].transaction():
        count(table)


def test_lock_ends_with_its_transaction_however_that_ends(transactional_db):
    tenant, rival = factories.make_tenant("EXA"), factories.make_tenant("RIV")

    def who() -> tuple[int, int]:
        return count("pg_roles WHERE rolname = current_user AND rolname = 'gateway_tenant'"), Tenant.objects.count()

    with tenant.transaction():
        assert who() == (1, 1)
        with tenant.transaction():
            assert who() == (1, 1)
        assert who() == (1, 1)
    assert who() == (0, 2)
    with pytest.raises(IntegrityError), tenant.transaction():
        Tenant.objects.filter(pk=tenant.pk).update(name=None)
    assert who() == (0, 2)
    with transaction.atomic():
        with rival.transaction():
            assert who() == (1, 1)
        assert who() == (0, 2)


def test_shared_evse_ids_are_found_past_the_lock_and_name_nobody(two):
    tenant, rival = two
    factories.put_location(rival, id="THEIRS", evses=[evse_body(uid="X", evse_id="NL*SHA*E1")])

    outcome = factories.put_location(tenant, id="MINE", evses=[evse_body(uid="Y", evse_id="NL*SHA*E1")])

    told = {finding.broken.name: finding.message for finding in outcome.findings if finding.path == "/evses/0/evse_id"}
    assert sorted(told) == ["evse_id_at_another_party", "evse_id_of_another_operator"]
    assert not re.search("RIV|THEIRS", " ".join(told.values()))


# --- Every request ------------------------------------------------------------------------------------------------------


def steps(trace: str) -> list[tuple[str, str]]:
    """Return what a libpq trace says was sent: (`statement`, its text) or (`role`, its name), in order."""
    found = []
    for entry in re.split(
        r"\n?^\d{4}-\d\d-\d\d [\d:.]+\tF\t\d+\t|\n?^\d{4}-\d\d-\d\d [\d:.]+\tB.*$", trace, flags=re.M
    ):
        kind, _, text = entry.partition("\t")
        if role := re.search(r"'(gateway_tenant|none)'", text) if kind == "Bind" else None:
            found.append(("role", role[1]))
        elif kind in ("Parse", "Query"):
            found.append(("statement", text))
    return found


REQUESTS = [
    ("GET", "/ocpi/sender/NL/EXA/2.2.1/locations"),
    ("GET", "/ocpi/sender/NL/EXA/2.2.1/locations?limit=1&offset=7"),
    ("GET", "/ocpi/sender/NL/EXA/2.2.1/locations/LOC-0001"),
    ("GET", "/ocpi/sender/NL/EXA/2.2.1/tariffs"),
    ("GET", "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"),
    ("GET", "/ocpi/receiver/2.2.1/tariffs/NL/EXA/ADHOC-1"),
    ("PUT", "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"),
    ("PUT", "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001/EVSE-1"),
    ("DELETE", "/ocpi/receiver/2.2.1/tariffs/NL/EXA/ADHOC-1"),
    ("GET", "/api/v1/problems"),
    ("GET", "/api/v1/deliveries?id=LOC-0001"),
    ("GET", "/api/v1/locations"),
    ("GET", "/api/v1/tariffs"),
    ("POST", "/api/v1/validate?kind=location"),
    ("POST", "/api/v1/imports?kind=locations"),
    ("GET", "/api/v1/imports"),
    ("GET", "/api/v1/imports/{import}"),
    ("GET", "/api/v1/imports/{import}/results"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_no_request_touches_objects_outside_the_lock(two, method, path):
    purpose = "pull" if "/sender/" in path else "upload"
    token, one = factories.make_token(two[0], purpose), Import.objects.filter(tenant=two[0]).first()
    body = evse_body() if path.endswith("EVSE-1") else location_body(party_id="EXA")
    browser = Client(headers={"Authorization": f"Token {token}"})
    pgconn, connection.connection.prepare_threshold = connection.connection.pgconn, None  # so that all texts are in it
    with tempfile.NamedTemporaryFile("w+") as trace:
        pgconn.trace(trace.fileno())
        response = browser.generic(method, path.format(**{"import": one.pk}), json.dumps(body), "application/json")
        b"".join(response)
        pgconn.untrace()
        trace.seek(0)
        sent = steps(trace.read())
    connection.connection.prepare_threshold = 5

    role, texts = "none", []
    for kind, text in sent:
        if kind == "role":
            role = text
        elif re.search(r"\bocpi_(location|tariff|push|import|version|showncount)", text):
            texts.append((role, text[:200]))
    assert response.status_code < 500
    assert texts
    assert [text for role, text in texts if role == "none"] == []
