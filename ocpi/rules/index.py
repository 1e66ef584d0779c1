"""The whole book: every rule by its name, what is stored read back, and what the protocol says that no finding can.

Source: protocol §2.6, §5-§7.9.
"""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ocpi.rules import patch, profiles, repairs, semantics, shape, sheets, times, uploads
from ocpi.rules.findings import Finding, Rule
from ocpi.rules.principles import PRINCIPLES

__all__ = ["EDITION", "PRINCIPLES", "RULES", "restore"]


def _rules() -> Iterable[Rule]:
    for module in (shape, repairs, times, patch, uploads, sheets):
        for value in vars(module).values():
            if isinstance(value, Rule):
                yield value
            elif isinstance(value, dict):
                yield from (rule for rule in value.values() if isinstance(rule, Rule))
    yield from (check.rule for check in semantics.CHECKS)
    yield from (demand.rule for demands in profiles.DOT_NL_2026.demands.values() for demand in demands)


RULES: dict[str, Rule] = {rule.name: rule for rule in _rules()}


def _edition() -> str:
    """Return a mark that changes with the code of rules and shapes: what is stored is then looked at again."""
    folder = Path(__file__).parent
    sources = sorted([*folder.glob("*.py"), *folder.parent.joinpath("schemas").glob("*.py")])
    sources = [path for path in sources if path.name not in ("listing.py", "principles.py", "prices.py", "sheets.py")]
    return blake2b(b"".join(path.read_bytes() for path in sources), digest_size=4).hexdigest()


EDITION = _edition()


def restore(stored: Iterable[dict[str, Any]]) -> list[Finding]:
    """Return stored findings, without those whose rule is no longer in the book."""
    known = ((one, RULES.get(one.get("name", ""))) for one in stored)
    return [Finding(one["path"], rule, one.get("values", {})) for one, rule in known if rule]
