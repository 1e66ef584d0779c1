"""After a round: what was accepted, what the gateway serves, what NDW holds; and what the journals say of the way there."""

import datetime as dt
import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests import ndw_simulator
from tests.chaos.cpo import Cpo
from tests.chaos.stage import Stage
from tests.documents import Body

SHOWN = 5  # differences that are printed

_WAITING = """
    SELECT count(*) FROM ocpi_push p JOIN tenants_connection c ON c.id = p.connection_id
    JOIN tenants_tenant t ON t.id = p.tenant_id
    WHERE NOT c.is_retired AND NOT c.is_paused AND t.party_id = ANY (%s) AND (p.state = 'dirty' OR p.lease_token IS NOT NULL)
"""
_PUT_ASIDE = """
    SELECT t.party_id || '/' || coalesce(l.ocpi_id, r.ocpi_id), p.state, p.last_answer FROM ocpi_push p
    JOIN tenants_connection c ON c.id = p.connection_id JOIN tenants_tenant t ON t.id = p.tenant_id
    LEFT JOIN ocpi_location l ON l.id = p.location_id LEFT JOIN ocpi_tariff r ON r.id = p.tariff_id
    WHERE NOT c.is_retired AND p.state NOT IN ('dirty', 'delivered')
"""
_REPLAY = """
    UPDATE ocpi_push p SET state = 'dirty', whole = true, evse_uid = NULL, version = version + 1, attempts = 0,
        due_at = clock_timestamp() FROM tenants_connection c
    WHERE c.id = p.connection_id AND NOT c.is_retired AND p.state = 'rejected' AND p.last_answer LIKE '%%usable OCPI envelope%%'
    RETURNING p.id
"""


@dataclass
class Way:
    """How changes came to NDW: ages in seconds, requests, steps back in time."""

    ages: list[float] = field(default_factory=list)
    never: int = 0  # accepted, and nothing as new ever came to NDW
    requests: int = 0
    backward: int = 0
    healed_s: list[float] = field(default_factory=list)

    def age(self, percent: int) -> float:
        """Return a percentile of the ages; 100 is the oldest."""
        return percentile(self.ages, percent)


@dataclass
class Outcome:
    """What one comparison found."""

    objects: int = 0
    differences: list[str] = field(default_factory=list)
    replayed: int = 0
    settled_s: float = 0.0


def percentile(figures: list[float], percent: int) -> float:
    """Return a percentile; 0 of nothing."""
    if len(figures) < 2 or percent == 100:
        return max(figures, default=0.0)
    return statistics.quantiles(figures, n=100, method="inclusive")[percent - 1]


def settle(stage: Stage, cpos: Iterable[Cpo], timeout_s: float) -> Outcome:
    """Wait until nothing waits any more; the operator sends again what five garbled answers in a row have put aside."""
    outcome, began, parties = Outcome(), time.monotonic(), [cpo.party for cpo in cpos]

    def waiting() -> int:
        return stage.sql(_WAITING, parties)[0][0]

    for _ in range(3):
        try:
            left_s = max(1.0, timeout_s - (time.monotonic() - began))
            stage.wait_for(lambda: not waiting(), left_s, "the queue to be empty")
        except TimeoutError:
            outcome.differences.append(f"{waiting()} rows still wait after {timeout_s:g} s")
            break
        again = len(stage.sql(_REPLAY))
        outcome.replayed += again
        if not again:
            break
    outcome.settled_s = time.monotonic() - began
    outcome.differences += [f"{name} is {state}: {words}" for name, state, words in stage.sql(_PUT_ASIDE)]
    paused = "SELECT pause_reason FROM tenants_connection WHERE is_paused AND NOT is_retired"
    outcome.differences += [f"a Connection is paused: {reason}" for (reason,) in stage.sql(paused)]
    return outcome


def compare(stage: Stage, cpos: Iterable[Cpo], outcome: Outcome) -> Outcome:
    """Add every object that is not the same three times over."""
    held = stage.ndw("/_state?full=1")
    for cpo in cpos:
        served = _served(stage, cpo, outcome)
        for (kind, ocpi_id), document in cpo.holds.items():
            outcome.objects += 1
            path = f"{kind}/NL/{cpo.party}/{ocpi_id.lower()}"
            may_be = [document, cpo.maybe.get((kind, ocpi_id), document)]
            at_ndw = held["documents"][kind].get(path.removeprefix(f"{kind}/"))
            ours = served.get((kind, ocpi_id))
            outcome.differences += _differences(stage, path, may_be, ours, at_ndw, held["history"])
        outcome.differences += cpo.odd
    return outcome


def _differences(stage: Stage, path: str, may_be: list[Body], ours: Any, at_ndw: Any, history: dict) -> list[str]:
    found = []
    if ours not in may_be:
        found.append(f"{path}: accepted {_brief(may_be[0])}, served {_brief(ours)}")
    if at_ndw != ours:
        steps = [step[1:] for step in history.get(path, [])[-4:]]
        found.append(f"{path}: served {_brief(ours)}, NDW holds {_brief(at_ndw)}; its last steps there {steps}")
    return found


def _brief(document: Any) -> str:
    if document is None:
        return "nothing"
    statuses = [f"{evse['status']} {evse['last_updated']}" for evse in document.get("evses", [])]
    return " ".join([document["last_updated"], document.get("name", ""), *statuses])


def _served(stage: Stage, cpo: Cpo, outcome: Outcome) -> dict[tuple[str, str], Body]:
    """Pull a party as NDW does."""
    base_url = f"http://127.0.0.1:{stage.port}/ocpi/sender/NL/{cpo.party}"
    crawl = ndw_simulator.crawl(base_url, token=cpo.pull_token, limit=1000)
    outcome.differences += crawl.problems
    kinds = (("locations", crawl.locations), ("tariffs", crawl.tariffs))
    return {(kind, one.document["id"]): one.document for kind, pulled in kinds for one in pulled}


def way(stage: Stage, cpos: Iterable[Cpo]) -> Way:
    """Read the journals: each accepted change and when NDW first had something as new."""
    found, state = Way(), stage.ndw("/_state?full=1")
    parties = set()
    for cpo in cpos:
        parties.add(cpo.party)
        for (kind, ocpi_id), accepted in cpo.accepted.items():
            steps = state["history"].get(f"{kind}/NL/{cpo.party}/{ocpi_id.lower()}", [])
            steps = steps + _of_children(state["history"], f"{kind}/NL/{cpo.party}/{ocpi_id.lower()}/", kind)
            for change in accepted:
                came = [at for at, stamp, _ in steps if stamp >= change.stamp]
                found.never += not came
                found.ages += [max(0.0, min(came) - change.at)] if came else []
    stale = [step for step in state["stale"] if step["path"].split("/")[2] in parties]
    found.backward = len(stale)
    found.healed_s = [_healed_s(step, state["history"]) for step in stale]
    return found


def _of_children(history: dict, prefix: str, kind: str) -> list[Any]:
    if kind != "locations":
        return []
    paths = [f"{prefix}{prefix.split('/')[3]}-e{number}" for number in range(2)]
    return [step for path in paths for step in history.get(path, [])]


def _healed_s(step: dict, history: dict) -> float:
    later = [at for at, stamp, _ in history.get(step["path"], []) if at > step["at"] and stamp >= step["held"]]
    return min(later) - step["at"] if later else float("inf")


def log_of(stage: Stage, cpos: Iterable[Cpo], since: int = 0) -> list[dict[str, Any]]:
    """Return the push requests of these parties, in order."""
    marks = [f"/NL/{cpo.party}/" for cpo in cpos]
    return [record for record in stage.ndw(f"/_log?since={since}") if any(mark in record["path"] for mark in marks)]


def extra_requests(log: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many requests repeated a body NDW was already sent, and how many answers a fault spoilt."""
    states = {(record["path"], json.dumps(record["body"], sort_keys=True)) for record in log}
    return len(log) - len(states), sum(1 for record in log if record["fault"])


def retries_in_part(log: list[dict[str, Any]]) -> list[str]:
    """Return each object for which a spoilt request was followed by a part, and not by the whole."""
    spoilt: dict[str, bool] = {}
    wrong = []
    for record in log:
        path = "/".join(record["path"].split("/")[:5])
        if spoilt.get(path) and record["method"] == "PATCH":
            wrong.append(f"{path}: a spoilt request was followed by PATCH, not by the whole")
        spoilt[path] = bool(record["fault"]) and record["fault"] != "delay"
    return wrong


def now() -> str:
    """Return the time of day, for progress lines."""
    return dt.datetime.now(dt.UTC).strftime("%H:%M:%S")
