"""`manage.py report NL-EXA`: what stands between CPOs and NDW, by party and rule, and what to mend first."""

import csv
import json
import shutil
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ocpi import overview, problems
from ocpi.plans import Standing
from ocpi.rules import GAP, LANGUAGES, RULES, WARNING, Language
from ocpi.rules.findings import RANK, shortened
from ocpi.rules.profiles import AFIR_2025_655
from tenants.models import Tenant

LONG = 2000  # objects of a tenant from which on progress is told
_COLUMNS = ("severity", "rule", "kind", "findings", "objects", "evses")
_NUMBERS = ("findings", "objects", "evses")


@dataclass
class Row:
    """What one rule finds in one kind of a tenant's objects."""

    severity: str
    rule: str
    kind: str
    findings: int = 0
    objects: int = 0
    evses: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)
    last: int = 0  # the row of the object looked at last: its findings come one after the other


@dataclass
class Report:
    """What there is to say of one party; `plan` and `readiness` only of all findings together."""

    tenant: Tenant
    standing: Standing
    tariffs: int
    rows: list[Row]
    plan: list[dict[str, Any]]
    readiness: list[dict[str, Any]]


class Command(BaseCommand):
    """Read everything, change nothing."""

    help = (
        "Show the findings of every CPO, or of those named, by rule: how many, in how many objects, how many EVSEs are "
        "concerned, with examples; then in which order mending frees most EVSEs, and how far the CPO is with what the law "
        "asks next (advice; it blocks nothing)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the options."""
        parser.add_argument("party", nargs="*", metavar="PARTY", help="for example NL-EXA; all when none is named")
        parser.add_argument("--severity", choices=(GAP, WARNING), help="only gaps (withheld) or warnings (accepted)")
        parser.add_argument("--rule", help="only this rule, for example L-10; manage.py rules lists them")
        parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the findings (en)")
        parser.add_argument("--format", choices=("table", "csv", "json"), default="table", help="of the output (table)")
        parser.add_argument("--examples", type=int, default=1, metavar="N", help="objects to name for each rule (1)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Report on each party in turn. Raises CommandError for a party or rule we do not know."""
        options["rule"] = _rule(options["rule"])
        options["shared"] = None if options["party"] else problems.all_shared()
        reports = (self.report(tenant, options) for tenant in _tenants(options["party"]))
        if options["format"] == "json":
            self.stdout.write(json.dumps([_as_dict(one) for one in reports], indent=2, ensure_ascii=False))
        elif options["format"] == "csv":
            self.write_csv(reports)
        else:
            self.write_tables(reports)

    # --- Counting ------------------------------------------------------------------------------------------------------

    def report(self, tenant: Tenant, options: dict[str, Any]) -> Report:
        """Return what there is to say of one tenant."""
        standing = overview.standing(tenant)
        rows = self.rows(tenant, standing.locations, options)
        is_whole = not (options["severity"] or options["rule"])
        readiness = overview.fills(tenant, overview.tariff_types(tenant))[0] if is_whole and standing.locations else []
        return Report(
            tenant,
            standing,
            tenant.tariffs.filter(deleted_at=None).count(),
            rows,
            [step._asdict() for step in standing.plan()] if is_whole else [],
            [
                {"id": one.advice.id, "what": one.advice.text.to(options["lang"]), "met": one.met, "of": one.of}
                for one in readiness
            ],
        )

    def rows(self, tenant: Tenant, locations: int, options: dict[str, Any]) -> list[Row]:
        """Return a row for each rule, worst first."""
        rows: dict[tuple[str, str, str], Row] = {}
        for problem in self.told(_problems(tenant, options), tenant, locations):
            found = problem.finding
            row = rows.setdefault(
                (found.severity, found.rule, problem.kind), Row(found.severity, found.rule, problem.kind)
            )
            row.findings += 1
            if row.last != problem.pk:
                row.last, row.objects, row.evses = problem.pk, row.objects + 1, row.evses + problem.evse_count
                if len(row.examples) < options["examples"]:
                    row.examples.append(_example(problem, options["lang"]))
        of_tariffs = {line.rule: line.evses for line in overview.tariff_warnings(tenant)}
        for row in rows.values():
            if row.kind == "tariff":
                row.evses = of_tariffs.get(row.rule, 0)
        return sorted(rows.values(), key=lambda row: (RANK[row.severity], -row.evses, -row.objects, row.rule, row.kind))  # type: ignore[index]

    def told(self, found: Iterable[problems.Problem], tenant: Tenant, locations: int) -> Iterator[problems.Problem]:
        """Yield the same, and tell somebody at a terminal how it goes."""
        is_told = locations > LONG and self.stderr.isatty()
        for number, problem in enumerate(found):
            if is_told and number % LONG == 0:
                self.stderr.write(f"\r{tenant}: {number:,} findings ", str, ending="")
            yield problem
        if is_told:
            self.stderr.write("\r\x1b[K", str, ending="")

    # --- Writing -------------------------------------------------------------------------------------------------------

    def write_csv(self, reports: Iterable[Report]) -> None:
        """Write a line for each party and rule."""
        out = csv.writer(self.stdout, lineterminator="\n")
        out.writerow(["party", *_COLUMNS, "examples"])
        for report in reports:
            for row in report.rows:
                values = (getattr(row, name) for name in _COLUMNS)
                out.writerow([report.tenant, *values, " | ".join(map(_object_first, row.examples))])

    def write_tables(self, reports: Iterable[Report]) -> None:
        """Write a table for each party, then the sum of all."""
        parties, totals = 0, dict.fromkeys(_NUMBERS, 0)
        for report in reports:
            parties += 1
            self.stdout.write(self.style.MIGRATE_HEADING(_headline(report)))
            for line in [*self.table(report.rows), *_plan(report), *_readiness(report)]:
                self.stdout.write(line)
            self.stdout.write("")
            for name in _NUMBERS[:2]:
                totals[name] += sum(getattr(row, name) for row in report.rows)
        if parties != 1:
            self.stdout.write(f"{parties} parties: {totals['findings']:,} findings.")

    def table(self, rows: list[Row]) -> Iterator[str]:
        """Yield the lines of a table; at a terminal none is longer than it is wide."""
        if not rows:
            yield "  No findings."
            return
        lines = [[_cell(getattr(row, name)) for name in _COLUMNS] for row in rows]
        lines.insert(0, ["severity", "rule", "of", "findings", "objects", "EVSEs"])
        lines.append(["total", "", "", f"{sum(row.findings for row in rows):,}", "", ""])
        widths = [max(len(line[index]) for line in lines) for index in range(len(_COLUMNS))]
        room = max(20, shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths) - 2)
        examples = [["example"], *([_message_first(one) for one in row.examples] for row in rows), []]
        for line, (first, *others) in zip(lines, (texts or [""] for texts in examples), strict=True):
            cells = [
                cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
                for name, cell, width in zip(_COLUMNS, line, widths, strict=True)
            ]
            for start, text in [
                ("  ".join(cells), first),
                *((" " * (sum(widths) + 2 * len(widths) - 2), t) for t in others),
            ]:
                yield f"  {start}  {shortened(text, room) if self.stdout.isatty() else text}".rstrip()


def _tenants(parties: list[str]) -> list[Tenant]:
    """Return the tenants of these parties, in their order. Raises CommandError."""
    if not parties:
        return list(Tenant.objects.all())
    found = {party: overview.find_tenant(party) for party in parties}
    if unknown := [party for party, tenant in found.items() if tenant is None]:
        known = ", ".join(str(tenant) for tenant in Tenant.objects.all()) or "none yet"
        raise CommandError(f"No such party: {', '.join(unknown)}. Known: {known}.")
    return [tenant for tenant in found.values() if tenant]


def _rule(rule_id: str | None) -> str | None:
    """Return a rule's id as the book spells it. Raises CommandError."""
    known = {rule.id.lower(): rule.id for rule in RULES.values()}
    if rule_id and rule_id.lower() not in known:
        raise CommandError(f"No such rule: {rule_id}. manage.py rules lists them.")
    return known[rule_id.lower()] if rule_id else None


def _problems(tenant: Tenant, options: dict[str, Any]) -> Iterator[problems.Problem]:
    for kind in ("location", "tariff"):
        filters = {name: options[name] for name in ("severity", "rule", "shared")}
        yield from problems.of_tenant(tenant, kind, **filters)


def _example(problem: problems.Problem, language: Language) -> dict[str, str]:
    finding = problem.finding
    return {"kind": problem.kind, "id": problem.ocpi_id, "path": finding.path, "message": finding.said(language)}


def _object_first(example: dict[str, str]) -> str:
    """Return an example whose first word is ours: a spreadsheet takes it for text whatever the CPO wrote."""
    return f"{example['kind']} {example['id']} {example['path'] or '/'}: {example['message']}"


def _message_first(example: dict[str, str]) -> str:
    """Return an example of which a narrow terminal cuts off what matters least."""
    return f"{example['message']} ({example['kind']} {example['id']} {example['path'] or '/'})"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _headline(report: Report) -> str:
    one = report.standing
    return (
        f"{report.tenant}: {one.locations:,} Locations, {one.shown_percent} % shown, {one.withheld:,} withheld, "
        f"{one.held_back:,} of {one.evses:,} EVSEs held back; {report.tariffs:,} Tariffs"
    )


def _plan(report: Report) -> Iterator[str]:
    if report.plan:
        yield "\n  Mend first"
    for number, step in enumerate(report.plan, 1):
        yield (
            f"  {number}. {' + '.join(step['rules'])}: frees {step['evses']:,} EVSEs in {step['locations']:,} Locations"
            f" ({step['total']:,} of {report.standing.held_back:,})"
        )


def _readiness(report: Report) -> Iterator[str]:
    if report.readiness:
        yield f"\n  Readiness for {AFIR_2025_655} (advice, blocks nothing)"
    for one in report.readiness:
        percent = 100 * one["met"] // one["of"] if one["of"] else 0
        yield f"  {percent:3} %  {one['id']}: {one['what']} ({one['met']:,} of {one['of']:,})"


def _as_dict(report: Report) -> dict[str, Any]:
    one = report.standing
    return {
        "party": str(report.tenant),
        "locations": one.locations,
        "shown": one.shown,
        "withheld": one.withheld,
        "evses": one.evses,
        "evses_held_back": one.held_back,
        "tariffs": report.tariffs,
        "findings": [{name: getattr(row, name) for name in (*_COLUMNS, "examples")} for row in report.rows],
        "plan": report.plan,
        "readiness": {AFIR_2025_655: report.readiness} if report.readiness else {},
    }
