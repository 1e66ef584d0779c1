"""The admin's Problems pages: from all CPOs to one, from there to the objects that break a rule.

Two clicks, and at each the first line is what would unblock most EVSEs. `ocpi.admin.objects` gives them their addresses.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ocpi import overview
from ocpi.admin import tables
from ocpi.plans import Line, Standing, Step, beginning
from ocpi.problems import TOGETHER
from ocpi.rules import GAP, WARNING, Severity, profiles
from tenants import html, scope
from tenants.models import Tenant

FIRST = 5  # lines of "What would unblock most EVSEs"
STATE_COLOURS = {
    gettext_noop("ready"): "success",
    gettext_noop("no Locations"): "info",
    gettext_noop("not published"): "info",
    gettext_noop("held back"): "danger",
}
_NOBODY = Standing(())

may_look = permission_required("ocpi.view_location", raise_exception=True)


# --- All CPOs ----------------------------------------------------------------------------------------------------------


@may_look
def every_cpo(request: HttpRequest) -> HttpResponse:
    """Show where each CPO stands with NDW: first whose next step frees most, last who is ready. Three queries."""
    own = scope.confined_to(request.user)
    standings, tariffs = overview.standings(own), overview.tariffs(own)
    rows = [
        _row(tenant, standings.get(tenant.pk, _NOBODY), tariffs.get(tenant.pk, (0, 0)))
        for tenant in scope.tenants_of(request.user)
    ]
    rows.sort(key=_urgency)
    total = Standing(tuple(lot for one in standings.values() for lot in one.lots))
    ready = sum(row["state"] == "ready" for row in rows)
    context = {
        "title": _("Problems"),
        "total": total,
        "cards": [
            _card(
                _("CPOs ready"),
                _("%(part)s of %(of)s") % {"part": html.number(ready), "of": html.number(len(rows))},
                _("NDW sees all they publish"),
                "#cpos",
            ),
            *_cards(total, html.url("ocpi_location_changelist")),
        ],
        "rows": rows,
        "first": _first(rows),
        "warned": total.warned + sum(warned for _, warned in tariffs.values()),
        "add_url": html.url("tenants_tenant_add"),
    }
    return _page(request, "admin/problems.html", context)


def _row(tenant: Tenant, standing: Standing, tariffs: tuple[int, int]) -> dict[str, Any]:
    plan = standing.plan()
    return {
        "tenant": tenant,
        "name": _name(tenant),
        "url": html.url("ocpi_problems_cpo", tenant),
        "standing": standing,
        "state": _state(standing),
        "badge": html.badge(_state(standing), STATE_COLOURS),
        "plan": plan,
        "step": _step(tenant, plan, 0, standing.held_back) if plan else None,
        "warned": standing.warned + tariffs[1],
    }


def _state(standing: Standing) -> str:
    if not standing.locations:
        return "no Locations"
    if standing.withheld:
        return "held back"
    return "ready" if standing.is_ready else "not published"


def _urgency(row: dict[str, Any]) -> tuple[Any, ...]:
    frees = row["plan"][0].evses if row["plan"] else 0
    is_calm = ["held back", "not published", "no Locations", "ready"].index(row["state"])
    return is_calm, -frees, -row["standing"].held_back, str(row["tenant"])


def _first(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the CPOs that free most EVSEs with the fewest rules, a row each; the bar compares them."""
    found = [(row, beginning(row["plan"])) for row in rows if row["plan"]]
    found.sort(key=lambda one: -one[1].evses)
    most = found[0][1].evses if found else 0
    return [
        {"tenant": row["tenant"], "url": row["url"]} | _step(row["tenant"], [step], 0, most)
        for row, step in found[:FIRST]
    ]


# --- One CPO -----------------------------------------------------------------------------------------------------------


@may_look
def one_cpo(request: HttpRequest, party: str) -> HttpResponse:
    """Show what stands between one CPO and NDW: the plan, gaps and warnings by rule, and what the law asks next."""
    tenant = overview.find_tenant(party)
    if tenant is None or not scope.may_see(request.user, tenant.pk):
        raise Http404("No such party.")
    standing, types = overview.standing(tenant), overview.tariff_types(tenant)
    plan, gaps = standing.plan(), standing.gaps()
    readiness, looked_at = overview.fills(tenant, types)
    context = {
        "title": _("Problems of %(tenant)s") % {"tenant": tenant},
        "tenant": tenant,
        "name": _name(tenant),
        "standing": standing,
        "badge": html.badge(_state(standing), STATE_COLOURS),
        "state": _state(standing),
        "cards": _cards(standing, _objects("location", tenant)),
        "steps": [_step(tenant, plan, index, standing.held_back) for index in range(len(plan))],
        "gaps": [_gap(tenant, line) for line in gaps],
        "warnings": _warnings(tenant, standing, overview.together(tenant)),
        "readiness": tables.readiness(readiness) if standing.locations else "",
        "looked_at": looked_at if looked_at < standing.locations else 0,
        "since": profiles.AFIR_SINCE,
        "profile": profiles.AFIR_2025_655,
        "api_url": _api_url(request, gaps),
        "all_url": html.url("ocpi_problems"),
        "tenant_url": html.url("tenants_tenant_workplace", tenant),
    }
    return _page(request, "admin/problems_cpo.html", context)


def _gap(tenant: Tenant, line: Line) -> dict[str, Any]:
    url = _objects("location", tenant, rule=line.rule, severity=GAP, visible="withheld")
    return {"line": line, "url": url, "words": _words(line.rule, GAP)}


def _warnings(tenant: Tenant, standing: Standing, together: list[Line]) -> list[dict[str, Any]]:
    """Return a row for each rule of warnings, of Locations and of Tariffs, most EVSEs first."""
    kept = [line for line in standing.warnings() if line.rule not in TOGETHER]
    found = [("location", line, {"severity": WARNING}) for line in kept]
    found += [("location", line, {}) for line in together]
    found += [("tariff", line, {}) for line in overview.tariff_warnings(tenant)]
    found.sort(key=lambda one: (-one[1].evses, -one[1].objects, one[1].rule))
    return [
        {
            "line": line,
            "kind": tables.KINDS[kind],
            "url": _objects(kind, tenant, rule=line.rule, **query),
            "words": _words(line.rule, WARNING),
        }
        for kind, line, query in found
    ]


def _words(rule: str, severity: Severity) -> SafeString | str:
    return html.lines(tables.rule_words(rule, severity))


def _api_url(request: HttpRequest, gaps: list[Line]) -> str:
    """Return where the CPO itself reads its problems."""
    rule = f"?rule={gaps[0].rule}" if gaps else ""
    return request.build_absolute_uri(reverse("rest-problems")) + rule


# --- Both --------------------------------------------------------------------------------------------------------------


def _cards(standing: Standing, all_url: str) -> list[dict[str, str]]:
    mark = "&" if "?" in all_url else "?"
    shown, withheld = (f"{all_url}{mark}visible={word}" for word in ("shown", "withheld"))
    return [
        _card(_("Locations"), html.number(standing.locations), _("with %(count)s EVSEs") % _n(standing.evses), all_url),
        _card(_("Shown to NDW"), f"{standing.shown_percent} %", _("%(count)s Locations") % _n(standing.shown), shown),
        _card(
            _("Withheld"),
            html.number(standing.withheld),
            _("%(count)s more are not published") % _n(standing.unpublished),
            withheld,
        ),
        _card(_("EVSEs held back"), html.number(standing.held_back), _("in Locations with gaps"), withheld),
    ]


def _n(count: int) -> dict[str, str]:
    return {"count": html.number(count)}


def _card(title: str, figure: str, words: str, url: str) -> dict[str, str]:
    return {"title": title, "figure": figure, "words": words, "url": url}


def _step(tenant: Tenant, plan: list[Step], index: int, of: int) -> dict[str, Any]:
    """Return a step of a plan in words, with the way to its objects; `of` are all EVSEs held back, for its bar."""
    step = plan[index]
    before = [rule for earlier in plan[:index] for rule in earlier.rules]
    frees = _("%(count)s EVSEs") % _n(step.evses) if step.evses else _("%(count)s Locations") % _n(step.locations)
    return {
        "rules": _names(step.rules),
        "frees": frees,
        "evses": step.evses,
        "locations": step.locations,
        "total": step.total,
        "done": _percent(step.total - step.evses, of),
        "percent": _percent(step.evses, of),
        "objects_url": _objects("location", tenant, mended=",".join([*before, *step.rules])),
    }


def _names(rules: Iterable[str]) -> str:
    return " + ".join(rule.removeprefix("N-") for rule in rules)


def _percent(part: int, of: int) -> int:
    return round(100 * part / of) if of else 0


def _objects(kind: str, tenant: Tenant, **query: str) -> str:
    return html.url(f"ocpi_{kind}_changelist", tenant__id__exact=tenant.pk, **query)


def _name(tenant: Tenant) -> str:
    return tenant.name if tenant.name != str(tenant) else ""


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, admin.site.each_context(request) | context)
