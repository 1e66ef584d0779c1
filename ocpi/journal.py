"""What the request being answered is about, gathered on the way: for its line in the log and for the meters.

Every line that is logged meanwhile carries its ids (`ocpi.logs`). Facts are ids, words and numbers: never a body, a credential
or what else came in unchecked.
"""

from contextvars import ContextVar
from typing import Any

Facts = dict[str, Any]

_facts: ContextVar[Facts | None] = ContextVar("facts", default=None)


def begin() -> Facts:
    """Open the entry of a request; return its facts, empty."""
    facts: Facts = {}
    _facts.set(facts)
    return facts


def end() -> None:
    """Close it: what this thread logs from now on belongs to no request."""
    _facts.set(None)


def note(**facts: Any) -> None:
    """Add to the entry that is open, if one is."""
    entry = _facts.get()
    if entry is not None:
        entry.update(facts)


def noted() -> Facts:
    """Return what is known of the request being answered; nothing outside of one."""
    return _facts.get() or {}
