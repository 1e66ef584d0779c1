"""Run the rules of the book on a document that has its shape.

Source: protocol §6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic_core import SchemaValidator, core_schema

from ocpi.rules import locations, tariffs, values
from ocpi.rules.book import Object, Rule
from ocpi.rules.findings import Finding
from ocpi.schemas import MODELS, Kind, OcpiObject

RULES = [entry for module in (locations, tariffs, values) for entry in vars(module).values() if isinstance(entry, Rule)]
_TRIGGERS = sorted({rule.trigger for rule in RULES if rule.trigger})


@dataclass(slots=True)
class _Plan:
    """The rules for an object, and the way to the objects below it that have some."""

    rules: list[Rule]
    children: list[tuple[str, "_Plan"]]


@dataclass(slots=True)
class _Book:
    """The rules of one kind of document: those that always run, and those that run when their trigger is there."""

    always: _Plan
    has_trigger: Callable[[str], bool]
    triggered: list[tuple[Callable[[str], bool], _Plan]]


def _plan(model: type[OcpiObject], trigger: str) -> _Plan:
    found = [(name, _model_in(field.annotation)) for name, field in model.model_fields.items()]
    children = [(name, _plan(child, trigger)) for name, child in found if child]
    rules = [rule for rule in RULES if model in rule.models and rule.trigger == trigger]
    return _Plan(rules, [(name, plan) for name, plan in children if plan.rules or plan.children])


def _model_in(annotation: Any) -> type[OcpiObject] | None:
    if args := get_args(annotation):
        return next((model for model in map(_model_in, args) if model), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, OcpiObject) else None


def _book(model: type[OcpiObject]) -> _Book:
    plans = {trigger: _plan(model, trigger) for trigger in _TRIGGERS}
    plans = {trigger: plan for trigger, plan in plans.items() if plan.rules or plan.children}
    triggered = [(_scan(trigger), plan) for trigger, plan in plans.items()]
    return _Book(_plan(model, ""), _scan("|".join(plans) or "^$"), triggered)


def _scan(pattern: str) -> Callable[[str], bool]:
    # pydantic's regex engine: ten times as fast as `re` on these.
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


_BOOKS = {kind: _book(model) for kind, model in MODELS.items()}


def review(kind: Kind, document: Object, body: bytes) -> list[Finding]:
    """Return what the rules find in a canonical document; `body` is its JSON."""
    book, text = _BOOKS[kind], body.decode()
    findings: list[Finding] = []
    _visit(book.always, document, "", findings)
    if book.has_trigger(text):
        for is_in, plan in book.triggered:
            if is_in(text):
                _visit(plan, document, "", findings)
    return findings


def _visit(plan: _Plan, obj: Object, path: str, findings: list[Finding]) -> None:
    for rule in plan.rules:
        if hits := rule.check(obj):
            findings.extend(rule.finding(obj, path, hit) for hit in hits)
    for name, child in plan.children:
        value = obj.get(name)
        if not value:
            continue
        if type(value) is list:
            for index, item in enumerate(value):
                _visit(child, item, f"{path}/{name}/{index}", findings)
        else:
            _visit(child, value, f"{path}/{name}", findings)
