"""Work on bulk uploads: read lines from where an import stands, judge and write them in batches through `ocpi.store`.

A batch, its report, the counts and the place are one transaction: a killed worker goes on where it was, nothing twice, nothing
half. A full set is scanned before it is applied: what it would remove decides whether an operator is asked. A line that made
an object what it is (its digest is kept beside it) needs no second look.
Source: design §3, §7 "Full sets"; performance, point 9.
"""

import datetime as dt
import gc
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
import zstandard
from django.db import Error, close_old_connections, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from ocpi import documents, doorbell, errors, rows, rules, store, tally
from ocpi.intake import LARGEST_DOCUMENT
from ocpi.judge import Judge, judge, settle_party
from ocpi.models import Import, ImportPart, ImportReport, Location
from ocpi.rules import Finding, uploads
from ocpi.sheets import SheetLine
from tenants import sql
from tenants.models import Tenant

logger = logging.getLogger(__name__)

BATCH, BATCH_BYTES = 2000, 6_000_000  # lines of one transaction
JUDGING_S = 3.0  # of it; PostgreSQL ends a transaction in which nothing is asked for 10 s
LARGE = 8_000_000  # bytes left of an import that are worth another process
TURN = dt.timedelta(seconds=2)  # so long after a batch an import is that worker's: two would only disturb each other
LEAST_REMOVED = 5  # EVSEs or Tariffs: fewer pull no brake
LONGEST_ID = 100  # characters that are told; an object's has at most 36
SAMPLES = 10  # ids of each kind in a preview, and of a rule
PAUSE_S, TRIES = 1.0, 60  # of somebody who waits for PostgreSQL: a restart takes seconds
KEPT = dt.timedelta(days=90)
ABANDONED = dt.timedelta(days=1)  # an import whose body never came in whole

SUPERSEDED = "Superseded by a newer full set; nothing was stored."
State, Phase = Import.State, Import.Phase
COUNTS = ("received", "created", "updated", "unchanged", "refused", "stale", "removed", "warned")
NOT_ACCEPTED = ("refused", "stale")


def ring() -> None:
    """Wake the worker; what it misses, beat finds."""
    doorbell.ring(doorbell.IMPORTS)


def work(longest_s: float = 10) -> bool:
    """Work on imports for so long at most, first on those that waited longest; return whether there is more to do."""
    until = time.monotonic() + longest_s
    with _without_gc():
        for one in _waiting().order_by(F("worked_at").asc(nulls_first=True))[:20]:
            lines = None
            while time.monotonic() < until and (lines := _chunk(one, lines)):
                pass
            if lines:  # whoever comes next need not wait
                Import.objects.filter(pk=one.pk, state__in=Import.OPEN).update(worked_at=F("worked_at") - TURN)
    return _waiting().exists()


def _waiting() -> QuerySet[Import]:
    """Return the imports that are to be worked on and that no worker has now.

    Those of one tenant and kind one behind the other: what an older set removes, a newer one may have brought.
    """
    recently = timezone.now() - TURN
    is_older = Q(created_at__lt=OuterRef("created_at")) | Q(created_at=OuterRef("created_at"), pk__lt=OuterRef("pk"))
    of_same = Import.objects.filter(tenant=OuterRef("tenant"), kind=OuterRef("kind"), state__in=Import.OPEN)
    is_behind = Exists(of_same.filter(is_older, is_dry_run=False))
    is_open = Import.objects.filter(state__in=Import.OPEN)
    return is_open.exclude(state=State.RUNNING, worked_at__gt=recently).exclude(is_behind)


@contextmanager
def _without_gc() -> Iterator[None]:
    """Let the collector rest: documents have no cycles, and looking for some in them doubles the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def finish(one: Import) -> Iterator[Import]:
    """Work on one import, and first on those it waits for, until it has ended or is held; yield it after each batch.

    Raises Error when PostgreSQL stays away.
    """
    at_work: Import | None = None
    lines, faults = None, 0
    while one.state in Import.OPEN:
        try:
            at_work = at_work if lines else _next_of(one)
            if at_work:
                with _without_gc():
                    lines = _chunk(at_work, lines)
            else:
                time.sleep(0.2)  # a worker has it
            one.refresh_from_db()
            faults = 0
        except Error:
            lines, faults = None, faults + 1
            if faults == TRIES:
                raise
            time.sleep(PAUSE_S)
            close_old_connections()  # a broken one
        yield one


def _next_of(one: Import) -> Import | None:
    """Return what is to be worked on before an import can end: itself, or an older one; there may be no worker."""
    of_same = _waiting().filter(tenant=one.tenant_id, kind=one.kind, created_at__lte=one.created_at)
    return of_same.filter(Q(pk=one.pk) | Q(is_dry_run=False)).order_by("created_at", "pk").first()


def _chunk(one: Import, lines: "_Lines | None") -> "_Lines | None":
    """Do the next batch of an import in one transaction; None when it goes no further, or another worker has it."""
    found = None
    try:
        with one.tenant.transaction():
            still = Import.objects.select_related("tenant").filter(pk=one.pk, state__in=Import.OPEN)
            found = still.select_for_update(skip_locked=True, of=("self",)).first()
            if found is None or (lines and lines.offset != found.offset):
                return None
            lines = lines or _Lines(found)
            _step(found, lines)
            if lines.offset != found.offset:  # another phase begins
                lines = _Lines(found)
            return lines if found.state == State.RUNNING else None
    except errors.Offboarded:
        return None  # it has left since the batch began: the next look says so
    except Exception as error:
        if sql.is_away(error):
            # PostgreSQL is away, chose us in a deadlock, or we were frozen: the next chunk begins where this one did.
            with suppress(Error):  # behind the others
                Import.objects.filter(pk=one.pk).update(worked_at=timezone.now() - TURN)
            raise
        logger.exception("import %s cannot go on", one.pk)
        line = found.line if found else 0
        note = f"Internal error ({type(error).__name__}) behind line {line}; what was done before stays."
        ended = {"state": State.FAILED, "note": note, "finished_at": timezone.now()}
        if Import.objects.filter(pk=one.pk, state__in=Import.OPEN).update(**ended):
            one.parts.all().delete()
        return None


def _step(one: Import, lines: "_Lines") -> None:
    """Do the next batch of an import, and what follows its last."""
    now = timezone.now()
    one.state, one.worked_at = State.RUNNING, now
    one.started_at = one.started_at or now
    if not one.counts:
        one.counts = dict.fromkeys(COUNTS, 0)
    if not one.tenant.is_active:
        one.state, one.note, one.finished_at = State.FAILED, "The tenant is not active.", now
    elif one.tenant.offboarding_at:
        one.state, one.note, one.finished_at = State.FAILED, str(errors.Offboarded()), now
    elif one.phase == Phase.REMOVE:
        _remove_some(one)
    else:
        batch = lines.take(one)
        if batch:
            # What a crash takes back it takes back with the place: the batch is done again. The last commit is a full one.
            sql.run("SET LOCAL synchronous_commit = off", [])
            batch.write(one)
            one.offset, one.line = batch.end, batch.last
        else:
            _end_phase(one)
    one.save()
    if one.state in Import.ENDED:
        one.parts.all().delete()
        logger.info("import %s of %s: %s %s", one.pk, one.tenant, one.state, one.counts)


# --- Lines -------------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A line: where it ends, and its bytes; None when it is too long to be read."""

    number: int
    end: int
    raw: bytes | None


class _Lines:
    """The lines of an import from where it stands, in batches; of a large one the next is judged meanwhile."""

    def __init__(self, one: Import) -> None:
        self.offset = one.offset
        self._source = _read(one)
        self._next: _Batch | None = None
        self._judge: Judge | None = None

    def take(self, one: Import) -> "_Batch | None":
        """Return the next batch; None at the end."""
        batch = self._next or self._read(one)
        self._next = None
        if batch is None:
            return None
        self.offset = batch.end
        if self._judge:
            batch.take_answers(self._judge)
        is_worth_it = self._judge or (one.size - batch.end > LARGE and not one.is_sheet)
        if is_worth_it and (following := self._read(one)):
            self._judge = self._judge or Judge(one.kind, one.tenant.country_code, one.tenant.party_id)
            following.ask(self._judge)
            self._next = following
        return batch

    def _read(self, one: Import) -> "_Batch | None":
        lines: list[Line] = []
        size = 0
        while len(lines) < BATCH and size < BATCH_BYTES and (line := next(self._source, None)):
            lines.append(line)
            size += len(line.raw or b"")
        return _Batch(one, lines) if lines else None


def _read(one: Import) -> Iterator[Line]:
    """Yield the lines behind an import's offset; of one that is too long only where it ends."""
    part, skip = divmod(one.offset, ImportPart.SIZE)
    number, at, rest, is_too_long = one.line, one.offset, b"", False
    while True:
        data = one.parts.filter(number=part).values_list("data", flat=True).first()
        if data is None:
            break
        *whole, rest = (rest + zstandard.decompress(bytes(data))[skip:]).split(b"\n")
        part, skip = part + 1, 0
        for raw in whole:
            number, at = number + 1, at + len(raw) + 1
            if is_too_long or len(raw) > LARGEST_DOCUMENT:
                yield Line(number, at, None)
            else:
                yield Line(number, at, raw)
            is_too_long = False
        if len(rest) > LARGEST_DOCUMENT:
            at, rest, is_too_long = at + len(rest), b"", True
    if (rest or is_too_long) and at + len(rest) == one.size:  # else a part is missing, and the import fails at its end
        yield Line(number + 1, at + len(rest), None if is_too_long or len(rest) > LARGEST_DOCUMENT else rest)


# --- A batch -----------------------------------------------------------------------------------------------------------

# What is stored as these very lines made it, each looked up by its id; see `ids_of`.
_KNOWN = {
    kind: f"""
    SELECT one.digest, one.findings FROM unnest(%(ids)s::text[], %(digests)s::bytea[]) AS wanted(id, digest)
    CROSS JOIN LATERAL (SELECT * FROM ocpi_{kind} WHERE tenant_id = %(tenant)s AND ocpi_key = wanted.id OFFSET 0) one
    WHERE one.digest = wanted.digest AND one.edition = %(edition)s {"AND one.deleted_at IS NULL" * (kind == "tariff")}
    """
    for kind in ("location", "tariff")
}


@dataclass
class _Document:
    """A line that is not blank, and what became of it."""

    line: Line
    digest: bytes = b""
    shown_id: str | None = None
    verdict: rules.Verdict | None = None
    outcome: str = ""
    findings: list[Finding] = field(default_factory=list)
    removed: int = 0
    growth: int = 0
    sheet: SheetLine | None = None

    @property
    def number(self) -> int:
        """Return the number of the line; of a spreadsheet's, of its row."""
        return self.sheet.row if self.sheet else self.line.number

    def identify_row(self) -> None:
        """Read whose line of a spreadsheet it is."""
        if self.line.raw is None:
            self._refuse([uploads.TOO_LARGE.at("", bytes=LARGEST_DOCUMENT)])
            return
        self.sheet = SheetLine(self.line.raw)
        if self.sheet.id and "\0" not in self.sheet.id:
            self.shown_id = self.sheet.id[:LONGEST_ID]

    def identify(self) -> None:
        """Read whose line it is, as far as that can be read."""
        if self.line.raw is None:
            self._refuse([uploads.TOO_LARGE.at("", bytes=LARGEST_DOCUMENT)])
            return
        self.digest = blake2b(self.line.raw, digest_size=16).digest()
        with suppress(orjson.JSONDecodeError):
            document = orjson.loads(self.line.raw)
            shown_id = document.get("id") if isinstance(document, dict) else None
            if isinstance(shown_id, str) and shown_id.strip() and "\0" not in shown_id:  # which PostgreSQL cannot store
                self.shown_id = shown_id[:LONGEST_ID]

    def judge(self, kind: rules.Kind, tenant: Tenant) -> None:
        """Judge it by itself; nothing here touches the database."""
        if not self.sheet:
            self.take(judge(kind, tenant, self.line.raw or b""))
        elif self.sheet.errors:
            self.take(self.sheet.errors)
        else:
            self.take(settle_party(self.sheet.document, tenant) or rules.check(kind, self.sheet.document))

    def take(self, judged: rules.Verdict | list[Finding]) -> None:
        """Note the verdict, or why there is none."""
        if isinstance(judged, list):
            self._refuse(judged)
        else:
            self.verdict = judged

    def _refuse(self, findings: list[Finding]) -> None:
        self.outcome, self.findings = "refused", findings


class _Batch:
    """The lines of one transaction."""

    def __init__(self, one: Import, lines: list[Line]) -> None:
        self.kind: rules.Kind = one.kind  # type: ignore[assignment]
        self.tenant = one.tenant
        self.end, self.last = lines[-1].end, lines[-1].number
        self.documents = [_Document(line) for line in lines if line.raw is None or line.raw.strip()]
        for each in self.documents:
            each.identify_row() if one.is_sheet else each.identify()
        self.known = {} if one.is_sheet else self._known()
        self._asked: list[_Document] = []

    def ask(self, judge: Judge) -> None:
        """Have what is not known judged elsewhere."""
        asked = [each for each in self.documents if not each.outcome and each.digest not in self.known]
        if asked and judge.ask([each.line.raw or b"" for each in asked]):
            self._asked = asked

    def take_answers(self, judge: Judge) -> None:
        """Take the verdicts; where there are none, it is judged when it is written."""
        if self._asked:
            for each, judged in zip(self._asked, judge.answer(), strict=False):
                each.take(judged)

    def _known(self) -> dict[bytes, list]:
        """Return the findings of what is stored as these very lines made it, by digest."""
        named = [each for each in self.documents if each.shown_id]
        asked = {
            "tenant": self.tenant.pk,
            "ids": sql.array(each.shown_id.lower() for each in named if each.shown_id),
            "digests": sql.array(each.digest for each in named),
            "edition": rules.EDITION,
        }
        return dict(sql.run(_KNOWN[self.kind], asked).fetchall())

    def write(self, one: Import) -> None:
        """Write what is to be written, and report; what would take too long to judge is left to the next batch."""
        known = self.known and self._known()  # once more: what was written meanwhile may have changed it
        times = Counter(each.shown_id and each.shown_id.lower() for each in self.documents)
        for each in self.documents:
            if each.digest in known and each.shown_id and times[each.shown_id.lower()] == 1:
                each.outcome, each.findings = "unchanged", rules.restore(known[each.digest])
        if one.is_sheet:
            self._keep_statuses(self._stored())
        self._judge()
        if one.is_sheet:
            self._judge_again()
        left = [each for each in self.documents if not each.outcome]
        while left:  # those of one id in their order
            ids, now, later = set[str](), list[_Document](), list[_Document]()
            for each in left:
                key = (each.shown_id or f" {each.line.number}").lower()
                (later if key in ids else now).append(each)
                ids.add(key)
            self._put(now, is_dry_run=one.phase == Phase.SCAN)
            left = later
        _report(one, self.documents)
        if one.phase == Phase.APPLY:
            refused = sum(each.outcome in NOT_ACCEPTED for each in self.documents)
            tally.add(self.tenant, accepted=len(self.documents) - refused, refused=refused)

    def _keep_statuses(self, stored: dict[str, bytes]) -> list[_Document]:
        """Let EVSEs that are known keep their status where the sheet says none; return which documents that changed.

        Statuses are for who reports them live. But one that is REMOVED and is in the sheet is back.
        """
        changed = []
        for each in self.documents:
            body = stored.get((each.shown_id or "").lower())
            location, is_other = orjson.loads(body) if body and each.sheet and each.sheet.document else {}, False
            for index in each.sheet.assumed if location and each.sheet else ():
                evse = each.sheet.document["evses"][index]  # type: ignore[union-attr]
                _, known = documents.evse_at(location, evse["uid"])
                if known and known["status"] not in (documents.REMOVED, evse["status"]):
                    evse["status"], is_other = known["status"], True
            changed += [each] * is_other
        return changed

    def _stored(self) -> dict[str, bytes]:
        keys = [each.shown_id.lower() for each in self.documents if each.shown_id]
        found = Location.objects.filter(tenant=self.tenant, ocpi_key__in=keys).values_list("ocpi_key", "body")
        return {key: bytes(body) for key, body in found}

    def _judge_again(self) -> None:
        """Look once more, now that nobody else can change them, at statuses that were reported while all was judged."""
        keys = [each.shown_id for each in self.documents if each.shown_id and each.verdict]
        locked = rows.lock_many(self.kind, self.tenant, keys)
        for each in self._keep_statuses({key: row.body for key, row in locked.items()}):
            each.judge(self.kind, self.tenant)

    def _judge(self) -> None:
        """Judge what nobody has judged, for so long at most but one document at least; end before what is left."""
        until, is_late = time.monotonic() + JUDGING_S, False
        for index, each in enumerate(self.documents):
            if each.outcome or each.verdict:
                continue
            if is_late:
                last = self.documents[index - 1].line
                self.end, self.last = last.end, last.number
                del self.documents[index:]
                return
            each.judge(self.kind, self.tenant)
            is_late = time.monotonic() >= until

    def _put(self, some: list[_Document], *, is_dry_run: bool) -> None:
        verdicts = [each.verdict for each in some if each.verdict]
        digests = [each.digest for each in some]
        outcomes = store.put_many(self.kind, self.tenant, verdicts, digests=digests, is_dry_run=is_dry_run)
        for each, outcome in zip(some, outcomes, strict=True):
            each.outcome, each.findings = _named(outcome), outcome.findings
            each.removed, each.growth = getattr(outcome, "removed", 0), getattr(outcome, "growth", 0)
            if each.sheet:
                each.findings = each.sheet.warnings + each.sheet.placed(each.findings)


def _named(outcome: store.Outcome | errors.Refused) -> str:
    if isinstance(outcome, errors.Refused):
        return "stale" if isinstance(outcome, errors.Stale) else "refused"
    return "created" if outcome.created else "updated" if outcome.changed else "unchanged"


def _report(one: Import, some: list[_Document]) -> None:
    """Write down what became of lines."""
    counts, is_preview = one.counts, one.phase == Phase.SCAN
    before = one.preview or {}
    samples = before.get("samples", {}) if is_preview else {}
    told = []
    for each in some:
        is_accepted = each.outcome not in NOT_ACCEPTED
        counts["received"] += each.number > 0
        counts[each.outcome] += each.outcome != "removed"
        counts["removed"] += each.removed
        counts["warned"] += is_accepted and bool(each.findings)
        # Of a line with two ids nobody knows which one is meant.
        one.is_incomplete |= each.shown_id is None or any(
            finding.broken is uploads.NOT_JSON for finding in each.findings
        )
        if each.findings or each.outcome != "unchanged":
            told.append([each.number, each.shown_id, each.outcome, [finding.stored() for finding in each.findings]])
        for finding in each.findings:
            _count_rule(one.rules, finding, each.shown_id)
        for name in [each.outcome] + ["removed"] * bool(each.removed):
            if is_preview and name != "unchanged" and len(samples.setdefault(name, [])) < SAMPLES:
                samples[name].append(each.shown_id or f"line {each.number}")
    if is_preview:
        one.preview = {"samples": samples, "growth": before.get("growth", 0) + sum(each.growth for each in some)}
    ids: list[str] = []
    if one.mode == Import.Mode.FULL:  # spaces at its ends belong to an id; what is refused for them is present without
        shown = [each.shown_id.lower() for each in some if each.shown_id]
        ids = sorted({*shown, *map(str.strip, shown)})
    if told or ids:
        data = zstandard.compress(b"\n".join(map(orjson.dumps, told)), 1)
        ImportReport.objects.create(
            tenant=one.tenant, report_of=one, phase=one.phase, first_line=some[0].number, data=data, ids=ids
        )


def _count_rule(counted: dict, finding: Finding, shown_id: str | None) -> None:
    entry = counted.setdefault(
        finding.broken.name, {"rule": finding.rule, "severity": finding.severity, "count": 0, "sample": []}
    )
    entry["count"] += 1
    if shown_id and len(entry["sample"]) < SAMPLES and shown_id not in entry["sample"]:
        entry["sample"].append(shown_id)


# --- Full sets ---------------------------------------------------------------------------------------------------------

# What a full set lacks, unless it changed after the set came in. `n` is what the brake counts: EVSEs in service, or Tariffs.
_PRESENT = "SELECT unnest(ids) FROM ocpi_importreport WHERE report_of_id = %(import)s"
_IN_SERVICE = "(SELECT count(*) FROM unnest(evse_keys) key WHERE starts_with(key, %(tenant)s::bigint::text || '/'))"
_COUNTED = {
    "location": f"SELECT id, ocpi_id, ocpi_key, received_at, {_IN_SERVICE} AS n FROM ocpi_location WHERE tenant_id = %(tenant)s",
    "tariff": "SELECT id, ocpi_id, ocpi_key, received_at, 1 AS n FROM ocpi_tariff"
    " WHERE tenant_id = %(tenant)s AND deleted_at IS NULL",
}
_MISSING = {
    kind: f"SELECT id, ocpi_id, n FROM ({counted}) known WHERE n > 0 AND received_at <= %(since)s AND id > %(after)s"
    f" AND NOT EXISTS (SELECT FROM ({_PRESENT}) present(id) WHERE present.id = known.ocpi_key)"
    for kind, counted in _COUNTED.items()
}

# Of those, what did not change while we waited for its lock.
_STILL = {
    kind: f"SELECT id FROM ocpi_{kind} WHERE id = ANY(%(pks)s::bigint[]) AND received_at <= %(since)s"
    for kind in _MISSING
}


def _asked(one: Import, after: int = 0) -> dict[str, Any]:
    return {"import": one.pk, "tenant": one.tenant_id, "since": one.created_at, "after": after}


def _end_phase(one: Import) -> None:
    """Go on from a phase that has seen every line."""
    is_full = one.mode == Import.Mode.FULL
    if one.offset != one.size:  # never take what is lost for what is not there
        one.state, one.finished_at = State.FAILED, timezone.now()
        one.note = f"Lines are missing: {one.size - one.offset} of {one.size} bytes cannot be read."
    elif one.phase == Phase.SCAN:
        one.preview = _preview(one)
        if one.is_dry_run:
            one.counts["removed"] = one.preview["removed"]
            _end(one)
        elif one.preview["brake"] and _is_superseded(one):
            one.state, one.note, one.finished_at = State.DISCARDED, SUPERSEDED, timezone.now()
        elif one.preview["brake"]:
            one.state, one.note = State.HELD, one.preview["brake"]
        else:
            _begin_to_apply(one)
        if is_full and not one.is_dry_run:
            _supersede(one)
    elif is_full and not one.is_incomplete:
        one.phase = Phase.REMOVE
    else:
        _end(one)


def _supersede(one: Import) -> None:
    """Discard older full sets that wait for a decision: what they say is no longer so."""
    older = Import.objects.filter(tenant=one.tenant, kind=one.kind, state=State.HELD, created_at__lt=one.created_at)
    for each in older.exclude(pk=one.pk):
        discard(each, "", SUPERSEDED)


def _is_superseded(one: Import) -> bool:
    """Return whether a newer full set has come in: that one says what is missing."""
    of_same = Import.objects.filter(tenant=one.tenant, kind=one.kind, mode=Import.Mode.FULL, is_dry_run=False)
    counting = of_same.exclude(state__in=[State.RECEIVING, State.FAILED, State.DISCARDED])
    return counting.filter(created_at__gt=one.created_at).exists()


def _end(one: Import) -> None:
    one.state, one.finished_at = State.DONE, timezone.now()
    if one.mode == Import.Mode.FULL and one.is_incomplete:
        one.note = f"{one.note} Nothing that is missing was removed: a line has no id that can be read.".strip()


def _begin_to_apply(one: Import) -> None:
    one.phase, one.offset, one.line, one.started_at = Phase.APPLY, 0, 0, None
    one.counts, one.rules, one.is_incomplete = dict.fromkeys(COUNTS, 0), {}, False
    one.reports.all().delete()


def _preview(one: Import) -> dict[str, Any]:
    """Return what applying a set would come to, and why an operator has to be asked ("" when nobody has)."""
    found_so_far = one.preview or {}
    removed, samples = one.counts["removed"], found_so_far.get("samples", {})
    missing = gone = 0
    if one.mode == Import.Mode.FULL and not one.is_incomplete:
        found = sql.run(_MISSING[one.kind] + " ORDER BY id", _asked(one)).fetchall()
        missing = len(found)
        gone = sum(n for _, _, n in found)
        removed += gone
        names = samples.setdefault("removed", [])
        names += [ocpi_id for _, ocpi_id, _ in found[: max(0, SAMPLES - len(names))]]
    total = (
        sql.run(f"SELECT coalesce(sum(n), 0)::bigint FROM ({_COUNTED[one.kind]}) k", _asked(one)).fetchone() or [0]
    )[0]
    preview = {"counts": one.counts | {"removed": removed}, "missing": missing, "removed": removed, "total": total}
    remaining = total + found_so_far.get("growth", 0) - gone
    return preview | {"samples": samples, "brake": _brake(one, removed, total, remaining)}


def _brake(one: Import, removed: int, total: int, remaining: int) -> str:
    """Return why a full set is held; "" when it may go on. Source: design §7, "Full sets"."""
    if one.mode != Import.Mode.FULL:
        return ""
    what = "EVSEs" if one.kind == Import.Kind.LOCATION else "Tariffs"
    percent = one.tenant.brake_percent
    if removed and remaining <= 0:
        return f"Nothing would remain: all {total} {what} would be removed."
    if removed >= LEAST_REMOVED and removed * 100 > percent * total:
        return f"{removed} of {total} {what} would be removed, more than {percent} %."
    return ""


def _remove_some(one: Import) -> None:
    """Remove some of what a full set lacks; nothing is left, or to a newer set: the import has ended."""
    if _is_superseded(one):
        one.note = "What is missing was left to a newer full set."
        _end(one)
        return
    found = sql.run(f"{_MISSING[one.kind]} ORDER BY id LIMIT 100", _asked(one, one.removed_pk)).fetchall()
    if not found:
        _end(one)
        return
    rows.lock_many(one.kind, one.tenant, [ocpi_id for _, ocpi_id, _ in found])  # in the order in which everybody locks
    still = {pk for (pk,) in sql.run(_STILL[one.kind], {"pks": [pk for pk, _, _ in found], **_asked(one)})}
    _report(one, [_removed(one, ocpi_id) for pk, ocpi_id, _ in found if pk in still])
    one.removed_pk = found[-1][0]


def _removed(one: Import, ocpi_id: str) -> _Document:
    document = _Document(Line(0, 0, None), shown_id=ocpi_id, outcome="removed")
    try:
        if one.kind == Import.Kind.LOCATION:
            document.removed = store.remove_evses(one.tenant, ocpi_id).removed
        else:
            store.delete_tariff(one.tenant, ocpi_id)
            document.removed = 1
    except errors.Offboarded:
        raise
    except errors.OcpiError as refusal:  # a Tariff that a connector still names stays
        document.outcome, document.findings = "unchanged", refusal.findings
    return document


# --- Operators ---------------------------------------------------------------------------------------------------------


def accept(one: Import, who: str) -> bool:
    """Let a held import go on; False when it is held no more."""
    with one.tenant.transaction():
        held = Import.objects.select_for_update().filter(pk=one.pk, state=State.HELD).first()
        if held is None:
            return False
        _begin_to_apply(held)
        held.state, held.decided_by = State.QUEUED, who[:150]
        held.save()
    transaction.on_commit(ring)
    return True


def discard(one: Import, who: str, note: str = "Discarded; nothing was stored.") -> bool:
    """Drop a held import; False when it is held no more."""
    with one.tenant.transaction():
        ended = {"state": State.DISCARDED, "decided_by": who[:150], "note": note, "finished_at": timezone.now()}
        found = Import.objects.filter(pk=one.pk, state=State.HELD).update(**ended)
        if found:  # else somebody has accepted it: without its lines a full set would remove everything
            one.parts.all().delete()
    return bool(found)


def prune() -> int:
    """Delete imports that ended long ago, and what never came in whole."""
    now = timezone.now()
    old = Import.objects.filter(state__in=Import.ENDED, finished_at__lt=now - KEPT)
    abandoned = Import.objects.filter(state=State.RECEIVING, created_at__lt=now - ABANDONED)
    return sum(some.delete()[0] for some in (old, abandoned))


# --- What is told ------------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """What became of a line; 0 is the line of what is missing in a full set."""

    line: int
    id: str | None
    outcome: str
    findings: list[Finding]


def results(one: Import) -> Iterator[Result]:
    """Yield what became of the lines, in their order: refused, warned and changed ones."""
    reports = one.reports.order_by("phase", "pk")
    with one.tenant.transaction():
        pks = list(reports.values_list("pk", flat=True))
    for pk in pks:  # one by one: no transaction waits for who reads slowly
        with one.tenant.transaction():
            data = reports.filter(pk=pk).values_list("data", flat=True).first()
        text = zstandard.decompress(bytes(data)) if data else b""
        for row in filter(None, text.split(b"\n")):
            line, shown_id, outcome, findings = orjson.loads(row)
            yield Result(line, shown_id, outcome, rules.restore(findings))
