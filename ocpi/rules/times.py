"""The rules about `last_updated`: not in the future, and no parent older than its children.

Canonical DateTimes compare as strings once the Z is cut off: then 09:15:00 is a prefix of 09:15:00.250 and so the
smaller one, while "09:15:00Z" would come after "09:15:00.250Z", because Z comes after the point.

Source: OCPI 2.2.1 mod_locations, "PUT Method"; protocol §2.9, §6.1 L-05, L-06.
"""

import datetime as dt
import time
from functools import lru_cache
from typing import Any

from ocpi.rules.findings import ERROR, WARNING, Finding, Rule, Text
from ocpi.schemas import CHILDREN, Kind

FUTURE = Rule(
    "in_the_future", "S-future", ERROR, "protocol §2.9",
    Text(
        "last_updated {given} is more than five minutes ahead of our clock",
        "last_updated {given} ligt meer dan vijf minuten voor op onze klok",
    ),
    Text("Is it local time? It must be UTC.", "Is het lokale tijd? Het moet UTC zijn."),
)  # fmt: skip
RAISED = Rule(
    "parent_raised", "L-06", WARNING, 'OCPI 2.2.1 mod_locations, "PUT Method"; protocol §6.1 L-05, L-06',
    Text(
        "last_updated {given} is older than the newest object inside; raised to {newest}",
        "last_updated {given} is ouder dan het nieuwste onderdeel; verhoogd tot {newest}",
    ),
    is_repair=True,
)  # fmt: skip
LEEWAY = dt.timedelta(minutes=5)  # clocks differ
_TO_THE_SECOND = len("2026-03-02T09:15:00")


def settle(kind: Kind, document: dict[str, Any], now: dt.datetime | None = None) -> list[Finding]:
    """Raise last_updated of parents to that of their newest child, in place; return what was found on the way.

    An object more than five minutes ahead of `now` (with a time zone; default the clock) is an error, a raised parent a
    warning.
    """
    limit = _limit(int(time.time() if now is None else now.timestamp()))
    findings: list[Finding] = []
    if document["last_updated"][:_TO_THE_SECOND] > limit or not _is_settled(kind, document):
        _settle(kind, document, "", limit, findings)
    return findings


@lru_cache(maxsize=2)
def _limit(second: int) -> str:
    return (dt.datetime.fromtimestamp(second, dt.UTC) + LEEWAY).strftime("%Y-%m-%dT%H:%M:%S")


def _is_settled(kind: Kind, obj: dict[str, Any]) -> bool:
    if kind not in CHILDREN:
        return True
    name, child, _ = CHILDREN[kind]
    given = obj["last_updated"][:-1]
    for item in obj.get(name, ()):  # noqa: SIM110  (all() takes twice as long)
        if item["last_updated"][:-1] > given or not _is_settled(child, item):
            return False
    return True


def _settle(kind: Kind, obj: dict[str, Any], path: str, limit: str, findings: list[Finding]) -> str:
    given = newest = obj["last_updated"][:-1]
    if given[:_TO_THE_SECOND] > limit:
        findings.append(FUTURE.at(f"{path}/last_updated", given=f"{given}Z"))
    if kind in CHILDREN:
        name, child, _ = CHILDREN[kind]
        for index, item in enumerate(obj.get(name, ())):
            newest = max(newest, _settle(child, item, f"{path}/{name}/{index}", limit, findings))
    if newest != given:
        obj["last_updated"] = f"{newest}Z"
        findings.append(RAISED.at(f"{path}/last_updated", given=f"{given}Z", newest=f"{newest}Z"))
    return newest
