"""The only writer of Location and Tariff: object, earlier version and Push rows go in by one statement of one transaction.

Every function runs in its own transaction, locks the object's row first (which orders concurrent uploads of one object) and
compares with what is stored; unchanged content writes nothing and pushes nothing. What would write to a tenant that leaves
raises Offboarded.
Source: OCPI 2.2.1 mod_locations and mod_tariffs, Receiver interface; design §3, §4, §7.
"""

import datetime as dt
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import transaction

from ocpi import documents, problems, rows, rules
from ocpi.envelope import timestamp
from ocpi.errors import Refused, Stale, UnknownObject
from ocpi.models import Push
from ocpi.rows import Change, Row, Write
from ocpi.rules import Finding, profiles, shape, uploads
from ocpi.schemas import CHILDREN
from tenants.models import Tenant

LARGEST_LOCATION = 1_048_576  # bytes, as much as one PUT may carry; EVSE by EVSE it could grow without end


@dataclass
class Outcome:
    """What became of one upload."""

    created: bool = False
    changed: bool = True
    findings: list[Finding] = field(default_factory=list)
    removed: int = 0  # EVSEs the upload lacks, set REMOVED
    growth: int = 0  # how many more EVSEs are in service, or Tariffs valid, than before


@dataclass
class _Plan:
    """What an upload comes to, before it is written.

    Nothing to write when `write` is None: then `row_id` is that of a Location that stays as it is.
    """

    write: Write | None
    verdict: rules.Verdict
    outcome: Outcome
    row_id: int | None = None


def _put(kind: rules.Kind, tenant: Tenant, document: object) -> Outcome:
    """Create or replace a Location or Tariff. Raises Refused, Stale."""
    verdict = rules.check(kind, document)
    _refuse_errors(verdict)
    while True:
        with tenant.transaction():
            plan = _PLANS[kind](tenant, rows.lock(kind, tenant, verdict.document["id"]), verdict)
            if outcome := _carry_out(tenant, plan):
                return outcome
        # Another upload created it between the two statements: now there is a row to lock.


def put_many(
    kind: rules.Kind,
    tenant: Tenant,
    verdicts: Sequence[rules.Verdict],
    *,
    digests: Sequence[bytes] = (),
    is_dry_run: bool = False,
) -> list[Outcome | Refused]:
    """Create or replace the Locations or Tariffs that were judged, in one transaction; return what became of each.

    Each gets what an upload of its own would, but what is unchanged is not compared with other objects. `digests` are kept
    beside the objects, as what they were made of. A dry run stores nothing, and compares only what there is with what came.
    An id may be among them only once. Raises ValueError.
    """
    ids = [verdict.document["id"].lower() for verdict in verdicts if not verdict.errors]
    if len(set(ids)) < len(ids):
        raise ValueError("an id is there twice")
    while True:
        with tenant.transaction():
            plans = _plan_all(kind, tenant, verdicts)
            for plan, digest in zip(plans, digests, strict=False):
                if isinstance(plan, _Plan) and plan.write:
                    plan.write.columns["digest"] = digest
            if is_dry_run or _carry_out_all(tenant, plans):
                return [plan.outcome if isinstance(plan, _Plan) else plan for plan in plans]
            transaction.set_rollback(True)  # another upload created one of them meanwhile: now there is a row to lock


def _plan_all(kind: rules.Kind, tenant: Tenant, verdicts: Sequence[rules.Verdict]) -> list[_Plan | Refused]:
    good = [verdict.document["id"] for verdict in verdicts if not verdict.errors]
    locked = rows.lock_many(kind, tenant, good)
    return [_plan_one(kind, tenant, verdict, locked) for verdict in verdicts]


def _carry_out_all(tenant: Tenant, plans: list[_Plan | Refused]) -> bool:
    """Write what is to be written; False when another upload inserted one of the objects first."""
    # By id: whoever inserts waits for who inserts or changes the same. A circle is left between inserts of different sorts;
    # PostgreSQL ends one of them, and its batch is done again.
    to_write = sorted((plan for plan in plans if isinstance(plan, _Plan) and plan.write), key=_id)
    writes = [plan.write for plan in to_write if plan.write]
    written = rows.write_many(writes)
    looked = []
    for plan, write, row in zip(to_write, writes, written, strict=True):
        if row is None:
            return False
        if write.look:
            looked.append((row.id, plan, write))
    together = problems.look_many(tenant, [(pk, plan.verdict.document, write.columns) for pk, plan, write in looked])
    for pk, plan, _ in looked:
        plan.outcome.findings = plan.outcome.findings + together.get(pk, [])
    return True


def _id(plan: _Plan) -> str:
    return plan.verdict.document["id"].lower()


def _plan_one(kind: rules.Kind, tenant: Tenant, verdict: rules.Verdict, locked: dict[str, Row]) -> _Plan | Refused:
    try:
        _refuse_errors(verdict)
        return _PLANS[kind](tenant, locked.get(verdict.document["id"].lower()), verdict)
    except Refused as refusal:
        return refusal


def _carry_out(tenant: Tenant, plan: _Plan) -> Outcome | None:
    """Write; None when another upload inserted the object first."""
    if plan.write is None:
        if plan.row_id is not None:
            plan.outcome.findings = plan.outcome.findings + problems.look(tenant, plan.row_id, plan.verdict.document)
        return plan.outcome
    written = rows.write(plan.write)
    if written:
        _add_odd_together(plan, written)
    return plan.outcome if written else None


def _add_odd_together(plan: _Plan, written: rows.Written | None) -> None:
    """Add what is odd about an object together with others, of which the write has told."""
    if plan.write and plan.write.look:
        plan.outcome.findings = plan.outcome.findings + _together(plan.write.tenant, written, plan.verdict)


# --- Locations ---------------------------------------------------------------------------------------------------------


def put_location(tenant: Tenant, document: object) -> Outcome:
    """Create or replace a Location. Raises Refused, Stale."""
    return _put("location", tenant, document)


def _plan_location(tenant: Tenant, row: Row | None, verdict: rules.Verdict) -> _Plan:
    if row is not None:
        return _replace_location(tenant, row, verdict, verdict.document["last_updated"])
    change = Change() if _is_shown(verdict) else None
    write = Write("location", tenant, None, _location_columns(tenant, None, verdict, None), change, look=True)
    return _Plan(write, verdict, Outcome(True, findings=verdict.findings, growth=_in_service(verdict.document)))


def patch_location(tenant: Tenant, location_id: str, patch: object) -> Outcome:
    """Change the named fields of a Location. Raises Refused, Stale, UnknownObject."""
    with tenant.transaction():
        row = rows.lock("location", tenant, location_id) or _unknown("Location")
        verdict, own = _patched("location", row, "", orjson.loads(row.body), patch)
        named = {evse["uid"].strip(" ").lower() for evse in patch.get("evses") or ()}  # type: ignore[attr-defined]
        return _of_known(tenant, _replace_location(tenant, row, verdict, own, named))


def _of_known(tenant: Tenant, plan: _Plan) -> Outcome:
    """Carry out what concerns a locked row: nobody can have been first."""
    outcome = _carry_out(tenant, plan)
    assert outcome is not None  # noqa: S101
    return outcome


def put_evse(tenant: Tenant, location_id: str, document: object) -> Outcome:
    """Create or replace one EVSE of a known Location. Raises Refused, Stale, UnknownObject."""
    verdict = rules.check("evse", document)
    _refuse_errors(verdict)
    with tenant.transaction():
        row = rows.lock("location", tenant, location_id) or _unknown("Location")
        return _put_child(tenant, row, orjson.loads(row.body), verdict, verdict.document["last_updated"])


def patch_evse(tenant: Tenant, location_id: str, evse_uid: str, patch: object) -> Outcome:
    """Change the named fields of one EVSE. Raises Refused, Stale, UnknownObject."""
    with tenant.transaction():
        row = rows.lock("location", tenant, location_id) or _unknown("Location")
        location = orjson.loads(row.body)
        index, evse = _evse_of(location, evse_uid)
        verdict, own = _patched("evse", row, f"/evses/{index}", evse, patch)
        return _put_child(tenant, row, location, verdict, own)


def remove_evses(tenant: Tenant, location_id: str, *, is_upload: bool = True) -> Outcome:
    """Set every EVSE of a Location REMOVED, as a full set that lacks it asks, or (no upload) a tenant that leaves.

    Raises Refused, UnknownObject.
    """
    with tenant.transaction():
        row = rows.lock("location", tenant, location_id) or _unknown("Location")
        old, merge = orjson.loads(row.body), _merge(row)
        verdict = rules.check("location", merge.removed(old))
        plan = _plan_write(tenant, row, old, verdict, merge, row.unknown)
        plan.outcome.findings = merge.notes
        plan.outcome.removed = len(merge.notes)
        if plan.write:
            plan.write.is_upload = is_upload
            if plan.write.change and not is_upload:  # nobody's minute: it is our doing, and may be all there is
                plan.write.change = Change(priority=Push.Priority.BACKLOG, has_clock=False)
        return _of_known(tenant, plan)


def put_connector(tenant: Tenant, location_id: str, evse_uid: str, document: object) -> Outcome:
    """Create or replace one Connector of a known EVSE. Raises Refused, Stale, UnknownObject."""
    verdict = rules.check("connector", document)
    _refuse_errors(verdict)
    with tenant.transaction():
        row = rows.lock("location", tenant, location_id) or _unknown("Location")
        return _put_grandchild(tenant, row, evse_uid, verdict)


def patch_connector(tenant: Tenant, location_id: str, evse_uid: str, connector_id: str, patch: object) -> Outcome:
    """Change the named fields of one Connector. Raises Refused, Stale, UnknownObject."""
    with tenant.transaction():
        row = rows.lock("location", tenant, location_id) or _unknown("Location")
        index, evse = _evse_of(orjson.loads(row.body), evse_uid)
        place, connector = documents.connector_at(evse, connector_id)
        at = f"/evses/{index}/connectors/{place}"
        verdict, _ = _patched("connector", row, at, connector or _unknown("Connector"), patch)
        return _put_grandchild(tenant, row, evse_uid, verdict)


def _patched(kind: rules.Kind, row: Row, at: str, stored: dict, patch: object) -> tuple[rules.Verdict, str]:
    """Return the verdict on the stored object (`at` in the Location) with the patch applied, and the patch's last_updated."""
    verdict = rules.check_patch(kind, stored, patch)
    _refuse_errors(verdict)
    gone = _gone(kind, patch, verdict.document)
    known = {path[len(at) :]: value for path, value in (row.unknown or {}).items() if path.startswith(f"{at}/")}
    verdict.unknown = {path: known[path] for path in known if not f"{path}/".startswith(gone)} | verdict.unknown
    return verdict, rules.canonical_time(patch["last_updated"].strip(" ")) or ""  # type: ignore[index]


def _gone(kind: rules.Kind, patch: Any, document: dict) -> tuple[str, ...]:
    """Return beneath which places a patch leaves nothing of what was kept apart: nulls, and children that are replaced."""
    places = [rules.pointer(name) for name, value in patch.items() if value is None]
    if kind in CHILDREN:
        name, _, key = CHILDREN[kind]
        named = {item[key].lower() for item in patch.get(name) or ()}
        children = enumerate(document.get(name) or ())
        places += [rules.pointer(name, index) for index, child in children if child[key].lower() in named]
    return tuple(f"{place}/" for place in places)


def _replace_location(
    tenant: Tenant, row: Row, verdict: rules.Verdict, own: str, named: Container[str] | None = None
) -> _Plan:
    old, document = orjson.loads(row.body), verdict.document
    merge = _merge(row)
    _refuse_stale("Location", own, merge.sent_before("", old))
    new = merge.location(old, document, own, named)
    checked = verdict if new == document else rules.check("location", new)
    plan = _plan_write(tenant, row, old, checked, merge, verdict.unknown)
    plan.outcome.findings = checked.gaps + verdict.warnings + merge.notes + plan.outcome.findings
    plan.outcome.removed = sum(note.broken is uploads.SET_REMOVED for note in merge.notes)
    plan.outcome.growth = _in_service(checked.document) - _in_service(old)
    return plan


def _in_service(location: dict) -> int:
    return sum(1 for _ in documents.in_service(location))


def _put_child(tenant: Tenant, row: Row, location: dict, verdict: rules.Verdict, own: str) -> Outcome:
    evse = verdict.document
    index, old = documents.evse_at(location, evse["uid"])
    merge = _merge(row)
    if old:
        _refuse_stale("EVSE", own, merge.sent_before(evse["uid"].lower(), old))
    new = merge.child(location, evse, own)
    checked = rules.check("location", new)
    at = f"/evses/{index}"
    unknown = _unknown_properties(row, at, verdict)
    outcome = _of_known(tenant, _plan_write(tenant, row, location, checked, merge, unknown))
    outcome.created, outcome.findings = old is None, _told(row, at, verdict, checked, merge, outcome.findings)
    return outcome


def _put_grandchild(tenant: Tenant, row: Row, evse_uid: str, verdict: rules.Verdict) -> Outcome:
    location = orjson.loads(row.body)
    evse_index, evse = _evse_of(location, evse_uid)
    connector, merge = verdict.document, _merge(row)
    index, old = documents.connector_at(evse, connector["id"])
    key = f"{evse['uid']}/{connector['id']}".lower()
    if old:
        _refuse_stale("Connector", connector["last_updated"], merge.sent_before(key, old))
    own = merge.sent_before(evse["uid"].lower(), evse)
    connectors = list(evse["connectors"])
    connectors[index : index + 1] = [{**connector, "id": old["id"] if old else connector["id"]}]
    new = merge.child(location, {**evse, "connectors": connectors}, own)
    checked = rules.check("location", new)
    at = f"/evses/{evse_index}/connectors/{index}"
    unknown = _unknown_properties(row, at, verdict)
    outcome = _of_known(tenant, _plan_write(tenant, row, location, checked, merge, unknown))
    outcome.created, outcome.findings = old is None, _told(row, at, verdict, checked, merge, outcome.findings)
    return outcome


def _unknown_properties(row: Row, at: str, verdict: rules.Verdict) -> dict[str, Any]:
    """Return what is kept apart of the Location: the object `at` this place was replaced, and its own with it."""
    others = {path: value for path, value in (row.unknown or {}).items() if not path.startswith(f"{at}/")}
    return others | {at + path: value for path, value in verdict.unknown.items()}


def _told(
    row: Row, at: str, verdict: rules.Verdict, checked: rules.Verdict, merge: documents.Merge, together: list[Finding]
) -> list[Finding]:
    """Return what concerns the part that was sent, at paths in it: the gaps it still has `at` its place, what is odd."""
    left = {gap.path for gap in checked.gaps}
    own = [gap for gap in verdict.gaps if at + gap.path in left]
    others = len(checked.gaps) - len(own)
    if others and checked.document["publish"] and not row.is_shown:
        merge.note("", uploads.WITHHELD, count=others)
    own_together = [one.within(at) for one in together if one.path.startswith(f"{at}/")]
    return own + verdict.warnings + merge.notes + own_together


def _plan_write(
    tenant: Tenant, row: Row, old: dict, verdict: rules.Verdict, merge: documents.Merge, unknown: dict | None
) -> _Plan:
    """Plan to write what a merge came to, unless nothing changed. Raises Refused when it would unpublish a shown Location."""
    _refuse_errors(verdict)
    if len(verdict.body) > LARGEST_LOCATION:
        raise Refused.because([uploads.TOO_LARGE.at("", bytes=LARGEST_LOCATION)])
    concerns_ndw = row.is_shown or _is_owed(tenant, row)
    new_gaps = _new_gaps(row, old, verdict)
    if concerns_ndw and new_gaps:
        raise Refused.because([*new_gaps, *merge.notes])
    shows_or_hides = _is_shown(verdict, row.is_shown) != row.is_shown
    is_kept = (merge.sent or None) == row.cpo_times and (unknown or None) == row.unknown
    if row.body == verdict.body and is_kept and not shows_or_hides:
        return _Plan(None, verdict, Outcome(changed=False), row.id)
    changed = documents.content(row.body) != documents.content(verdict.body)
    status_of = documents.status_only(old, verdict.document)
    change = None
    if shows_or_hides:
        change = Change()
    elif changed and concerns_ndw:
        change = Change(evse_uid=status_of)
    columns = _location_columns(tenant, row, verdict, merge.sent or None, unknown)
    # A status of an EVSE in service brings no other tariff and no other EVSE along: by far the most uploads are that.
    look = status_of is None or documents.evse_at(old, status_of)[1]["status"] == documents.REMOVED  # type: ignore[index]
    write = Write("location", tenant, row, columns, change, look, status_of if changed else None)
    return _Plan(write, verdict, Outcome(changed=changed))


def _new_gaps(row: Row, old: dict, verdict: rules.Verdict) -> list[Finding]:
    """Return the gaps an upload opens: not those the stored Location has, be it only since the profile changed."""
    found = [gap for gap in verdict.gaps if gap.rule not in row.gaps]
    if found:
        before = {gap.rule for gap in profiles.gaps(profiles.DOT_NL_2026, "location", old)}
        found = [gap for gap in found if gap.rule not in before]
    return found


def _together(tenant: Tenant, written: rows.Written | None, verdict: rules.Verdict) -> list[Finding]:
    """Return what is odd about a Location together with other objects; only what the write came upon is asked for."""
    if written is None:
        return []
    others = problems.Others(tenant)
    others.validities |= dict.fromkeys(written.unknown_tariffs)
    others.read_tariffs(i.lower() for _, ids in documents.tariff_uses(verdict.document) if len(ids) > 1 for i in ids)
    others.read_places(written.shared_keys)
    return others.findings(written.id, verdict.document) if others.validities or others.places else []


def _is_owed(tenant: Tenant, row: Row) -> bool:
    """Return True while NDW has not accepted that a Location it had is hidden: until then it must be fit to be sent."""
    pushes = Push.objects.filter(tenant=tenant, location=row.id, connection__is_retired=False)
    return pushes.exclude(state=Push.State.DELIVERED).exists()


def _is_shown(verdict: rules.Verdict, was_shown: bool = False) -> bool:
    """A gap keeps a Location from NDW, but does not take away what NDW has: only `publish` does."""
    return verdict.document["publish"] and (was_shown or not verdict.gaps)


def _location_columns(
    tenant: Tenant, row: Row | None, verdict: rules.Verdict, sent: dict | None, unknown: dict | None = None
) -> dict[str, Any]:
    document = verdict.document
    evses = document.get("evses") or []
    tariff_ids = {tariff_id.lower() for _, ids in documents.tariff_uses(document) for tariff_id in ids}
    evse_keys = {key for _, evse in documents.in_service(document) for key in documents.evse_keys(tenant.pk, evse)}
    return _columns("location", verdict, sent, verdict.unknown if row is None else unknown) | {
        "is_shown": _is_shown(verdict, bool(row and row.is_shown)),
        "publish": document["publish"],
        "gaps": sorted({gap.rule for gap in verdict.gaps}),
        "tariff_ids": sorted(tariff_ids),
        "evse_keys": sorted(evse_keys - {""}),
        "latitude": float(document["coordinates"]["latitude"]),
        "longitude": float(document["coordinates"]["longitude"]),
        "evse_count": len(evses),
        "connector_count": sum(len(evse["connectors"]) for evse in evses),
    }


def _evse_of(location: dict, evse_uid: str) -> tuple[int, dict]:
    index, evse = documents.evse_at(location, evse_uid)
    return index, evse or _unknown("EVSE")


# --- Tariffs -----------------------------------------------------------------------------------------------------------


def put_tariff(tenant: Tenant, document: object) -> Outcome:
    """Create or replace a Tariff. Raises Refused, Stale (also when not newer than its tombstone)."""
    return _put("tariff", tenant, document)


def _plan_tariff(tenant: Tenant, row: Row | None, verdict: rules.Verdict) -> _Plan:
    if row is not None:
        return _replace_tariff(tenant, row, verdict)
    change = Change(priority=Push.Priority.TARIFF)
    write = Write("tariff", tenant, None, _tariff_columns(verdict, verdict.unknown), change)
    return _Plan(write, verdict, Outcome(created=True, findings=verdict.findings, growth=1))


def _replace_tariff(tenant: Tenant, row: Row, verdict: rules.Verdict) -> _Plan:
    old = orjson.loads(row.body)
    given, sent = verdict.document["last_updated"], old["last_updated"]
    if row.deleted and documents.order(given) <= documents.order(sent):
        raise Stale.because([uploads.DELETED_SINCE.at("/last_updated", given=given, sent=sent)])
    _refuse_stale("Tariff", given, sent)
    if verdict.document["id"] != old["id"]:  # only by case: NDW knows the first spelling
        verdict.document["id"] = old["id"]
        verdict.body = orjson.dumps(verdict.document)
    if row.body == verdict.body and (verdict.unknown or None) == row.unknown and not row.deleted:
        return _Plan(None, verdict, Outcome(changed=False, findings=verdict.findings))
    changed = row.deleted or documents.content(row.body) != documents.content(verdict.body)
    change = Change(priority=Push.Priority.TARIFF) if changed else None
    write = Write("tariff", tenant, row, _tariff_columns(verdict, verdict.unknown), change)
    outcome = Outcome(created=row.deleted, changed=changed, findings=verdict.findings, growth=int(row.deleted))
    return _Plan(write, verdict, outcome)


_PLANS: dict[rules.Kind, Callable[[Tenant, Row | None, rules.Verdict], _Plan]] = {
    "location": _plan_location,
    "tariff": _plan_tariff,
}


def _tariff_columns(verdict: rules.Verdict, unknown: dict | None) -> dict[str, Any]:
    document = verdict.document
    return _columns("tariff", verdict, None, unknown) | {
        "type": document.get("type"),
        "valid_from": document.get("start_date_time"),
        "valid_until": document.get("end_date_time"),
        "deleted_at": None,
    }


def delete_tariff(tenant: Tenant, tariff_id: str) -> Outcome:
    """Turn a Tariff into a tombstone and delete it at NDW. Raises UnknownObject; Refused while a connector names it (T-22)."""
    with tenant.transaction():
        row = rows.lock("tariff", tenant, tariff_id) or _unknown("Tariff")
        if row.deleted:
            _unknown("Tariff")
        named_by = rows.naming(tenant, tariff_id)
        if named_by:
            locations = ", ".join(named_by[:5]) + (" …" if len(named_by) > 5 else "")
            raise Refused.because([uploads.STILL_NAMED.at("", locations=locations)])
        deleted = {"deleted_at": _now(), "received_at": _now()}
        rows.write(Write("tariff", tenant, row, deleted, Change(priority=Push.Priority.TARIFF_DELETE)))
    return Outcome()


# --- The rule book has changed -----------------------------------------------------------------------------------------


def recheck(kind: rules.Kind, tenant: Tenant, ocpi_id: str) -> None:
    """Judge a stored object by the rule book as it is now; what NDW has is neither hidden nor changed by that.

    Source: design §7, "Shown".
    """
    with tenant.transaction():
        row = rows.lock(kind, tenant, ocpi_id)
        if row is None or row.deleted:
            return
        verdict = rules.check(kind, orjson.loads(row.body))
        judged, change = _judgement(kind, verdict.findings, row.unknown), None
        if verdict.document:
            of_body = (
                _tariff_columns(verdict, None) if kind == "tariff" else _location_columns(tenant, row, verdict, None)
            )
            judged |= {name: of_body[name] for name in _FROM_THE_BODY[kind]}
            if kind == "location" and judged["is_shown"] != row.is_shown:
                change = Change(priority=Push.Priority.BACKLOG, has_clock=False)
        rows.write(Write(kind, tenant, row, judged, change, is_upload=False))


_FROM_THE_BODY = {
    "location": ("is_shown", "gaps", "tariff_ids", "evse_keys"),
    "tariff": ("type", "valid_from", "valid_until"),
}


# --- Nothing is stored -------------------------------------------------------------------------------------------------


def try_out(kind: rules.Kind, tenant: Tenant, document: object) -> tuple[bool, list[Finding]]:
    """Return whether the PUT of a Location or Tariff would be refused, and all it would be told; it is rolled back."""
    put = put_location if kind == "location" else put_tariff
    with transaction.atomic():
        try:
            return False, put(tenant, document).findings
        except Refused as refusal:
            return True, refusal.findings
        finally:
            transaction.set_rollback(True)


# --- What both share ---------------------------------------------------------------------------------------------------


def _refuse_errors(verdict: Any) -> None:
    if verdict.errors:
        raise Refused.because(verdict.findings)


def _refuse_stale(what: str, given: str, sent: str) -> None:
    """Raise Stale when an object is older than the one the CPO last sent for the same."""
    if documents.order(given) < documents.order(sent):
        raise Stale.because([uploads.STALE.at("/last_updated", given=given, sent=sent, what=what)])


def _unknown(what: str) -> Any:
    raise UnknownObject(f"Unknown {what}.")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _merge(row: Row) -> documents.Merge:
    return documents.Merge(row.cpo_times or {}, timestamp())


def _json(value: Any) -> str:
    """Return the text of a jsonb value: the driver's own way takes longer than a verdict."""
    return orjson.dumps(value).decode()


def _columns(kind: rules.Kind, verdict: rules.Verdict, sent: dict | None, unknown: dict | None) -> dict[str, Any]:
    return {
        "ocpi_id": verdict.document["id"],
        "body": verdict.body,
        "last_updated": verdict.document["last_updated"],
        "cpo_times": _json(sent) if sent else None,
        "unknown": _json(unknown) if unknown else None,
        "digest": None,
        "received_at": _now(),
    } | _judgement(kind, verdict.findings, unknown)


def _judgement(kind: rules.Kind, findings: list[Finding], unknown: dict | None) -> dict[str, Any]:
    """Return the columns that hold what is kept of a verdict: not the repairs, for the stored object has them no more."""
    kept = [finding for finding in findings if not finding.broken.is_repair and finding.rule != shape.UNKNOWN.id]
    kept = uploads.capped(kept) + shape.unknown_findings(unknown or {}, kind)
    return {
        "findings": _json([finding.stored() for finding in kept]),
        "warnings": sorted({finding.rule for finding in kept if finding.severity != rules.GAP}),
        "edition": rules.EDITION,
    }
