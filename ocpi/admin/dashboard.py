"""The admin's first page: whether all is well, what there is, and the parts that `ocpi.admin.panels` makes.

A dozen queries on small indexes, and only those that the reader's permissions ask for.
"""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ocpi import queue
from ocpi.admin import look, panels
from ocpi.admin.panels import Panel, Seen
from tenants import html, sql
from tenants.models import OAuthClient, Token

KEPT = 0.99  # of a day's changes within 60 s: less, and the minute is not kept

# Most Locations are shown, and those are counted as they change (`ocpi.counts`); the others have a small index.
_FIGURES = """
    SELECT shown.locations + hidden.locations, shown.locations, hidden.withheld, hidden.evses, shown.tariffs,
        (SELECT count(*) FROM ocpi_push WHERE state = 'dirty' AND {mine}
            AND connection_id NOT IN (SELECT id FROM tenants_connection WHERE is_retired))
    FROM (SELECT count(*) AS locations, count(*) FILTER (WHERE publish) AS withheld,
            coalesce(sum(evse_count) FILTER (WHERE publish), 0)::bigint AS evses
        FROM ocpi_location WHERE NOT is_shown AND {mine}) hidden,
        (SELECT coalesce(sum(change) FILTER (WHERE kind = 'location'), 0)::bigint AS locations,
            coalesce(sum(change) FILTER (WHERE kind = 'tariff'), 0)::bigint AS tariffs
        FROM ocpi_showncount WHERE {mine}) shown
"""


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the first page (Unfold's DASHBOARD_CALLBACK) `health`, `steps`, `cards`, `panels`: what the reader may see."""
    seen = Seen(request)
    if not seen.may("ocpi.view_location") and not seen.may("ocpi.view_push") and not seen.may("tenants.view_tenant"):
        return context
    counts = _counts(seen)
    steps = _steps(seen, counts)
    is_begun = bool(counts["locations"] or seen.every_connection)
    return context | {
        "title": _("Home"),
        "health": _health(request, seen) if is_begun else [],
        "steps": steps,
        "cards": _cards(request, seen, counts),
        "panels": _panels(seen) if is_begun else [],
    }


def _counts(seen: Seen) -> dict[str, int]:
    mine = "tenant_id = ANY(%(own)s::bigint[])" if seen.own is not None else "%(own)s::bigint[] IS NULL"
    row = sql.run(_FIGURES.format(mine=mine), {"own": seen.own}).fetchone()
    names = ("locations", "shown", "withheld", "held_back", "tariffs", "waiting")
    return dict(zip(names, row or (0,) * len(names), strict=True))


# --- All well? ---------------------------------------------------------------------------------------------------------


def _health(request: HttpRequest, seen: Seen) -> list[dict[str, str]]:
    """Return in sentences whether the minute is kept and what is wrong, each with the way to it."""
    found = []
    if seen.may("ocpi.view_push"):
        found.append(_minute(seen))
    if seen.may("ocpi.view_push", "tenants.view_connection"):
        found += _troubles(seen)
    if seen.may("ocpi.view_import") and (held := look.counts(request).held):
        words = ngettext("%(count)s import waits for a decision", "%(count)s imports wait for a decision", held)
        found.append(_sentence("warning", words, held, html.url("ocpi_import_changelist", state="held")))
    if found and all(one["level"] in ("good", "info") for one in found):
        found.append({"level": "good", "words": _("Nothing is paused, unanswered or late."), "url": ""})
    return found


def _minute(seen: Seen) -> dict[str, str]:
    changes, within = seen.production
    url = html.url("ocpi_minute")
    if not changes:
        return {"level": "info", "words": _("No change for production yet today."), "url": url}
    is_kept = within >= KEPT * changes
    words = (
        _("The minute is kept: %(share)s of %(count)s")
        if is_kept
        else _("The minute is not kept: %(share)s of %(count)s")
    )
    told = ngettext("%(count)s change today", "%(count)s changes today", changes) % {"count": html.number(changes)}
    said = words % {"share": html.percent(within, changes), "count": told}
    return {"level": "good" if is_kept else "bad", "words": said, "url": url}


def _troubles(seen: Seen) -> list[dict[str, str]]:
    """Return what is wrong with the Connections."""
    running = [one for one in seen.connections if not one.is_paused]
    paused = len(seen.connections) - len(running)
    unanswered = sum(one.failures >= queue.BREAKER_FAILURES for one in running)
    late = sum(one.has_alarm for one in seen.connections)
    list_, in_use = "tenants_connection_changelist", {"is_retired__exact": 0}
    open_query = in_use | {"is_paused__exact": 0, "failures__gte": queue.BREAKER_FAILURES}
    found = []
    if late:
        words = ngettext("%(count)s alarm is open", "%(count)s alarms are open", late)
        found.append(_sentence("bad", words, late, html.url("ocpi_minute")))
    if paused:
        words = ngettext("%(count)s connection is paused", "%(count)s connections are paused", paused)
        found.append(_sentence("bad", words, paused, html.url(list_, **in_use, is_paused__exact=1)))
    if unanswered:
        words = ngettext("%(count)s connection gets no answer", "%(count)s connections get no answer", unanswered)
        found.append(_sentence("bad", words, unanswered, html.url(list_, **open_query)))
    return found


def _sentence(level: str, words: str, count: int, url: str) -> dict[str, str]:
    return {"level": level, "words": words % {"count": html.number(count)}, "url": url}


# --- What there is -----------------------------------------------------------------------------------------------------


def _cards(request: HttpRequest, seen: Seen, counts: dict[str, int]) -> list[dict[str, Any]]:
    cards = []
    if seen.may("tenants.view_tenant"):
        active = sum(tenant.is_active for tenant in seen.tenants)
        words = _("%(count)s active") % {"count": html.number(active)}
        cards.append(_card(_("Tenants"), len(seen.tenants), words, "tenants_tenant_changelist"))
    if seen.may("ocpi.view_location"):
        shown = _("%(count)s shown to NDW") % {"count": html.number(counts["shown"])}
        cards.append(_card(_("Locations"), counts["locations"], shown, "ocpi_location_changelist"))
        words = _("in %(count)s Locations with gaps") % {"count": html.number(counts["withheld"])}
        cards.append(_card(_("EVSEs held back"), counts["held_back"], words, "ocpi_problems"))
    if seen.may("ocpi.view_tariff"):
        query = {"state": "in force"}
        cards.append(_card(_("Tariffs"), counts["tariffs"], _("in force"), "ocpi_tariff_changelist", **query))
    if seen.may("ocpi.view_push"):
        query = {"state": "waiting"}
        cards.append(_card(_("Waiting"), counts["waiting"], _("changes NDW lacks"), "ocpi_push_changelist", **query))
        rejected, query = look.counts(request).rejected, {"state": "rejected"}
        cards.append(_card(_("Rejected"), rejected, _("refused by NDW"), "ocpi_push_changelist", **query))
    return cards


def _card(title: str, number: int, words: str, view: str, **query: str) -> dict[str, Any]:
    return {"title": title, "number": number, "words": words, "url": html.url(view, **query)}


def _steps(seen: Seen, counts: dict[str, int]) -> list[dict[str, Any]]:
    """Return what a new gateway still needs, in order; [] once objects have come in, and for who cannot add a tenant."""
    if seen.own is not None or not seen.may("tenants.add_tenant"):
        return []
    tenants, connections, locations = len(seen.tenants), len(seen.connections), counts["locations"]
    if tenants and connections and locations:
        return []
    has_credential = Token.objects.live().exists() or OAuthClient.objects.live().exists()
    steps = [
        (_("Add the first CPO"), _("a tenant under the CPO's own party"), "tenants_tenant_add", tenants),
        (_("Issue its upload token"), _("the CPO uploads with it"), "tenants_token_add", has_credential),
        (
            _("Connect it to NDW"),
            _("with NDW's service account and push URL"),
            "tenants_connection_add",
            connections,
        ),
        (_("Wait for its first upload"), _("or try one yourself"), "ocpi_location_changelist", locations),
    ]
    return [
        {"title": title, "words": words, "url": html.url(view), "done": bool(done)}
        for title, words, view, done in steps
    ]


# --- The rest ----------------------------------------------------------------------------------------------------------


def _panels(seen: Seen) -> list[Panel]:
    """Return the parts of the page that the reader may see, in their order."""
    found: list[Panel | None] = []
    if seen.may("ocpi.view_import"):
        found.append(panels.imports(seen))
    if seen.may("ocpi.view_push", "tenants.view_connection"):
        found += [panels.connections(seen), panels.waits(seen), panels.rejected(seen)]
    if seen.may("ocpi.view_location"):
        found += [panels.withheld(seen), *panels.uploads(seen)]
    if seen.may("ocpi.view_push"):
        found.append(panels.minute(seen))
    if seen.may("tenants.view_tenant"):
        found += [panels.silent(seen), panels.pulls(seen)]
    return [one for one in found if one]
