"""Run the rules of the book on a document that has its shape.

Source: protocol §6.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic_core import SchemaValidator, core_schema

from ocpi.rules import amounts, connectors, hours, locations, tariffs, values
from ocpi.rules.book import Check, Object
from ocpi.rules.findings import Finding
from ocpi.schemas import MODELS, Kind, OcpiObject, model_in

CHECKS = [
    entry
    for module in (locations, hours, connectors, tariffs, amounts, values)
    for entry in vars(module).values()
    if isinstance(entry, Check)
]
_TRIGGERS = sorted({check.trigger for check in CHECKS if check.trigger})


@dataclass(slots=True)
class _Plan:
    """The checks of an object, and the way to the objects below it that have some."""

    checks: list[Check]
    children: list[tuple[str, "_Plan"]]


@dataclass(slots=True)
class _Book:
    """The checks of one kind of document: those that always run, and those that run when their trigger is there."""

    always: _Plan
    breaks_some: Callable[[Object], bool]
    has_trigger: Callable[[str], bool]
    triggered: list[tuple[Callable[[str], bool], _Plan]]


def _plan(model: type[OcpiObject], trigger: str) -> _Plan:
    found = [(name, model_in(field.annotation)) for name, field in model.model_fields.items()]
    children = [(name, _plan(child, trigger)) for name, child in found if child]
    checks = [check for check in CHECKS if model in check.models and check.trigger == trigger]
    return _Plan(checks, [(name, plan) for name, plan in children if plan.checks or plan.children])


def _book(model: type[OcpiObject]) -> _Book:
    plans = {trigger: _plan(model, trigger) for trigger in _TRIGGERS}
    plans = {trigger: plan for trigger, plan in plans.items() if plan.checks or plan.children}
    triggered = [(_scan(trigger), plan) for trigger, plan in plans.items()]
    always = _plan(model, "")
    return _Book(always, _quick(always), _scan("|".join(plans) or "^$"), triggered)


def _quick(plan: _Plan) -> Callable[[Object], bool]:
    """Return the same look as `_visit`, without the paths: nearly all objects break none of these rules."""
    looks = [check.look for check in plan.checks]
    below = [(name, _quick(child)) for name, child in plan.children]

    def breaks_some(obj: Object) -> bool:
        for look in looks:
            if look(obj):
                return True
        for name, inner in below:
            value = obj.get(name)
            if value and type(value) is list:
                for item in value:
                    if inner(item):
                        return True
            elif value and inner(value):
                return True
        return False

    return breaks_some if below or len(looks) > 1 else lambda obj: bool(looks[0](obj))


def _scan(pattern: str) -> Callable[[str], bool]:
    # pydantic's regex engine: ten times as fast as `re` on these.
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


_BOOKS = {kind: _book(model) for kind, model in MODELS.items()}


def review(kind: Kind, document: Object, body: bytes) -> list[Finding]:
    """Return what the rules find in a canonical document; `body` is its JSON."""
    book, text = _BOOKS[kind], body.decode()
    findings: list[Finding] = []
    if book.breaks_some(document):
        _visit(book.always, document, "", findings)
    if book.has_trigger(text):
        for is_in, plan in book.triggered:
            if is_in(text):
                _visit(plan, document, "", findings)
    return findings


def _visit(plan: _Plan, obj: Object, path: str, findings: list[Finding]) -> None:
    for check in plan.checks:
        if hits := check.look(obj):
            findings += check.findings(obj, path, hits)
    for name, child in plan.children:
        value = obj.get(name)
        if not value:
            continue
        if type(value) is list:
            for index, item in enumerate(value):
                _visit(child, item, f"{path}/{name}/{index}", findings)
        else:
            _visit(child, value, f"{path}/{name}", findings)
