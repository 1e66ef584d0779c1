"""What was served at a given moment: the codec of `Version`, the walk back through them, and what differs between two.

A version is kept as what the one that followed makes of it: compressed in blocks, each with the bytes around the same place
there as its dictionary (a window of zlib's is 32 kB), so that a changed status costs some dozens of bytes. One in fifty is
whole, so that no walk back is long. `ocpi.rows` writes them, with what replaces them.
"""

import datetime as dt
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from django.db.models import Case, QuerySet, Subquery, When
from django.db.models.functions import Now

from ocpi.models import OcpiObject, Tariff, Version

KEPT_FOR = dt.timedelta(days=90)  # as long as the proof of what NDW accepted (ocpi.backlog)
BATCH = 5000
ONE_WHOLE_IN = 50
BLOCK, MARGIN = 16_384, 7_168  # together with a margin on both sides less than zlib's window
_RAW, _FASTEST = -15, 1  # no header, no checksum; better compression takes longer than the upload's own statement


# --- The codec ---------------------------------------------------------------------------------------------------------


def pack(old: bytes, new: bytes) -> tuple[bytes, bool]:
    """Return what to keep of a version that `new` replaces, and whether that is whole."""
    if random.randrange(ONE_WHOLE_IN) == 0:  # noqa: S311 - where the walk back may begin, not a secret
        return _deflate(old, b""), True
    return b"".join(_deflate(old[at : at + BLOCK], _around(new, at)) for at in range(0, len(old), BLOCK)), False


def unpack(kept: bytes, new: bytes | None) -> bytes:
    """Return the body of a version; `new` is that of the one that followed, None where it is whole."""
    if new is None:
        return zlib.decompress(kept, _RAW)
    blocks: list[bytes] = []
    while kept:
        reader = zlib.decompressobj(_RAW, zdict=_around(new, len(blocks) * BLOCK))
        blocks.append(reader.decompress(kept))
        kept = reader.unused_data
    return b"".join(blocks)


def _deflate(body: bytes, dictionary: bytes) -> bytes:
    writer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _RAW, zdict=dictionary)
    return writer.compress(body) + writer.flush()


def _around(body: bytes, at: int) -> bytes:
    return body[max(0, at - MARGIN) : at + BLOCK + MARGIN]


# --- Reading -----------------------------------------------------------------------------------------------------------


class Served(NamedTuple):
    """What an object was for a while; the present one has no `until_at` and no `id`."""

    id: int | None
    since_at: dt.datetime
    until_at: dt.datetime | None
    is_shown: bool
    evse_uid: str  # the one EVSE whose status ended it
    body: bytes

    @property
    def document(self) -> dict:
        """Return the body parsed."""
        return orjson.loads(self.body)


def kept(of: OcpiObject) -> QuerySet[Version]:
    """Return the rows of an object's earlier versions, newest first."""
    return Version.objects.filter(**{of._meta.model_name or "": of.pk}).order_by("-pk")


def present(of: OcpiObject) -> Served:
    """Return what an object is now."""
    is_shown = of.deleted_at is None if isinstance(of, Tariff) else of.is_shown  # type: ignore[attr-defined]
    return Served(None, of.received_at, None, is_shown, "", bytes(of.body))


def versions(of: OcpiObject, *, before: int | None = None, limit: int = 50) -> list[Served]:
    """Return up to `limit` earlier versions, newest first; `before` leaves out the one of that key and what came after it."""
    found = kept(of).filter(pk__lt=before) if before else kept(of)
    keys = list(found.values_list("pk", flat=True)[:limit])
    return list(_walk(of, keys[0], keys[-1])) if keys else []


def version(of: OcpiObject, pk: int) -> Served | None:
    """Return one earlier version."""
    return next(_walk(of, pk, pk), None)


def at(of: OcpiObject, moment: dt.datetime) -> Served | None:
    """Return what an object was at a moment; None when it was not there yet, or when that is not known any more."""
    if moment < dt.datetime.now(dt.UTC) - KEPT_FOR:
        return None
    pk = kept(of).filter(until_at__gt=moment).order_by("pk").values_list("pk", flat=True).first()
    found = present(of) if pk is None else version(of, pk)
    if found is None or found.since_at <= moment:
        return found
    return found if of.created_at <= moment else None  # it began with an upload that changed nothing served


def next_of(of: OcpiObject, one: Served) -> Served | None:
    """Return what replaced a version; None after the present one."""
    if one.id is None:
        return None
    pk = kept(of).filter(pk__gt=one.id).order_by("pk").values_list("pk", flat=True).first()
    return present(of) if pk is None else version(of, pk)


def _walk(of: OcpiObject, newest: int, oldest: int) -> Iterator[Served]:
    """Yield the versions between two keys, newest first: from the whole one that follows, or from the present."""
    whole = kept(of).filter(pk__gte=newest, is_whole=True).order_by("pk").values_list("pk", flat=True).first()
    rows = kept(of).filter(pk__gte=oldest)
    # Of one moment with the rows: what an upload has stored since `of` was read differs from another body.
    now = When(
        pk=Subquery(kept(of).values("pk")[:1]), then=Subquery(type(of)._default_manager.filter(pk=of.pk).values("body"))
    )
    body = b""
    for row in (rows.filter(pk__lte=whole) if whole else rows).annotate(now=Case(now)):
        body = body or bytes(row.now or b"")
        body = unpack(bytes(row.body), None if row.is_whole else body)
        if row.pk <= newest:
            yield Served(row.pk, row.since_at, row.until_at, row.was_shown, row.evse_uid, body)


def prune() -> int:
    """Delete versions older than KEPT_FOR, in batches; return how many. Those that stay need none of them."""
    pruned = 0
    while True:
        old = Version.objects.filter(until_at__lt=Now() - KEPT_FOR).order_by("until_at")
        batch, _ = Version.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).delete()
        pruned += batch
        if batch < BATCH:
            return pruned


# --- Differences -------------------------------------------------------------------------------------------------------

_KEYS = {"evses": "uid", "connectors": "id"}  # what children are known by, wherever they stand


@dataclass(frozen=True)
class Difference:
    """One place where two documents differ; children are named in it, not counted: `/evses/E1/connectors/1/max_voltage`."""

    path: str
    before: Any = None
    after: Any = None
    is_added: bool = False
    is_removed: bool = False


def differences(before: Any, after: Any, path: str = "") -> list[Difference]:
    """Return what differs between two documents, in the order of the later one; what is gone comes last."""
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [Difference(path, before, after)]
    found = []
    for name in [*after, *(name for name in before if name not in after)]:
        here = f"{path}/{_escaped(name)}"
        if name not in before:
            found.append(Difference(here, after=after[name], is_added=True))
        elif name not in after:
            found.append(Difference(here, before=before[name], is_removed=True))
        elif name in _KEYS and isinstance(before[name], list) and isinstance(after[name], list):
            found += differences(_by_key(before[name], _KEYS[name]), _by_key(after[name], _KEYS[name]), here)
        else:
            found += differences(before[name], after[name], here)
    return found


def _by_key(children: list[dict], key: str) -> dict[str, dict]:
    return {child[key]: child for child in children}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
