"""The admin's first page: what there is, what waits, what somebody must look at. A handful of queries on small indexes."""

from typing import Any

from django.db.models import Count, Min, Q, Sum
from django.http import HttpRequest

from ocpi.admin import clock, tables
from ocpi.models import Import, Location, Push, Tariff
from tenants import html, scope
from tenants.admin import ndw
from tenants.models import Connection, OAuthClient, Tenant, Token

LINES = 10


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the first page (Unfold's DASHBOARD_CALLBACK) `cards`, `steps`, `held`, `minute`, `connections` and `rejected`."""
    may_look = request.user.has_perms(["tenants.view_connection", "ocpi.view_push", "ocpi.view_location"])
    if not may_look or scope.is_confined(request.user):  # its figures are of all tenants
        return context
    in_use = list(Connection.objects.filter(is_retired=False))
    counts = _counts() | {"connections": len(in_use)}
    waiting = Push.objects.filter(state=Push.State.DIRTY).values("connection")
    by_connection: dict[int, Any] = {
        row["connection"]: row for row in waiting.annotate(total=Count("pk"), since=Min("changed_at")).order_by()
    }
    counts["waiting"] = sum(row["total"] for row in by_connection.values())
    return context | {
        "title": "Home",
        "cards": _cards(counts),
        "steps": _steps(counts),
        "held": _held() if request.user.has_perm("ocpi.view_import") else "",
        "minute": clock.line(in_use),
        "connections": _connections(by_connection),
        "rejected": _rejected() if counts["rejected"] else "",
    }


def _counts() -> dict[str, int]:
    held_back = Q(publish=True, is_shown=False)
    locations = Location.objects.aggregate(
        locations=Count("pk"),
        shown=Count("pk", filter=Q(is_shown=True)),
        withheld=Count("pk", filter=held_back),
        held_back=Sum("evse_count", filter=held_back, default=0),
    )
    return locations | {
        "tenants": Tenant.objects.count(),
        "credentials": Token.objects.live().count() + OAuthClient.objects.live().count(),
        "tariffs": Tariff.objects.filter(deleted_at=None).count(),
        "rejected": Push.objects.filter(state=Push.State.REJECTED).count(),
    }


def _cards(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        _card("Tenants", counts["tenants"], f"{counts['credentials']:,} live credentials", "tenants_tenant_changelist"),
        _card("Locations", counts["locations"], f"{counts['shown']:,} shown to NDW", "ocpi_location_changelist"),
        _card(
            "EVSEs held back", counts["held_back"], f"in {counts['withheld']:,} Locations with gaps", "ocpi_problems"
        ),
        _card("Tariffs", counts["tariffs"], "in force", "ocpi_tariff_changelist"),
        _card("Waiting", counts["waiting"], "changes NDW lacks", "ocpi_push_changelist", state="waiting"),
        _card("Rejected", counts["rejected"], "refused by NDW", "ocpi_push_changelist", state="rejected"),
    ]


def _card(title: str, number: int, words: str, view: str, **query: str) -> dict[str, Any]:
    return {"title": title, "number": number, "words": words, "url": html.url(view, **query)}


def _steps(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Return what a new gateway still needs, in order; [] once objects have come in."""
    steps = [
        ("Add the first CPO", "a tenant under the CPO's own party", "tenants_tenant_add", counts["tenants"]),
        ("Issue its upload token", "the CPO uploads with it", "tenants_token_add", counts["credentials"]),
        (
            "Connect it to NDW",
            "with NDW's service account and push URL",
            "tenants_connection_add",
            counts["connections"],
        ),
        ("Wait for its first upload", "or try one yourself", "ocpi_location_changelist", counts["locations"]),
    ]
    if all(done for *_, done in steps):
        return []
    return [
        {"title": title, "words": words, "url": html.url(view), "done": bool(done)}
        for title, words, view, done in steps
    ]


def _held() -> Any:
    """Lead to the full sets that somebody has to decide on."""
    count = Import.objects.filter(state=Import.State.HELD).count()
    words = f"{count:,} imports wait for a decision" if count > 1 else "1 import waits for a decision"
    return html.link(words, "ocpi_import_changelist", state=Import.State.HELD) if count else ""


def _connections(waiting: dict[int, Any]) -> Any:
    """Show the Connections that do not deliver, or have something waiting."""
    troubled = Q(is_paused=True) | Q(failures__gt=0) | Q(pk__in=list(waiting))
    found = Connection.objects.filter(troubled, is_retired=False).select_related("tenant")
    rows = [
        (
            html.link(one, "tenants_connection_change", one.pk),
            html.badge(one.state, ndw.COLOURS),
            waiting.get(one.pk, {}).get("total", 0),
            html.time(waiting.get(one.pk, {}).get("since")),
            one.pause_reason or html.NOTHING,
        )
        for one in found.order_by("-is_paused", "-failures", "pk")[:LINES]
    ]
    headers = ["Connection", "State", "Waiting", "Oldest change", "Because"]
    return html.table(headers, rows, "Every Connection delivers, and nothing waits.")


def _rejected() -> Any:
    """Show what NDW refused last."""
    found = Push.objects.filter(state=Push.State.REJECTED).select_related("connection__tenant", "location", "tariff")
    unread = [f"{kind}__{name}" for kind in ("location", "tariff") for name in ("body", "findings", "unknown")]
    rows = [
        (html.link(one.target, "ocpi_push_change", one.pk), one.kind, one.connection, tables.words(one.last_answer))
        for one in found.defer(*unread).order_by("-pk")[:LINES]
    ]
    return html.table(["Object", "Kind", "Connection", "NDW's answer"], rows, "")
