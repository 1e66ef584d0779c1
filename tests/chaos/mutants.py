"""Mutants: faults put into our own processes, each of which a promise must catch.

A process with CHAOS_MUTANT in its environment and `mutating/` on its PYTHONPATH changes one module as it is imported
(`mutating/sitecustomize.py`); nothing of the product knows. Source: reliability P31.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class NotApplicableError(Exception):
    """What a mutant wants to change is not there any more: mend the mutant."""


@dataclass(frozen=True)
class Mutant:
    """A change of one module; `caught_by` names the promise that must break."""

    module: str
    change: Callable[[Any], None]
    caught_by: str
    words: str


def swap(names: str, old: str, new: str) -> Callable[[Any], None]:
    """Return a change of texts in constants of a module."""

    def change(module: Any) -> None:
        for name in names.split():
            text = getattr(module, name)
            if old not in text:
                raise NotApplicableError(f"{module.__name__}.{name} has no {old!r}")
            setattr(module, name, text.replace(old, new))

    return change


def swap_made(name: str, old: str, new: str) -> Callable[[Any], None]:
    """Return a change of the text that a function of a module returns."""

    def change(module: Any) -> None:
        original = getattr(module, name)
        if old not in original("location"):
            raise NotApplicableError(f"{module.__name__}.{name} makes no {old!r}")
        setattr(module, name, lambda *given: original(*given).replace(old, new))

    return change


def replace(name: str, make: Callable[[Any, Any], Any]) -> Callable[[Any], None]:
    """Return a change that puts `make(module, original)` in the place of a function."""

    def change(module: Any) -> None:
        if not callable(getattr(module, name, None)):
            raise NotApplicableError(f"{module.__name__}.{name} is no function")
        setattr(module, name, make(module, getattr(module, name)))

    return change


def _believes_all(module: Any, original: Any) -> Any:
    return lambda is_part, tries, answer: module.Ruling(module.Do.DELIVERED, "HTTP 200")


def _accepts_without_database(module: Any, original: Any) -> Any:
    return lambda path: module.envelope.answer(code=1000, message="", http_status=200, data=None)


def _rings_itself(module: Any, original: Any) -> Any:
    """Ring in the request, as `.delay()` would; wait as long as Redis takes."""

    def ring() -> None:
        try:
            module._redis(os.getpid()).set(module.KEY, 1, ex=5)
        except module.redis.RedisError:
            module.time.sleep(2)
            return
        original()

    return ring


def _retries_in_part(module: Any, original: Any) -> Any:
    """A retry sends the part again that failed."""
    module._AGAIN = module._AGAIN.replace("whole = true, evse_uid = NULL", "whole = %(w)s, evse_uid = %(e)s")

    def completion(result: Any) -> Any:
        return original(result) | {"w": result.claimed.whole, "e": result.claimed.evse_uid}

    return completion


def _follows(module: Any, original: Any) -> Any:
    """Follow redirects as `requests` does unless told."""

    def session(*given: Any) -> Any:
        made = original(*given)
        send = type(made).send
        made.send = lambda *given, **named: send(made, *given, **named | {"allow_redirects": True})
        return made

    return session


def _keeps_token(module: Any) -> None:
    module.BY_HTTP_STATUS[401] = module.Do.RETRY


_LEASE = "AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())"
_BY_VERSION = "state = CASE WHEN version = %(version)s THEN 'delivered' ELSE 'dirty' END"
_PUSHES = "JOIN tenants_connection c ON c.tenant_id = written.tenant_id"

MUTANTS = {
    "done-by-want": Mutant(
        "ocpi.queue", swap("_ACCEPTED", _BY_VERSION, "state = 'delivered'"), "P1", "done whatever came meanwhile"
    ),
    "no-outbox-row": Mutant(
        "ocpi.rows", swap_made("_push_rows", _PUSHES, f"{_PUSHES} AND random() > 0.15"), "P1", "15 % of Push rows missing"
    ),
    "second-change-lost": Mutant(
        "ocpi.rows", swap_made("_push_rows", "version = push.version + 1", "version = push.version"), "P1",
        "a change during a request does not count",
    ),
    "every-200-is-yes": Mutant("ocpi.rulings", replace("_judge_envelope", _believes_all), "P3 lies", "HTTP 200 is success"),
    "no-401-refresh": Mutant("ocpi.rulings", _keeps_token, "P12", "a revoked token is used to its end"),
    "backoff-for-ever": Mutant(
        "ocpi.queue", replace("_wait_s", lambda module, original: lambda claimed, ruling: 3600.0), "P3", "an hour of backoff"
    ),
    "no-lease": Mutant("ocpi.queue", swap("_DUE _CLAIM _CLAIM_PROBE", _LEASE, ""), "P3", "claims ignore leases"),
    "lease-of-nothing": Mutant(
        "ocpi.queue", swap("_CLAIM _CLAIM_PROBE", "%(lease_s)s *", "0 * %(lease_s)s *"), "P3", "SKIP LOCKED without a lease"
    ),
    "no-heal": Mutant(
        "ocpi.queue", swap("_HEAL", "WHERE id = %(id)s", "WHERE id = -%(id)s"), "P2 late", "late answers heal nothing"
    ),
    "no-doubt": Mutant(
        "ocpi.queue", swap("_DOUBTFUL", "state = 'delivered'", "false"), "P2 kill",
        "a request of a worker that is gone is forgotten",
    ),
    "retry-in-part": Mutant("ocpi.queue", replace("_completion", _retries_in_part), "P3", "a retry repeats the PATCH"),
    "follow-redirects": Mutant("ocpi.outgoing", replace("_session", _follows), "P9", "redirects are followed"),
    "catch-and-200": Mutant(
        "ocpi.errors", replace("_unavailable", _accepts_without_database), "P7", "no database, but accepted"
    ),
    "rings-in-the-request": Mutant("ocpi.doorbell", replace("ring", _rings_itself), "P6", "uploads wait for Redis"),
}  # fmt: skip


class _Finder(importlib.abc.MetaPathFinder):
    """Changes one module when it is imported."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.mutant.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.mutant.change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install(name: str) -> None:
    """Have the mutant's module changed as soon as it is imported."""
    sys.meta_path.insert(0, _Finder(MUTANTS[name]))
