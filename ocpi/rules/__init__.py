"""The rule book on top of the shapes: findings, OCPI's rules, the DOT-NL profile, PATCH. No Django.

Source: OCPI 2.2.1 mod_locations, mod_tariffs; NDW DOT-NL; protocol §5-§7.
"""

from ocpi.rules.findings import ERROR, GAP, LANGUAGES, WARNING, Finding, Language, Rule, Severity, pointer, shown
from ocpi.rules.index import EDITION, RULES, restore
from ocpi.rules.patch import check_patch, keep_spelling, merge
from ocpi.rules.repairs import canonical_time
from ocpi.rules.verdict import Verdict, check
from ocpi.schemas import Kind

__all__ = [
    "EDITION",
    "ERROR",
    "GAP",
    "LANGUAGES",
    "RULES",
    "WARNING",
    "Finding",
    "Kind",
    "Language",
    "Rule",
    "Severity",
    "Verdict",
    "canonical_time",
    "check",
    "check_patch",
    "keep_spelling",
    "merge",
    "pointer",
    "restore",
    "shown",
]
