"""How often somebody may ask: token buckets in the memory of each web process, which has its share of the whole.

Nothing is shared and nothing is asked of a server: a limit that holds on average is enough, and it may not depend on Redis.
A tenant's uploads are limited so that one does not take all; refused credentials by address, so that guessing is slow, and at the
token endpoint slower. Who was let in before is let in also from an address where others guess.
Source: reliability C33, E12-288; protocol §2.3.
"""

import math
import time
from typing import Any

from django.conf import settings

BURST_S = 10  # of a tenant's rate, in one go
MOST_KEYS = 10_000
TOKEN_SHARE = 3  # of the refusals an address may have, one in so many at the token endpoint


class Buckets:
    """A bucket for each key, filled at so many a second up to a burst. Two threads may now and then both take the last."""

    def __init__(self) -> None:
        self._level: dict[Any, tuple[float, float]] = {}  # key -> (what was left, when)

    def take(self, key: Any, per_s: float, burst: float) -> float:
        """Take one; return 0, or the seconds until there is one again."""
        now = time.monotonic()
        left, since = self._level.get(key, (burst, now))
        left = min(burst, left + (now - since) * per_s)
        if left < 1:
            return (1 - left) / per_s
        if len(self._level) >= MOST_KEYS and key not in self._level:
            self._level.clear()  # whoever makes up addresses finds everybody's bucket full, at worst
        self._level[key] = (left - 1, now)
        return 0

    def wait(self, key: Any, per_s: float, burst: float) -> float:
        """Return the seconds until there is one, without taking it."""
        if key not in self._level:
            return 0
        left, since = self._level[key]
        left = min(burst, left + (time.monotonic() - since) * per_s)
        return 0 if left >= 1 else (1 - left) / per_s

    def clear(self) -> None:
        """Forget all."""
        self._level.clear()


uploads, failures, token_failures = Buckets(), Buckets(), Buckets()


def upload_wait_s(tenant_id: int) -> int:
    """Count a tenant's request; return 0, or how many seconds it should have waited."""
    per_s = settings.TENANT_RATE / settings.WEB_PROCESSES
    return math.ceil(uploads.take(tenant_id, per_s, per_s * BURST_S))


def failure_wait_s(address: str) -> int:
    """Return 0, or how many seconds an address must wait that was refused too often."""
    return math.ceil(failures.wait(address, *_of_failures()))


def note_failure(address: str) -> None:
    """Count a credential that was refused."""
    failures.take(address, *_of_failures())


def token_failure_wait_s(address: str) -> int:
    """Return 0, or how many seconds an address must wait at the token endpoint."""
    there = token_failures.wait(address, *_of_failures(TOKEN_SHARE))
    return max(failure_wait_s(address), math.ceil(there))


def note_token_failure(address: str) -> None:
    """Count a client that was refused at the token endpoint, there and with the rest."""
    note_failure(address)
    token_failures.take(address, *_of_failures(TOKEN_SHARE))


def _of_failures(part: int = 1) -> tuple[float, float]:
    share = settings.FAILED_AUTH_RATE / settings.WEB_PROCESSES / part
    return share / 60, max(1, share)
