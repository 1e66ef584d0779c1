"""NDW's crawls: which credential walked through a tenant's whole list, from when to when.

The first page begins one and the last page completes it: a small write each, none for the pages between. What cannot be
written (a database that only reads) is logged and missed; the pull is answered all the same.
Source: protocol §7.1, steps 4 and 5.
"""

import datetime as dt
import logging
from collections.abc import Iterable

from django.db import DatabaseError
from django.utils import timezone

from ocpi.models import Crawl
from tenants import sql
from tenants.models import Credential, OAuthClient, Tenant

logger = logging.getLogger(__name__)

KEPT_DAYS = 90
LONGEST = dt.timedelta(days=1)  # a last page that comes later is of another walk, whose first page nobody saw

_BEGIN = """
    INSERT INTO ocpi_crawl (tenant_id, kind, token_id, oauth_client_id, started_at, finished_at, objects_count)
    SELECT %(tenant)s, %(kind)s, %(token)s, %(client)s, moment, CASE WHEN %(is_last)s THEN moment END, %(objects)s
    FROM clock_timestamp() moment
"""
# The newest of this credential: what it left open before that one stays open.
_COMPLETE = """
    UPDATE ocpi_crawl SET finished_at = clock_timestamp(), objects_count = %(objects)s
    WHERE finished_at IS NULL AND started_at > clock_timestamp() - %(longest)s AND id = (
        SELECT id FROM ocpi_crawl WHERE tenant_id = %(tenant)s AND kind = %(kind)s
        AND token_id IS NOT DISTINCT FROM %(token)s AND oauth_client_id IS NOT DISTINCT FROM %(client)s
        ORDER BY id DESC LIMIT 1)
"""
_LATEST = """
    SELECT found.* FROM unnest(%(tenants)s::bigint[]) wanted CROSS JOIN unnest(%(kinds)s::text[]) list
    CROSS JOIN LATERAL (
        SELECT c.* FROM ocpi_crawl c LEFT JOIN tenants_token t ON t.id = c.token_id
        LEFT JOIN tenants_oauthclient o ON o.id = c.oauth_client_id
        WHERE c.tenant_id = wanted AND c.kind = list AND c.finished_at IS NOT NULL
        AND (%(environment)s = '' OR coalesce(t.environment, o.environment, '') IN ('', %(environment)s))
        ORDER BY c.id DESC LIMIT 1
    ) found
"""


def record(
    tenant: Tenant, kind: str, credential: Credential, *, is_first: bool, is_last: bool, objects: int = 0
) -> None:
    """Note that a page of an unfiltered list was given, where that begins or completes a crawl; never raise.

    `objects` are those of all pages up to this one.
    """
    if not (is_first or is_last):
        return
    is_client = isinstance(credential, OAuthClient)
    row = {
        "tenant": tenant.pk,
        "kind": kind,
        "token": None if is_client else credential.pk,
        "client": credential.pk if is_client else None,
        "is_last": is_last,
        "objects": objects if is_last else 0,
        "longest": LONGEST,
    }
    try:
        sql.run(_BEGIN if is_first else _COMPLETE, row)
    except DatabaseError as error:
        logger.warning("crawl of %s, %ss: not noted: %s", tenant, kind, " ".join(str(error).split()))


def latest(tenants: Iterable[Tenant], environment: str = "") -> dict[tuple[int, str], Crawl]:
    """Return the latest complete crawl by tenant (its id) and kind, those that had one only. One query.

    With `environment` that of a credential for it, or of one that is not told apart.
    """
    wanted = {
        "tenants": [tenant.pk for tenant in tenants],
        "kinds": Crawl.Kind.values,
        "environment": environment,
    }
    return {(crawl.tenant_id, crawl.kind): crawl for crawl in Crawl.objects.raw(_LATEST, wanted)}


def prune() -> int:
    """Forget crawls of long ago; return how many."""
    old = Crawl.objects.filter(started_at__lt=timezone.now() - dt.timedelta(days=KEPT_DAYS))
    return old._raw_delete(old.db)
