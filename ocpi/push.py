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
from collections.abc import Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.db import Error

from ocpi import documents, doorbell, meters, ndw, queue, rulings, tokens
from ocpi.queue import Claimed, Result
from ocpi.rulings import Do, Ruling
from tenants import sql
from tenants.models import Connection

logger = logging.getLogger(__name__)

THREADS = 16
LONGEST_DRAIN_S = 7.0  # with the requests under way then, it ends within a worker's 20 s of grace
LEAST_SHARE = 8  # of a Connection where many have something due: claiming costs as much for one row as for eight
FETCHING_S = 1.0  # of one look
SLOW_MS = 1000.0
SLOW_SHARE = THREADS * 3 // 4  # requests under way of all Connections together that are slow, or not known yet
LEAST_LEASE_S = 13.0  # a request that starts later could outlive its lease
GATHER_S = 0.015  # answers of so long are written down together: a transaction each would cost more than the requests
WATCH_S = 0.5  # between looks for more to send while requests are under way
LOOK_S = 0.03  # between looks at a queue that a rate cap, a token or another object holds up
PATIENCE_S = 1.0  # of such looks; then the sweep comes back

# Of a version too large for one request: at which try of ours NDW had how many EVSEs. A lease is too short for all of many.
_pieces_sent: dict[tuple[int, int], tuple[int, int]] = {}
_took_ms: dict[str, float] = {}  # the last request to a push URL, which many Connections have in common


@cache
def _pool(pid: int) -> ThreadPoolExecutor:
    """One pool per process (threads do not survive a fork); its threads keep their sessions to NDW."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="push")


def drain(longest_s: float = LONGEST_DRAIN_S) -> int:
    """Send what is due until nothing is, or for `longest_s` seconds (0: one round); return the number of requests made."""
    doorbell.answer()
    queue.doubt()
    pool, sent, is_over = _pool(os.getpid()), 0, False
    running: dict[Future[Result], Claimed] = {}
    ends_at = time.monotonic() + longest_s
    gives_up_at = time.monotonic() + PATIENCE_S
    try:
        while True:
            held_up = False
            if is_over:
                queue.release([running.pop(future) for future in list(running) if future.cancel()])
            elif len(running) <= THREADS * 3 // 2:  # not only when the threads run dry
                began = time.monotonic()
                claimed, held_up = _claim(2 * THREADS - len(running), running.values())
                gives_up_at += time.monotonic() - began  # for an access token one may wait longer
                running |= {pool.submit(_attempt, one): one for one in claimed}
            if running:
                gives_up_at = time.monotonic() + PATIENCE_S
                done = _finished(running, held_up, ends_at)
                sent += len(done)
                again = _write_down([future.result() for future in done if running.pop(future)])
                running |= {pool.submit(_attempt, one): one for one in again}
            elif held_up and not is_over and time.monotonic() < gives_up_at:
                time.sleep(LOOK_S)
            else:
                return sent
            is_over = time.monotonic() >= ends_at
    finally:
        for future in running:  # the database is gone or our time is up: their leases run out, then they go as a whole
            future.cancel()


def _finished(running: dict[Future[Result], Claimed], held_up: bool, ends_at: float) -> set[Future[Result]]:
    """Wait for a request to end and gather those that end with it, but not past `ends_at`; held up, for the next look."""
    if held_up:
        return wait(running, LOOK_S, ALL_COMPLETED).done
    left_s = ends_at - time.monotonic()
    wait(running, min(left_s, WATCH_S) if left_s > 0 else WATCH_S, FIRST_COMPLETED)
    return wait(running, GATHER_S, ALL_COMPLETED).done


def _claim(room: int, running: Iterable[Claimed]) -> tuple[list[Claimed], bool]:
    """Share the room fairly among the Connections with something due; tells also whether any of them is held up.

    Those that take long get no more than their part of the threads: what is quick must not wait behind them.
    """
    targets = _with_tokens()  # before anything is claimed: one may have to be waited for
    slow_room = SLOW_SHARE - sum(_is_slow(one.connection) for one in running)
    claimed: list[Claimed] = []
    held_up = False
    for index, (target, token) in enumerate(targets):
        left = room - len(claimed)
        share = min(left, max(LEAST_SHARE, left // (len(targets) - index)))
        if _is_slow(target):
            share = min(share, slow_room)
        if share < 1:
            continue
        taken = queue.claim(target, share, token) if token else []
        held_up |= not taken
        claimed += taken
        slow_room -= len(taken) if _is_slow(target) else 0
    return claimed, held_up


def _is_slow(target: Connection) -> bool:
    """Return True unless the last answer from where it sends to was quick, as far as this process knows."""
    return _took_ms.get(target.push_url, SLOW_MS) >= SLOW_MS


def _with_tokens() -> list[tuple[Connection, str | None]]:
    """Return those with something due, each with its access token; after a second those that are left wait for the next look."""
    found: list[tuple[Connection, str | None]] = []
    until = time.monotonic() + FETCHING_S
    for target in queue.due_connections():
        found.append((target, _token(target)))
        if time.monotonic() > until:
            break
    return found


def _token(target: Connection) -> str | None:
    """Return an access token, None while there is none; pause what cannot get one (an account: all its Connections)."""
    try:
        ndw.check_url(target.push_url)
        return tokens.access_token(target.service_account)
    except ndw.Insecure as error:
        _pause([target], str(error))
    except tokens.AccountRefused as error:
        _pause(target.service_account.connections.select_related("tenant"), str(error))
    except Exception as error:  # one account must not stop the others
        if sql.is_away(error):
            raise
        logger.exception("no access token for %s", target)
    return None


def _pause(targets: Iterable[Connection], reason: str) -> None:
    for target in targets:
        logger.error("%s paused: %s", target, reason)
        target.pause(reason)


def _attempt(claimed: Claimed) -> Result:
    """Make one request (several when a Location has to be split). Runs in a thread of the pool."""
    result = Result(
        claimed=claimed,
        ruling=Ruling(Do.RETRY, "not sent"),
        method=_method(claimed),
        url="",
        request_id=str(uuid.uuid4()),
        started_at=dt.datetime.now(dt.UTC),
        took_ms=0,
        body_hash=hashlib.sha256(claimed.body).digest(),
    )
    if claimed.lease_ends - time.monotonic() < LEAST_LEASE_S:
        result.request_id = ""  # marks it as not sent
        return result
    started = time.monotonic()
    try:
        result.url = _url(claimed, claimed.evse_uid if _is_part(claimed) else None)
        _send(result, _body(claimed), is_part=_is_part(claimed))
        if result.ruling.do is Do.SPLIT:
            _send_split(result)
    except Exception as error:  # an object that we cannot even send must not stop the others
        logger.exception("push %s %s %s", claimed.connection, claimed.kind, claimed.ocpi_id)
        result.ruling = Ruling(Do.QUARANTINED, f"our own fault: {type(error).__name__}")
    result.took_ms = int((time.monotonic() - started) * 1000)
    result.is_late = time.monotonic() > claimed.lease_ends
    return result


def _is_part(claimed: Claimed) -> bool:
    return claimed.evse_uid is not None and not claimed.whole


def _method(claimed: Claimed) -> str:
    if claimed.is_deletion:
        return "DELETE"
    return "PATCH" if _is_part(claimed) else "PUT"


def _url(claimed: Claimed, evse_uid: str | None = None) -> str:
    tenant = claimed.connection.tenant
    ids = (claimed.ocpi_id, evse_uid) if evse_uid else (claimed.ocpi_id,)
    path = ndw.push_path(claimed.kind, tenant.country_code, tenant.party_id, *ids)
    return claimed.connection.push_url.rstrip("/") + path


def _body(claimed: Claimed) -> bytes | None:
    if claimed.is_deletion:
        return None
    if not _is_part(claimed):
        return claimed.body
    _, evse = documents.evse_at(orjson.loads(claimed.body), claimed.evse_uid or "")
    return orjson.dumps({name: evse[name] for name in ("status", "last_updated")})  # type: ignore[index]


def _send(result: Result, body: bytes | None, *, is_part: bool) -> None:
    """Make one request and put its answer and meaning into the result."""
    token = result.claimed.access_token
    result.http_status, result.ocpi_status, result.answer = None, None, ""
    try:
        answer = ndw.send(result.method, result.url, token=token, headers=_headers(result), body=body)
    except ndw.NdwError as error:
        result.ruling = rulings.judge_error(error)
        return
    result.http_status, result.ocpi_status = answer.http_status, answer.ocpi_status
    result.answer = answer.text.replace(token, "<access token>").replace("\x00", "�")[:2048]
    result.ruling = rulings.judge(result.method, is_part=is_part, tries=1, answer=answer)
    kinds = rulings.CONFLICTS if result.ruling.do is Do.WHOLE else (result.ruling.reason,)
    if result.claimed.last_answer.startswith(kinds):  # the same once more; what else went wrong does not count
        tries = result.claimed.attempts
        result.ruling = rulings.judge(result.method, is_part=is_part, tries=tries, answer=answer)


def _send_split(result: Result) -> None:
    """Send a Location that is too large for one request as itself and its EVSEs; the first answer that is no yes counts."""
    claimed, location = result.claimed, orjson.loads(result.claimed.body)
    evses = location.pop("evses", [])
    result.ruling = Ruling(Do.REJECTED, "too large for NDW")
    try_before, done = _pieces_sent.pop((claimed.id, claimed.version), (0, 0))
    if try_before != claimed.attempts - 1:  # another process may have tried since
        done = 0
    if claimed.kind == "location" and evses:
        _send_one(result, "PATCH", location)
        if result.ruling.do is Do.WHOLE:
            _send_one(result, "PUT", location)
            done = 0  # NDW has it without EVSEs now
    for evse in evses[done:]:
        if result.ruling.do is Do.DELIVERED:
            time.sleep(1 / settings.NDW_RATE_CAP)  # the claim has paid for one request
            _send_one(result, "PUT", evse, evse["uid"])
            done += result.ruling.do is Do.DELIVERED
    if result.ruling.do in (Do.RETRY, Do.THROTTLED):
        counted = claimed.attempts - (result.ruling.do is Do.THROTTLED)  # as it will be counted
        _pieces_sent[claimed.id, claimed.version] = counted, done


def _send_one(result: Result, method: str, document: dict, evse_uid: str | None = None) -> None:
    """Send one piece of a Location. The piece may be too large as well, or there may be no time left for it."""
    if result.claimed.lease_ends - time.monotonic() < LEAST_LEASE_S:
        result.ruling = Ruling(Do.RETRY, "too large for one request, and not all of it could be sent in time")
        return
    result.method, result.url, result.request_id = method, _url(result.claimed, evse_uid), str(uuid.uuid4())
    _send(result, orjson.dumps(document), is_part=method == "PATCH")
    if result.ruling.do is Do.SPLIT:
        result.ruling = Ruling(Do.REJECTED, f"{f'EVSE {evse_uid}' if evse_uid else 'Location'} is too large for NDW")


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
    unsent = [result.claimed for result in results if not result.request_id]
    results = [result for result in results if result.request_id]
    again: list[Claimed] = []
    _took_ms.update((result.claimed.connection.push_url, result.took_ms) for result in results)
    for result in results:
        if result.ruling.do in (Do.DELIVERED, Do.REJECTED):  # somebody who has looked at it, not a proxy on the way
            tokens.note_worked(result.claimed.connection.service_account, result.claimed.access_token)
    for result in results:
        if result.ruling.do is Do.REAUTHENTICATE:
            (again if _reauthenticate(result) else unsent).append(result.claimed)
    queue.record(results)
    queue.release(unsent)
    for result in results:
        _log(result)
    return again


def _reauthenticate(result: Result) -> bool:
    """Get a new token for a request NDW answered with 401. False: none to be had now; or the second 401, a pause.

    A token that another worker fetched before this row was claimed is not yet a new one: it may be as dead as ours. A new
    one that NDW has taken was revoked while this request was on its way: once more is no second 401.
    """
    claimed, account = result.claimed, result.claimed.connection.service_account
    if claimed.new_tokens > (1 if tokens.is_outdated(account, claimed.access_token) else 0):
        result.ruling = Ruling(Do.PAUSE, "HTTP 401 also with a new access token")
        return False
    try:
        tokens.invalidate(account, claimed.access_token)
        claimed.access_token = _token(claimed.connection) or ""
    except Error:  # the database is away; the other answers are still to be written down
        return False
    claimed.new_tokens += bool(claimed.access_token) and tokens.received_at(account) > claimed.claimed_at
    return bool(claimed.access_token)


def _log(result: Result) -> None:
    claimed, do = result.claimed, result.ruling.do
    somebody_must_act = do in (Do.PAUSE, Do.QUARANTINED)
    level = logging.ERROR if somebody_must_act else logging.INFO if do is Do.DELIVERED else logging.WARNING
    logger.log(
        level,
        "push %s %s %s %s: %s (%s) in %s ms, X-Request-ID %s",
        claimed.connection, result.method, claimed.kind, claimed.ocpi_id,
        do, result.ruling.reason, result.took_ms, result.request_id,
        extra={"fields": _fields(result)},
    )  # fmt: skip
    _count(result)


def _fields(result: Result) -> dict[str, Any]:
    """Return what machines read of the line: named as those of uploads and pulls are (`ocpi.access`)."""
    claimed = result.claimed
    return {
        "event": "push",
        "tenant": str(claimed.connection.tenant),
        "environment": claimed.connection.environment,
        "method": result.method,
        "kind": "evse" if _is_part(claimed) else claimed.kind,
        "id": f"{claimed.ocpi_id}/{claimed.evse_uid}" if _is_part(claimed) else claimed.ocpi_id,
        "outcome": result.ruling.do.value,
        "status": result.http_status,
        "code": result.ocpi_status,
        "ms": result.took_ms,
        "bytes_out": len(claimed.body),
        "request_id": result.request_id,
        "correlation_id": claimed.correlation_id or result.request_id,
    }


def _count(result: Result) -> None:
    environment, do, changed_at = result.claimed.connection.environment, result.ruling.do, result.claimed.changed_at
    meters.of(meters.pushes, environment, do.value).inc()
    meters.of(meters.push_seconds, environment).observe(result.took_ms / 1000)
    if do is Do.DELIVERED and changed_at:
        age = result.started_at + dt.timedelta(milliseconds=result.took_ms) - changed_at
        meters.of(meters.push_age_seconds, environment).observe(max(age.total_seconds(), 0))
