"""The plain REST side: check one object without storing it, list what is to be mended. Upload tokens only.

HTTP codes are honest here, and errors are problems of RFC 9457.
Source: design §2 "URLs", §7 "JSON of the REST API".
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args
from urllib.parse import urlencode

import orjson
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from ocpi import bodies, errors, openapi, problems, rules, store
from ocpi.judge import settle_party
from ocpi.rules import prices, profiles
from ocpi.rules.findings import Finding, in_order
from ocpi.views import OcpiView, base_url
from tenants.authentication import UploadToken
from tenants.models import Credential, Tenant, Token

KINDS: dict[str, rules.Kind] = {name: kind for kind in get_args(rules.Kind) for name in (kind, f"{kind}s")}
STORED_KINDS = {name: kind for name, kind in KINDS.items() if kind in ("location", "tariff")}
LANGUAGES: dict[str, rules.Language] = {language: language for language in rules.LANGUAGES}
SEVERITIES: dict[str, rules.Severity] = {severity: severity for severity in get_args(rules.Severity)}
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
RULE_BOOK = "/api/docs/rules/"
Choice = TypeVar("Choice")
_NUMBER = re.compile(r"[0-9]{1,4}")


class RestView(OcpiView):
    """A view of the REST side; the party is the token's."""

    authentication_classes = [UploadToken]
    purpose = Token.Purpose.UPLOAD
    has_routing_headers = False

    def tenant_of(self, credential: Credential, url: dict[str, str]) -> Tenant:
        """Return the caller's own tenant; a pull credential for all has none and is at the wrong door."""
        if credential.tenant is None:
            raise errors.WrongPurpose("This credential is for the other interface.")
        return credential.tenant

    def options(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Name the methods, in `Allow`."""
        return HttpResponse(status=204)


def answer(body: Mapping[str, Any]) -> HttpResponse:
    """Return JSON, with the properties in their order."""
    return HttpResponse(orjson.dumps(body), content_type="application/json")


def chosen(query: Mapping[str, str], name: str, choices: Mapping[str, Choice]) -> Choice | None:
    """Return what a parameter stands for, None when it is not given. Raises BadParameter."""
    if name not in query:
        return None
    if query[name] not in choices:
        raise errors.BadParameter(f"{name}: {rules.shown(query[name])} is not one of {', '.join(choices)}")
    return choices[query[name]]


def number(query: Mapping[str, str], name: str, default: int, high: int) -> int:
    """Return a parameter that is a number from 1 to `high`. Raises BadParameter."""
    value = query.get(name, str(default))
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= high:
        raise errors.BadParameter(f"{name}: {rules.shown(value)} is not a whole number from 1 to {high}")
    return int(value)


# --- Validate ----------------------------------------------------------------------------------------------------------


class ValidateView(RestView):
    """`POST /api/v1/validate`."""

    @extend_schema(
        operation_id="validate",
        summary="Check one object; nothing is stored",
        description=(
            "Says about a Location or Tariff all that its PUT would say now, together with what is stored; about an "
            "EVSE or Connector what can be said without its Location. Any JSON gets a verdict, so HTTP 200 does not "
            "say that the object is good. A Location or Tariff without `country_code` or `party_id` gets the token's."
        ),
        tags=["REST"],
        parameters=[
            openapi.query("kind", "What the body is.", *KINDS, required=True),
            openapi.LANGUAGE,
            *openapi.HEADERS,
        ],
        request={"application/json": openapi.ANY_OBJECT},
        responses=openapi.answers(openapi.ref("Verdict"), "The verdict.", 413, 415),
    )
    def post(self, request: Request) -> HttpResponse:
        """Return the verdict on the object in the body."""
        kind = chosen(request.GET, "kind", KINDS)
        if kind is None:
            raise errors.BadParameter(f"kind: missing; it is one of {', '.join(KINDS)}")
        language = chosen(request.GET, "lang", LANGUAGES) or "en"
        document = bodies.read_body(request, needs_type=False)
        foreign = settle_party(document, self.tenant) if kind in STORED_KINDS else []
        verdict = rules.check(kind, document)
        return answer(_judged(self.tenant, document, verdict, foreign, language))


def _judged(
    tenant: Tenant, document: Any, verdict: rules.Verdict, foreign: list[Finding], language: rules.Language
) -> dict[str, Any]:
    """Return a verdict as it is answered, with what is said only about objects that are not refused."""
    is_refused, findings = bool(foreign) or verdict.outcome == "refused", foreign + verdict.findings
    if not is_refused and verdict.kind in STORED_KINDS:
        is_refused, findings = store.try_out(verdict.kind, tenant, document)
    elif not is_refused:
        findings += problems.of_part(tenant, verdict.kind, verdict.document)
    findings = in_order(findings)
    has_gaps = any(finding.severity == rules.GAP for finding in findings)
    said: dict[str, Any] = {
        "verdict": "refused" if is_refused else "gaps" if has_gaps else "ok",
        "findings": [finding.as_dict(language) for finding in findings],
    }
    if verdict.kind == "tariff" and not is_refused:
        said["price"] = {each: prices.price_line(verdict.document, each) for each in rules.LANGUAGES}
    if verdict.kind == "location" and not is_refused:
        said["readiness"] = _readiness(tenant, verdict, language)
    return said


def _readiness(tenant: Tenant, verdict: rules.Verdict, language: rules.Language) -> dict[str, Any]:
    ad_hoc = problems.ad_hoc_tariffs(tenant, verdict.document)
    counts = profiles.readiness(verdict.document, profiles.Surroundings(verdict.unknown, ad_hoc))
    return {
        "profile": profiles.AFIR_2025_655,
        "since": profiles.AFIR_SINCE.isoformat(),
        "advisory": True,
        "demands": [
            {"id": one.id, "text": one.text.to(language), "met": counts[one.id][0], "of": counts[one.id][1]}
            for one in profiles.ADVICE
        ],
    }


# --- Problems ----------------------------------------------------------------------------------------------------------


class ProblemsView(RestView):
    """`GET /api/v1/problems`."""

    @extend_schema(
        operation_id="problems",
        summary="List what is to be mended in the objects that are stored",
        description=(
            "Gaps (a Location that has one is kept from NDW) and warnings, Locations first, page by page: follow "
            "`next` until it is null. An object that was refused is not stored, so errors are here only when the rules "
            "have become stricter since."
        ),
        tags=["REST"],
        parameters=[
            openapi.query("severity", "Only findings as bad as this.", *SEVERITIES),
            openapi.query("rule", f"Only findings of this rule, for example `L-25`. [All rules]({RULE_BOOK})."),
            openapi.query("kind", "Only findings about such objects.", *STORED_KINDS),
            openapi.LANGUAGE,
            openapi.query("limit", "Findings on a page.", type=openapi.between(1, MAX_LIMIT, DEFAULT_LIMIT)),
            openapi.query("after", "Where the page begins; only as `next` gives it."),
            *openapi.HEADERS,
        ],
        responses=openapi.answers(openapi.ref("Problems"), "One page."),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one page of the tenant's problems."""
        language = chosen(request.GET, "lang", LANGUAGES) or "en"
        page = _page(self.tenant, request.GET)
        results = [
            {"kind": one.kind, "id": one.ocpi_id, "finding": one.finding.as_dict(language)} for one in page.results
        ]
        return answer({"results": results, "next": page.next and _next_url(request, page.next)})


def _page(tenant: Tenant, query: Mapping[str, str]) -> problems.Page:
    asked: dict[str, Any] = {
        "severity": chosen(query, "severity", SEVERITIES),
        "rule": query.get("rule"),
        "kind": chosen(query, "kind", STORED_KINDS),
        "limit": number(query, "limit", DEFAULT_LIMIT, MAX_LIMIT),
    }
    if asked["rule"] not in {None, *(rule.id for rule in rules.RULES.values())}:
        raise errors.BadParameter(f"rule: {rules.shown(asked['rule'])} is no rule; {RULE_BOOK} lists all")
    try:
        return problems.page(tenant, after=query.get("after"), **asked)
    except ValueError as error:
        raise errors.BadParameter("after: not a value of ours; start again without it") from error


def _next_url(request: Request, after: str) -> str:
    asked = {name: request.GET[name] for name in ("severity", "rule", "kind", "lang", "limit") if name in request.GET}
    return f"{base_url(request)}{request.path}?{urlencode(asked | {'after': after})}"
