"""Everything is keyed by tenant: partitioning by tenant, or spreading tenants over machines, needs no other tables.

What is read is the catalogue of the migrated database, not the models. The one exception is the primary key of every table: it
is `id` alone, as Django wants it, and would become (tenant_id, id) that day, which is tried here on the largest tables.
Tables of `tenants` stay whole, or on every machine ("reference tables"): a caller is looked up in them before his tenant is
known.
"""

import importlib

from django.db import connection

from ocpi import imports, intake, push
from ocpi.models import Import, Location, Push, PushAttempt, Tariff, Version
from tests import factories, partitioned, pushing
from tests.conftest import puller, uploader
from tests.test_imports import lines, locations

_UNIQUE = """
    SELECT i.indexrelid::regclass::text, a.attname FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indisunique AND {which} AND EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = i.indrelid AND attname = 'tenant_id')
"""
_WITHOUT_TENANT = """
    SELECT relname FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
    AND relname LIKE 'ocpi\\_%' AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')
"""
# Its client names itself by this alone.
KNOWN_BEFORE_THE_TENANT = {"tenants_oauthclient_client_id_key"}


def asked(sql: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_every_unique_key_starts_with_the_tenant(db):
    keys = dict(asked(_UNIQUE.format(which="NOT i.indisprimary")))
    primary = dict(asked(_UNIQUE.format(which="i.indisprimary")))

    assert {name for name, first in keys.items() if first != "tenant_id"} == KNOWN_BEFORE_THE_TENANT
    assert set(primary.values()) == {"id"}
    assert len(keys) >= 18


def test_every_table_of_ocpi_has_a_tenant(db):
    assert asked(_WITHOUT_TENANT) == []


def test_partitioned_by_tenant_it_all_goes_on(cpo, rival, ndw):
    """Uploads, a full set, pulls, pushes and versions; foreign keys, generated columns, ON CONFLICT, the second lock."""
    partitioned.by_tenant(importlib.import_module("ocpi.migrations.0018_row_level_security").LOCK)
    connections = [factories.make_connection(tenant, ndw) for tenant in (cpo, rival)]
    for tenant in (cpo, rival):
        factories.put_tariff(tenant)
        factories.put_location(tenant)

    answer = uploader(cpo).patch(
        "/locations/NL/EXA/LOC-0001/EVSE-1", {"status": "CHARGING", "last_updated": pushing.later()}
    )
    intake.receive(cpo, "location", [lines(locations(60))])
    imports.work()
    while push.drain():
        pass

    assert answer.envelope["status_code"] == 1000
    assert [(one.state, one.counts["created"]) for one in Import.objects.all()] == [("done", 60)]
    pulled = puller(cpo).get("/locations?limit=100")
    assert (len(pulled.envelope["data"]), pulled["X-Total-Count"]) == (61, "61")
    assert {(one.connection, one.state) for one in Push.objects.all()} == {(one, "delivered") for one in connections}
    assert len(ndw.locations) == 62
    with rival.transaction():
        seen = [model.objects.count() for model in (Location, Tariff, Push, PushAttempt, Version)]
    assert seen == [1, 1, 2, 2, 0]
    assert Version.objects.count() == 1
    assert {name for (name,) in asked("SELECT relname FROM pg_class WHERE relkind = 'p'")} == set(partitioned.TABLES)
