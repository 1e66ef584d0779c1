"""Turn tables that belong to tenants into ones partitioned by tenant, as nobody has to yet: a proof that it takes no redesign.

What changes: the primary key becomes (tenant_id, id) with a plain index on id beside it, ids stay unique as they come from one
sequence, and foreign keys to these tables take the tenant along.  Source: README, "Keyed by tenant".
"""

from collections.abc import Iterable

from django.db import connection

TABLES = ("ocpi_location", "ocpi_tariff", "ocpi_push", "ocpi_pushattempt", "ocpi_version")
PARTITIONS = 4

_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, conname, confrelid::regclass::text, pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE contype = 'f' AND (conrelid = ANY (%(tables)s::regclass[]) OR confrelid = ANY (%(tables)s::regclass[]))
"""
_OF_TABLE = """
    SELECT array(SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
                 FROM pg_constraint WHERE conrelid = %(table)s::regclass AND contype IN ('u', 'c')),
        array(SELECT pg_get_indexdef(indexrelid) FROM pg_index i WHERE indrelid = %(table)s::regclass
              AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = i.indrelid)),
        array(SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal),
        (SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = %(table)s::regclass)
"""


def by_tenant(lock: str, tables: Iterable[str] = TABLES) -> None:
    """Partition tables by the hash of their tenant, rows and all; `lock` is the SQL that gives them row-level security."""
    tables = list(tables)
    with connection.cursor() as cursor:
        cursor.execute(_FOREIGN_KEYS, {"tables": tables})
        keys = cursor.fetchall()
        for table, name, _, _ in keys:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for table in tables:
            _partition(cursor, table)
        for table, name, target, definition in keys:
            if target in tables:
                definition = definition.replace("FOREIGN KEY (", "FOREIGN KEY (tenant_id, ").replace(
                    "(id)", "(tenant_id, id)"
                )
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        cursor.execute(lock)


def _partition(cursor: object, table: str) -> None:
    run = cursor.execute  # type: ignore[attr-defined]
    run(_OF_TABLE, {"table": table})
    constraints, indexes, triggers, options = cursor.fetchone()  # type: ignore[attr-defined]
    run(f"ALTER TABLE {table} RENAME TO {table}_old")
    run(
        f"CREATE TABLE {table} (LIKE {table}_old INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS)"
        " PARTITION BY HASH (tenant_id)"
    )
    for number in range(PARTITIONS):
        values = f"(MODULUS {PARTITIONS}, REMAINDER {number})"
        with_options = f" WITH ({options})" if options else ""
        run(f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES WITH {values}{with_options}")
    run(
        "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND attgenerated = '' AND NOT attisdropped",
        [table],
    )
    (columns,) = cursor.fetchone()  # type: ignore[attr-defined]
    run(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {table}_old")
    run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 1), count(*) > 0) FROM {table}_old")
    run(f"DROP TABLE {table}_old")
    for statement in [*constraints, *indexes, *triggers]:
        run(statement)
    run(f"ALTER TABLE {table} ADD PRIMARY KEY (tenant_id, id)")
    run(f"CREATE INDEX ON {table} (id)")
