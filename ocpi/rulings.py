"""What each answer of NDW means for the object and for the Connection: the action table, in one place.

Source: protocol §9; design §7, "One odd object does not stop a tenant"; reliability C8.
"""

import datetime as dt
import enum
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from ocpi.ndw import Answer, Insecure, NdwError, Unanswered

LONGEST_WAIT_S = 900.0


class Do(enum.StrEnum):
    """What to do after one request."""

    DELIVERED = "delivered"
    RETRY = "retry"  # outcome unknown or a passing fault: current state again, later
    WHOLE = "whole"  # the part had no base at NDW: PUT the whole Location now
    SPLIT = "split"  # too large: the Location's EVSEs one by one
    REJECTED = "rejected"  # the content is refused: nothing more until it changes or an operator sends it again
    QUARANTINED = "quarantined"  # our request is refused as such: like rejected, but it counts against the Connection
    THROTTLED = "throttled"  # the whole Connection waits; not the object's fault
    REAUTHENTICATE = "new token"  # NDW knows our access token no more: another one, once
    PAUSE = "pause"  # credentials, URL, certificate or party are wrong: an operator must look


@dataclass
class Ruling:
    """The meaning of one answer."""

    do: Do
    reason: str
    wait_s: float | None = None  # what NDW asked for in Retry-After
    may_arrive: bool = False  # nobody waits for the request any more, and NDW may yet apply it
    is_lasting: bool = False  # NDW has failed on this object so often that haste is of no use


BY_HTTP_STATUS = {
    204: Do.DELIVERED,
    400: Do.QUARANTINED,
    401: Do.REAUTHENTICATE,
    403: Do.PAUSE,
    404: Do.QUARANTINED,
    405: Do.QUARANTINED,
    406: Do.QUARANTINED,
    408: Do.RETRY,
    409: Do.WHOLE,
    410: Do.QUARANTINED,
    411: Do.QUARANTINED,
    412: Do.WHOLE,
    413: Do.SPLIT,
    414: Do.QUARANTINED,
    415: Do.QUARANTINED,
    422: Do.REJECTED,
    425: Do.RETRY,
    429: Do.THROTTLED,
    501: Do.QUARANTINED,
    505: Do.QUARANTINED,
}
BY_OCPI_STATUS = {3001: Do.PAUSE, 3002: Do.PAUSE, 3003: Do.PAUSE, 4001: Do.PAUSE}
BY_OCPI_CLASS = {1: Do.DELIVERED, 2: Do.REJECTED, 3: Do.RETRY, 4: Do.RETRY}
BY_HTTP_CLASS = {3: Do.PAUSE, 4: Do.QUARANTINED, 5: Do.RETRY}

GARBLED = "No usable OCPI envelope, again and again"
CONFLICTS = ("HTTP 409", "HTTP 412")
GAVE_UP_WAITING = (408, 504)  # somebody on the way: who is behind may yet apply the request

# After so many tries of one version a fault of the same kind is no longer worth another, or no longer a quick one.
GARBLED_TRIES, WHOLE_TRIES, FAST_TRIES = 5, 2, 10


def judge(method: str, *, is_part: bool, tries: int, answer: Answer) -> Ruling:
    """Rule on an answer, in the order HTTP, content, OCPI status.

    `is_part`: the request was for an EVSE, not for a whole object. `tries`: requests for this version, with this one.
    """
    status = answer.http_status
    if status in (200, 201):
        return _judge_envelope(is_part, tries, answer)
    if method == "DELETE" and status in (404, 410):
        return Ruling(Do.DELIVERED, "already gone")
    if is_part and status == 404:
        return Ruling(Do.WHOLE, "NDW does not know the object")
    do = BY_HTTP_STATUS.get(status) or BY_HTTP_CLASS.get(status // 100, Do.RETRY)
    if do is Do.WHOLE and tries >= WHOLE_TRIES:
        do = Do.REJECTED
    if do is Do.SPLIT and is_part:
        do = Do.REJECTED
    wait_s = _retry_after(answer) if do in (Do.RETRY, Do.THROTTLED) else None
    return Ruling(do, f"HTTP {status}", wait_s, may_arrive=status in GAVE_UP_WAITING)


def _judge_envelope(is_part: bool, tries: int, answer: Answer) -> Ruling:
    code = answer.ocpi_status
    if code is None or code // 1000 not in BY_OCPI_CLASS:
        if tries < GARBLED_TRIES:
            return Ruling(Do.RETRY, "No usable OCPI envelope")
        return Ruling(Do.QUARANTINED, GARBLED)
    if is_part and code == 2003:
        return Ruling(Do.WHOLE, "OCPI 2003")
    do = BY_OCPI_STATUS.get(code) or BY_OCPI_CLASS[code // 1000]
    return Ruling(do, f"OCPI {code}", is_lasting=code // 1000 == 3 and tries > FAST_TRIES)


def judge_error(error: NdwError) -> Ruling:
    """Rule on a request that got no answer: NDW may or may not have applied it."""
    reason = str(error).replace("\x00", "")[:500]
    do = Do.PAUSE if isinstance(error, Insecure) else Do.RETRY
    return Ruling(do, reason, may_arrive=isinstance(error, Unanswered))


def _retry_after(answer: Answer) -> float | None:
    """Return the seconds NDW asks us to wait, between 1 and LONGEST_WAIT_S; None when it did not say."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        seconds = float(value[:6])
    else:
        try:
            seconds = (parsedate_to_datetime(value) - dt.datetime.now(dt.UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 1.0), LONGEST_WAIT_S)
