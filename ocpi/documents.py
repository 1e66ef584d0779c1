"""Merge an upload into the stored document: newest wins per EVSE and Connector, no EVSE ever vanishes.

Documents are canonical (`ocpi.rules.check` made them). `sent` holds what the CPO itself sent as `last_updated` where we
serve another value, keyed "" (Location), "<evse uid>" and "<evse uid>/<connector id>" in lower case; staleness is judged by
it, not by what we serve. Pure functions: nothing here touches the database.
Source: OCPI 2.2.1 mod_locations, "Flow and Lifecycle", "PUT Method"; protocol §2.9, L-04, L-05.
"""

import datetime as dt
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from ocpi.envelope import timestamp
from ocpi.rules import Finding, Rule, shown, uploads

REMOVED = "REMOVED"
_MANDATORY_IN_CONNECTOR = ("max_electric_power", "tariff_ids")
_TIMES = re.compile(rb'"last_updated":"[^"]*"')

Times = dict[str, str]


def order(last_updated: str) -> str:
    """Return a key that sorts canonical DateTimes: without the Z, "…00" is a prefix of "…00.250" and sorts before it."""
    return last_updated[:-1]


def latest(*times: str) -> str:
    """Return the latest of canonical DateTimes."""
    return max(times, key=order)


def just_after(last_updated: str) -> str:
    """Return the DateTime one millisecond later."""
    return timestamp(dt.datetime.fromisoformat(last_updated) + dt.timedelta(milliseconds=1))


def content(body: bytes) -> bytes:
    """Return a canonical body without its timestamps: equal content needs no push."""
    return _TIMES.sub(b"", body)


def evse_at(document: dict, evse_uid: str) -> tuple[int, dict | None]:
    """Return position and EVSE of that uid (case does not matter); (number of EVSEs, None) when there is none."""
    evses = document.get("evses") or []
    for index, evse in enumerate(evses):
        if evse["uid"].lower() == evse_uid.lower():
            return index, evse
    return len(evses), None


def connector_at(evse: dict, connector_id: str) -> tuple[int, dict | None]:
    """Return position and Connector of that id (case does not matter); (number of connectors, None) when none."""
    for index, connector in enumerate(evse["connectors"]):
        if connector["id"].lower() == connector_id.lower():
            return index, connector
    return len(evse["connectors"]), None


def in_service(location: dict) -> Iterator[tuple[int, dict]]:
    """Yield place and EVSE of those that are not REMOVED."""
    for index, evse in enumerate(location.get("evses") or ()):
        if evse["status"] != REMOVED:
            yield index, evse


def tariff_uses(location: dict) -> Iterator[tuple[str, list[str]]]:
    """Yield for each Connector in service the JSON Pointer of its `tariff_ids`, and those."""
    for index, evse in in_service(location):
        for place, connector in enumerate(evse["connectors"]):
            yield f"/evses/{index}/connectors/{place}/tariff_ids", connector.get("tariff_ids") or []


def evse_keys(tenant_id: int, evse: dict) -> tuple[str, str]:
    """Return the two keys no other EVSE may have: its uid within the party, its evse_id in the world ("" without one).

    Source: protocol §1.1.
    """
    return f"{tenant_id}/{evse['uid'].lower()}", normalised(evse.get("evse_id", ""))


def normalised(evse_id: str) -> str:
    """Return an evse_id as it is compared: without separators, in capitals; "" when it does not look like one."""
    bare = evse_id.translate(_SEPARATORS).upper()
    return bare if _EVSE_ID(bare) else ""


_SEPARATORS = str.maketrans("", "", "*- ")
_EVSE_ID = re.compile(r"[A-Z]{2}[A-Z0-9]{3}E[A-Z0-9]+").fullmatch


@dataclass
class Merge:
    """One upload being merged: what was sent before, what is from now on, and what to tell the CPO."""

    before: Times
    now: str
    sent: Times = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)

    def sent_before(self, key: str, served: dict) -> str:
        """Return the `last_updated` the CPO last sent for a stored object."""
        return self.before.get(key, served["last_updated"])

    def remember(self, key: str, own: str, served: str) -> None:
        """Keep the CPO's own time where it differs from the served one."""
        if own != served:
            self.sent[key] = own

    def keep(self, key: str) -> None:
        """Carry over what was known of a stored child and its children."""
        self.sent |= {k: v for k, v in self.before.items() if k == key or k.startswith(f"{key}/")}

    def note(self, path: str, rule: Rule, **values: object) -> None:
        """Add a warning to the answer."""
        self.notes.append(rule.at(path, **values))

    def location(self, old: dict, new: dict, own: str, named: Container[str] | None = None) -> dict:
        """Return the Location to store when `new` (sent with `own` as last_updated) replaces `old`.

        Of a PATCH `named` holds the uids in lower case of the EVSEs it brings; the others are there as they were stored.
        """
        new = {**new, "id": old["id"]}
        old_evses = {evse["uid"].lower(): evse for evse in old.get("evses") or []}
        evses = []
        for index, evse in enumerate(new.get("evses") or []):
            uid = evse["uid"].lower()
            is_sent = named is None or uid in named
            evses.append(self.evse(old_evses.pop(uid, None), evse, f"/evses/{index}", is_sent=is_sent))
        evses += [self._missing(evse, own) for evse in old_evses.values()]
        if evses:
            new["evses"] = evses
        return self._settle("", old, new, own, "evses")

    def removed(self, location: dict) -> dict:
        """Return the Location to store when a full set lacks it: all its EVSEs are REMOVED."""
        self.sent = dict(self.before)
        evses = location.get("evses") or []
        new = {**location, "evses": [evse if evse["status"] == REMOVED else self._removed(evse) for evse in evses]}
        return self._settle("", location, new, self.sent_before("", location), "evses")

    def child(self, location: dict, evse: dict, own: str) -> dict:
        """Return the Location to store when one EVSE (sent with `own` as last_updated) is put into it."""
        index, old = evse_at(location, evse["uid"])
        key = evse["uid"].lower()
        self.sent = {k: v for k, v in self.before.items() if k != key and not k.startswith(f"{key}/")}
        evses = list(location.get("evses") or [])
        evses[index : index + 1] = [self.evse(old, evse, "", own)]
        new = {**location, "evses": evses}
        return self._settle("", location, new, self.sent_before("", location), "evses")

    def evse(self, old: dict | None, new: dict, path: str, own: str = "", *, is_sent: bool = True) -> dict:
        """Return the EVSE to store: `new` (sent with `own` as last_updated) over `old`, or `old` where that is newer."""
        own = own or new["last_updated"]
        if old is None:
            return new
        key = old["uid"].lower()
        sent = self.sent_before(key, old)
        if new == old:
            self.keep(key)
            if is_sent:  # the same as we serve, but perhaps newer than what was sent before
                self.sent.pop(key, None)
                self.remember(key, latest(own, sent), old["last_updated"])
            return old
        if order(own) < order(sent):
            self.note(path, uploads.STALE_EVSE)
            own, new = sent, {**old, "connectors": _newer_connectors(old, new)}
        new = {**new, "uid": old["uid"]}
        if new["status"] == REMOVED:
            new = _inherit(old, new)
        old_connectors = {connector["id"].lower(): connector for connector in old["connectors"]}
        new["connectors"] = [
            self._connector(key, old_connectors.get(connector["id"].lower()), connector, f"{path}/connectors/{index}")
            for index, connector in enumerate(new["connectors"])
        ]
        if old["status"] == REMOVED != new["status"]:
            self.note(f"{path}/status", uploads.BROUGHT_BACK)
        return self._settle(key, old, new, own, "connectors")

    def _connector(self, evse_key: str, old: dict | None, new: dict, path: str) -> dict:
        if old is None:
            return new
        key = f"{evse_key}/{old['id'].lower()}"
        if order(new["last_updated"]) < order(self.sent_before(key, old)):
            self.note(path, uploads.STALE_CONNECTOR)
            self.keep(key)
            return old
        return {**new, "id": old["id"]}

    def _missing(self, evse: dict, own: str) -> dict:
        """Keep an EVSE the CPO left out, as REMOVED (NDW must never see one vanish, L-04), or as it is if it is newer."""
        key = evse["uid"].lower()
        self.keep(key)
        if evse["status"] == REMOVED:
            return evse
        if order(self.sent_before(key, evse)) > order(own):
            self.note("/evses", uploads.NEWER_KEPT, uid=shown(evse["uid"]))
            return evse
        return self._removed(evse)

    def _removed(self, evse: dict) -> dict:
        key = evse["uid"].lower()
        self.note("/evses", uploads.SET_REMOVED, uid=shown(evse["uid"]))
        stamp = latest(just_after(evse["last_updated"]), self.now)
        self.sent[key] = self.sent_before(key, evse)
        return {**evse, "status": REMOVED, "last_updated": stamp}

    def _settle(self, key: str, old: dict, new: dict, own: str, children: str) -> dict:
        """Raise the parent to its children, and never let a served time go backwards."""
        served = latest(new["last_updated"], *(child["last_updated"] for child in new.get(children) or []))
        if order(served) < order(old["last_updated"]):
            same = {**new, "last_updated": ""} == {**old, "last_updated": ""}
            served = old["last_updated"] if same else just_after(old["last_updated"])
        self.remember(key, own, served)
        return {**new, "last_updated": served}


def _newer_connectors(old: dict, new: dict) -> list[dict]:
    """Return the stored Connectors, each in the newer of both versions: a status that overtook them hides no tariff."""
    given = {connector["id"].lower(): connector for connector in new["connectors"]}
    pairs = [(given.get(stored["id"].lower(), stored), stored) for stored in old["connectors"]]
    return [max(pair, key=lambda connector: order(connector["last_updated"])) for pair in pairs]


def _inherit(old: dict, new: dict) -> dict:
    """Return a REMOVED EVSE completed with the stored mandatory values it no longer carries."""
    if new.get("parking_restrictions") is None and old.get("parking_restrictions") is not None:
        new = {**new, "parking_restrictions": old["parking_restrictions"]}
    stored = {connector["id"].lower(): connector for connector in old["connectors"]}
    connectors = []
    for connector in new["connectors"]:
        same = stored.get(connector["id"].lower(), {})
        lacks = {name: same[name] for name in _MANDATORY_IN_CONNECTOR if not connector.get(name) and same.get(name)}
        connectors.append(connector | lacks)
    return {**new, "connectors": connectors}


def status_only(old: dict, new: dict) -> str | None:
    """Return the uid of the one EVSE whose status is all that changed, or None when anything else did."""
    if not _same(old, new, "evses"):
        return None
    before, after = old.get("evses") or [], new.get("evses") or []
    changed = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
    if len(before) != len(after) or len(changed) != 1:
        return None
    a, b = changed[0]
    return b["uid"] if _same(a, b, "status") else None


def _same(a: dict, b: dict, apart_from: str) -> bool:
    ignored = {"last_updated", apart_from}
    return {k: v for k, v in a.items() if k not in ignored} == {k: v for k, v in b.items() if k not in ignored}
