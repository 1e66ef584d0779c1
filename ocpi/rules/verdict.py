"""The verdict on an object: is it OCPI, does it meet DOT-NL, what else is odd about it, and the bytes to store.

Source: protocol §2.6, §6, §7.9; design §3, §7.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from pydantic_core import SchemaValidator, core_schema

from ocpi.rules import profiles, repairs, semantics, shape, times
from ocpi.rules.findings import ERROR, GAP, WARNING, Finding, Severity, in_order
from ocpi.schemas import MODELS, Kind, OcpiObject

Document = dict[str, Any]

# A null, or a text that begins or ends with a blank. pydantic's regex engine: `in` on the bytes takes fifteen times as long.
_may_be_untidy = SchemaValidator(core_schema.str_schema(pattern=':null|" | "')).isinstance_python


@dataclass(slots=True)
class Verdict:
    """What check() says about one object.

    `document` is the object as it is to be stored (canonical: fields in the schema's order, no nulls, parents'
    last_updated raised) and `body` its JSON; None and b"" when there are errors. `findings` are errors, then gaps, then
    warnings; `unknown` holds the properties OCPI does not have, by JSON Pointer.
    """

    kind: Kind
    document: Document = field(default_factory=dict)
    body: bytes = b""
    findings: list[Finding] = field(default_factory=list)
    unknown: Document = field(default_factory=dict)

    @property
    def value(self) -> OcpiObject | None:
        """The document as its pydantic model, made at each call; the document itself is quicker to work with."""
        return None if not self.document else MODELS[self.kind].model_validate(self.document)

    @property
    def errors(self) -> list[Finding]:
        """Why it is refused."""
        return self._of(ERROR)

    @property
    def gaps(self) -> list[Finding]:
        """Why it is withheld from NDW."""
        return self._of(GAP)

    @property
    def warnings(self) -> list[Finding]:
        """What is worth a look."""
        return self._of(WARNING)

    @property
    def outcome(self) -> Literal["ok", "gaps", "refused"]:
        """The verdict in one word."""
        if not self.document:
            return "refused"
        return "gaps" if self.gaps else "ok"

    def _of(self, severity: Severity) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == severity]


def check(kind: Kind, document: object, *, now: dt.datetime | None = None) -> Verdict:
    """Judge a parsed JSON document; it is left as it is. `now` has a time zone and defaults to the clock.

    Lists that are given empty stay empty; null is dropped. Source: protocol §2.6.
    """
    fitted, findings, unknown = shape.fit(kind, document)
    if fitted is None:
        return Verdict(kind, findings=in_order(findings), unknown=unknown)
    canonical, body, mended = _tidied(fitted)
    findings += mended
    raised = times.settle(kind, canonical, now)
    findings += semantics.review(kind, canonical, body)
    findings += raised
    findings += profiles.gaps(profiles.DOT_NL_2026, kind, canonical)
    if not findings:
        return Verdict(kind, canonical, body, findings, unknown)
    findings = in_order(findings)
    if findings[0].severity == ERROR:
        return Verdict(
            kind, findings=[finding for finding in findings if not finding.broken.is_repair], unknown=unknown
        )
    return Verdict(kind, canonical, orjson.dumps(canonical) if raised else body, findings, unknown)


def _tidied(document: Document) -> tuple[Document, bytes, list[Finding]]:
    body = orjson.dumps(document)
    if not _may_be_untidy(body.decode()):
        return document, body, []
    document, mended = repairs.tidy(document)
    return document, orjson.dumps(document), mended
