"""The tree: imports run in one direction, every file is in the list, migrations agree with the models."""

import ast
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent

# A file may import from those above it, never below; files in one line do not import from each other.
ORDER = [
    ["ocpi.conformance.book"],  # first: a stranger knows nothing of the rest
    ["ocpi.conformance.caller"],
    ["ocpi.conformance.objects"],
    ["ocpi.conformance.lists"],
    ["ocpi.conformance.sender"],
    ["ocpi.conformance"],
    [
        "tenants.secrets",
        "tenants.sql",
        "tenants.addresses",
        "tenants.html",
        "tenants.remote",
        "tenants.limits",
    ],
    ["tenants.charts", "tenants.second_factor"],
    ["tenants.models"],
    ["tenants.roles"],
    ["tenants.oauth", "tenants.scope", "tenants.audit"],
    ["tenants.authentication", "tenants.provision"],
    ["tenants.admin.confined"],
    ["tenants.admin.credentials", "tenants.admin.ndw", "tenants.admin.operators", "tenants.admin.audit"],
    ["tenants.admin.parties"],
    [
        "tenants.admin",
        "tenants.apps",
        "tenants.management.commands.provision",
        "tenants.management.commands.reset_second_factor",
    ],
    ["ocpi.schemas.types"],
    ["ocpi.schemas.locations"],
    ["ocpi.schemas.tariffs"],
    ["ocpi.schemas"],
    ["ocpi.reader"],
    ["ocpi.rules.findings"],
    [
        "ocpi.rules.hints",
        "ocpi.rules.book",
        "ocpi.rules.profiles",
        "ocpi.rules.times",
        "ocpi.rules.uploads",
        "ocpi.rules.sheets",
        "ocpi.rules.principles",
    ],
    ["ocpi.rules.elements"],
    ["ocpi.rules.repairs"],
    ["ocpi.rules.shape", "ocpi.rules.locations", "ocpi.rules.hours", "ocpi.rules.connectors", "ocpi.rules.values"],
    ["ocpi.rules.tariffs", "ocpi.rules.amounts", "ocpi.rules.prices"],
    ["ocpi.rules.semantics"],
    ["ocpi.rules.verdict"],
    ["ocpi.rules.patch"],
    ["ocpi.rules.index"],
    ["ocpi.rules.listing"],
    ["ocpi.rules"],
    ["ocpi.journal", "ocpi.meter_files"],
    ["ocpi.meters"],
    ["ocpi.logs", "ocpi.envelope", "ocpi.judge"],
    ["ocpi.errors", "ocpi.spreadsheets.cells", "ocpi.spreadsheets.inspection"],
    ["ocpi.spreadsheets.columns", "ocpi.spreadsheets.tables"],
    ["ocpi.spreadsheets.sheet", "ocpi.spreadsheets.templates"],
    ["ocpi.spreadsheets.conversion"],
    ["ocpi.spreadsheets"],
    ["ocpi.sheets"],
    ["ocpi.compression"],
    ["ocpi.access", "ocpi.middleware", "ocpi.health", "ocpi.bodies", "ocpi.openapi"],
    ["ocpi.outgoing"],
    ["ocpi.ndw"],
    ["ocpi.rulings"],
    ["ocpi.models.objects", "ocpi.models.offboarding"],
    ["ocpi.models.deliveries", "ocpi.models.imports", "ocpi.models.console"],
    ["ocpi.models"],
    [
        "ocpi.tokens",
        "ocpi.counts",
        "ocpi.queue",
        "ocpi.documents",
        "ocpi.doorbell",
        "ocpi.intake",
        "ocpi.history",
        "ocpi.crawls",
        "ocpi.replica",
        "ocpi.tally",
    ],
    ["ocpi.push", "ocpi.backlog", "ocpi.clock", "ocpi.crawl"],
    [
        "ocpi.places",
        "ocpi.rows",
        "ocpi.problems",
        "ocpi.plans",
        "ocpi.deliveries",
        "ocpi.causes",
        "ocpi.reconcile",
        "ocpi.silence",
    ],
    ["ocpi.store", "ocpi.overview", "ocpi.alarms", "ocpi.proof", "ocpi.metrics"],
    [
        "ocpi.recheck",
        "ocpi.imports",
        "ocpi.watch",
        "ocpi.digests",
        "ocpi.evidence",
        "ocpi.scorecards",
        "ocpi.acceptances",
    ],
    ["ocpi.fetches", "ocpi.onboarding", "ocpi.offboarding"],
    ["ocpi.sources"],
    ["ocpi.tasks"],
    ["ocpi.views"],
    ["ocpi.receive", "ocpi.serve", "ocpi.api", "ocpi.admin.lists", "ocpi.admin.tables", "ocpi.admin.look"],
    [
        "ocpi.api_deliveries",
        "ocpi.api_imports",
        "ocpi.admin.filters",
        "ocpi.admin.evses",
        "ocpi.admin.versions",
        "ocpi.admin.health",
        "ocpi.admin.scorecard",
        "ocpi.admin.problems",
        "ocpi.admin.waiting",
        "ocpi.admin.clock",
        "ocpi.admin.map",
        "ocpi.admin.sources",
        "ocpi.admin.offboard",
    ],
    ["ocpi.admin.import_tables", "ocpi.admin.uploading", "ocpi.admin.history", "ocpi.admin.workplace"],
    ["ocpi.admin.import_pages", "ocpi.admin.hand_over"],
    [
        "ocpi.admin.objects",
        "ocpi.admin.deliveries",
        "ocpi.admin.imports",
        "ocpi.admin.watched",
        "ocpi.admin.parties",
        "ocpi.admin.uploads",
        "ocpi.admin.panels",
    ],
    ["ocpi.admin.dashboard"],
    ["ocpi.admin"],
    ["ocpi.checks", "ocpi.urls", "ocpi.apps"],
    [
        f"ocpi.management.commands.{name}"
        for name in ("check_sender", "import", "proof", "push", "recheck", "reencrypt", "relay", "report", "rules")
    ],
    ["ocpi.openapi_ocpi"],
    ["ocpi.docs"],
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def modules(package: str) -> dict[str, Path]:
    """Return every module of a package but migrations and empty __init__ files."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if ".migrations" not in name and "import" in path.read_text():
            found[name] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """Return which of `known` a file imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    submodules = {name for name in names & known if not any(other.startswith(f"{name}.") for other in names & known)}
    return submodules


@pytest.mark.parametrize("package", ["tenants", "ocpi"])
def test_layout_imports_run_upwards_only(package):
    known = set(RANK)

    wrong = [
        f"{name} imports {other}"
        for name, path in modules(package).items()
        for other in imports(path, known)
        if RANK[other] >= RANK[name] and not name.startswith("ocpi.apps")
    ]

    assert wrong == []


@pytest.mark.parametrize("package", ["tenants", "ocpi"])
def test_layout_every_module_has_its_place(package):
    assert set(modules(package)) - set(RANK) == set()


def test_layout_no_app_imports_the_wiring():
    wrong = [
        name
        for package in ("tenants", "ocpi")
        for name, path in modules(package).items()
        if "gateway." in path.read_text().replace("gateway.example", "") and "from gateway" in path.read_text()
    ]

    assert wrong == []


def test_layout_migrations_agree_with_models(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
