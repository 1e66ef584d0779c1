"""How many objects of a tenant NDW sees, at the cost of a few rows; see ShownCount."""

from django.db import connection

# What X-Total-Count says of an unfiltered list; stands in another statement, so that both are of one moment.
SHOWN = "SELECT coalesce(sum(change), 0)::bigint FROM ocpi_showncount WHERE tenant_id = %(tenant)s AND kind = %(kind)s"

_FOLD = """
    WITH many AS (SELECT tenant_id, kind FROM ocpi_showncount GROUP BY tenant_id, kind HAVING count(*) > 1),
    gone AS (DELETE FROM ocpi_showncount s USING many WHERE s.tenant_id = many.tenant_id AND s.kind = many.kind
        RETURNING s.tenant_id, s.kind, s.change)
    INSERT INTO ocpi_showncount (tenant_id, kind, change) SELECT tenant_id, kind, sum(change) FROM gone
    GROUP BY tenant_id, kind
"""


_RECOUNT = """
    INSERT INTO ocpi_showncount (tenant_id, kind, change)
    SELECT tenant_id, kind, sum(n) FROM (
        SELECT tenant_id, 'location' AS kind, count(*) AS n FROM ocpi_location WHERE is_shown GROUP BY tenant_id
        UNION ALL SELECT tenant_id, 'tariff', count(*) FROM ocpi_tariff WHERE deleted_at IS NULL GROUP BY tenant_id
        UNION ALL SELECT tenant_id, kind, -change FROM ocpi_showncount
    ) counted GROUP BY tenant_id, kind HAVING sum(n) <> 0
"""


def recount() -> int:
    """Mend what no trigger has seen (a restored copy, an emptied table), by one look at everything; return how many lists."""
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT)
        return cursor.rowcount


def fold() -> int:
    """Make one row of the many that a tenant's changes have left; return for how many lists. May run next to itself."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLD)
        return cursor.rowcount
