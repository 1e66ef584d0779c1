"""Deliver due Push rows to NDW: claim, send with no transaction open, write down what came of it.

`drain` may run anywhere, twice, late or next to itself: the doorbell, beat and the relay all call it. Threads only talk to
NDW; the calling thread alone talks to the database.
Source: NDW DOT-NL, "Push"; protocol §7.4, §7.5, §9.
"""

import datetime as dt
import hashlib
import logging
import os
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache

import orjson

from ocpi import documents, doorbell, ndw, queue, rulings, tokens
from ocpi.queue import Claimed, Result
from ocpi.rulings import Do, Ruling
from tenants.models import Connection

logger = logging.getLogger(__name__)

THREADS = 16
LONGEST_DRAIN_S = 10.0
LEAST_LEASE_S = 13.0  # a request that starts later could outlive its lease
LOOK_S = 0.05  # between looks at a queue that a rate cap, a token or another object holds up
PATIENCE_S = 1.0  # of such looks; then the sweep comes back


@cache
def _pool(pid: int) -> ThreadPoolExecutor:
    """One pool per process (threads do not survive a fork); its threads keep their sessions to NDW."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="push")


def drain(longest_s: float = LONGEST_DRAIN_S) -> int:
    """Send what is due until nothing is, at most `longest_s` seconds; return the number of requests made."""
    doorbell.answer()
    pool, sent = _pool(os.getpid()), 0
    running: dict[Future[Result], Claimed] = {}
    ends_at = time.monotonic() + longest_s
    gives_up_at = time.monotonic() + PATIENCE_S
    while True:
        held_up = False
        if time.monotonic() < ends_at and len(running) <= THREADS:
            claimed, held_up = _claim(2 * THREADS - len(running))
            running |= {pool.submit(_attempt, one): one for one in claimed}
        if running:
            gives_up_at = time.monotonic() + PATIENCE_S
            done, _ = wait(running, timeout=LOOK_S if held_up else 1.0, return_when=FIRST_COMPLETED)
            sent += len(done)
            again = _write_down([future.result() for future in done if running.pop(future)])
            running |= {pool.submit(_attempt, one): one for one in again}
        elif held_up and time.monotonic() < min(ends_at, gives_up_at):
            time.sleep(LOOK_S)
        else:
            return sent


def _claim(room: int) -> tuple[list[Claimed], bool]:
    """Share the room fairly among the Connections with something due; tells also whether any of them is held up."""
    targets = queue.due_connections()
    share, claimed, held_up = max(1, room // len(targets)) if targets else 0, [], False
    for target in targets[:room]:
        token = _token(target)
        taken = queue.claim(target, share, token) if token else []
        held_up |= not taken
        claimed += taken
    return claimed, held_up


def _token(target: Connection) -> str | None:
    try:
        ndw.check_url(target.push_url)
        return tokens.access_token(target.service_account)
    except (tokens.AccountRefused, ndw.Insecure) as error:
        logger.error("%s paused: %s", target, error)
        target.pause(str(error))
        return None


def _attempt(claimed: Claimed) -> Result:
    """Make one request (several when a Location has to be split). Runs in a thread of the pool."""
    base = claimed.connection.push_url.rstrip("/")
    result = Result(
        claimed=claimed,
        ruling=Ruling(Do.RETRY, "not sent"),
        method=_method(claimed),
        url=base + _path(claimed),
        request_id=str(uuid.uuid4()),
        started_at=dt.datetime.now(dt.UTC),
        took_ms=0,
        body_hash=hashlib.sha256(claimed.body).digest(),
    )
    if claimed.lease_ends - time.monotonic() < LEAST_LEASE_S:
        result.request_id = ""  # marks it as not sent
        return result
    started = time.monotonic()
    _send(result, _body(claimed))
    if result.ruling.do is Do.SPLIT:
        _send_evses(result)
    result.took_ms = int((time.monotonic() - started) * 1000)
    return result


def _is_part(claimed: Claimed) -> bool:
    return claimed.evse_uid is not None and not claimed.whole


def _method(claimed: Claimed) -> str:
    if claimed.is_deleted:
        return "DELETE"
    return "PATCH" if _is_part(claimed) else "PUT"


def _path(claimed: Claimed, *below: str) -> str:
    tenant = claimed.connection.tenant
    ids = (claimed.ocpi_id, claimed.evse_uid) if _is_part(claimed) else (claimed.ocpi_id, *below)
    return ndw.push_path(claimed.kind, tenant.country_code, tenant.party_id, *[part for part in ids if part])


def _body(claimed: Claimed) -> bytes | None:
    if claimed.is_deleted:
        return None
    if not _is_part(claimed):
        return claimed.body
    _, evse = documents.evse_at(orjson.loads(claimed.body), claimed.evse_uid or "")
    return orjson.dumps({"status": evse["status"], "last_updated": evse["last_updated"]}) if evse else claimed.body


def _send(result: Result, body: bytes | None) -> None:
    """Make one request and put its answer and meaning into the result."""
    claimed = result.claimed
    try:
        answer = ndw.send(result.method, result.url, token=claimed.access_token, headers=_headers(result), body=body)
    except ndw.NdwError as error:
        result.ruling = rulings.judge_error(error)
        return
    result.http_status, result.ocpi_status = answer.http_status, answer.ocpi_status
    result.answer = answer.text[:2048].replace("\x00", "�")
    result.ruling = rulings.judge(result.method, is_part=_is_part(claimed), tries=claimed.attempts, answer=answer)


def _send_evses(result: Result) -> None:
    """PUT the EVSEs of a Location that is too large for one request; the worst answer counts."""
    claimed, base = result.claimed, result.claimed.connection.push_url.rstrip("/")
    for evse in orjson.loads(claimed.body).get("evses") or []:
        if claimed.lease_ends - time.monotonic() < LEAST_LEASE_S:
            result.ruling = Ruling(Do.RETRY, "too large for one request; not all EVSEs could be sent in time")
            return
        result.url, result.request_id = base + _path(claimed, evse["uid"]), str(uuid.uuid4())
        _send(result, orjson.dumps(evse))
        if result.ruling.do is Do.SPLIT:
            result.ruling = Ruling(Do.REJECTED, f"EVSE {evse['uid']} is too large for NDW")
        if result.ruling.do is not Do.DELIVERED:
            return


def _headers(result: Result) -> dict[str, str]:
    tenant = result.claimed.connection.tenant
    return {
        "X-Request-ID": result.request_id,
        "X-Correlation-ID": result.claimed.correlation_id or result.request_id,
        "OCPI-from-country-code": tenant.country_code,
        "OCPI-from-party-id": tenant.party_id,
    }


def _write_down(results: list[Result]) -> list[Claimed]:
    """Record finished requests; return those to send once more with a new access token."""
    queue.release([result.claimed for result in results if not result.request_id])
    results = [result for result in results if result.request_id]
    again = [result.claimed for result in results if result.ruling.do is Do.REAUTHENTICATE and _reauthenticate(result)]
    queue.record(results)
    for result in results:
        _log(result)
    return again


def _reauthenticate(result: Result) -> bool:
    """Get a new token for a request NDW answered with 401; on the second 401, or without a token, rule anew."""
    claimed = result.claimed
    if claimed.has_new_token:
        result.ruling = Ruling(Do.PAUSE, "HTTP 401 also with a new access token")
        return False
    tokens.invalidate(claimed.connection.service_account, claimed.access_token)
    claimed.access_token, claimed.has_new_token = _token(claimed.connection) or "", True
    if not claimed.access_token:
        result.ruling = Ruling(Do.THROTTLED, "HTTP 401, and no new access token to be had")
        return False
    return True


def _log(result: Result) -> None:
    claimed, do = result.claimed, result.ruling.do
    somebody_must_act = do in (Do.PAUSE, Do.QUARANTINED)
    level = logging.ERROR if somebody_must_act else logging.INFO if do is Do.DELIVERED else logging.WARNING
    logger.log(
        level,
        "push %s %s %s %s: %s (%s) in %s ms, X-Request-ID %s",
        claimed.connection, result.method, claimed.kind, claimed.ocpi_id,
        do, result.ruling.reason, result.took_ms, result.request_id,
    )  # fmt: skip
