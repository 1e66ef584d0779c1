"""The admin's map of Locations: the page, and the points that its script asks for whenever the view moves.

Who may see what is asked by both. `ocpi.admin.objects` gives them their addresses.
"""

import json
import math
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.db.models import Max, Min
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.gzip import gzip_page

from ocpi import places
from ocpi.models import Location
from ocpi.places import Area, Cell, Listed
from tenants import html, scope
from tenants.models import Tenant

COUNTRY = Area(3.2, 50.7, 7.3, 53.6)  # the Netherlands


class Look(NamedTuple):
    """How a state looks on the map: a class of map.css (colour and shape), a sign, and what it means."""

    kind: str
    sign: str
    words: str | Promise


TITLES = {
    "compliance": gettext_lazy("Compliance"),
    "status": gettext_lazy("Status"),
    "delivery": gettext_lazy("Delivery"),
}
LOOKS = {
    "compliance": {
        "withheld": Look("bad", "!", gettext_lazy("Withheld: gaps")),
        "unpublished": Look("calm", "○", gettext_lazy("Not published")),
        "shown": Look("good", "✓", gettext_lazy("Shown to NDW")),
    },
    "status": {
        "broken": Look("bad", "✕", gettext_lazy("An EVSE out of order")),
        "unknown": Look("warn", "?", gettext_lazy("An EVSE unknown")),
        "free": Look("good", "✓", gettext_lazy("An EVSE available")),
        "busy": Look("busy", "≈", gettext_lazy("All in use")),
        "idle": Look("calm", "○", gettext_lazy("No EVSE in service")),
    },
    "delivery": {
        "rejected": Look("bad", "✕", gettext_lazy("Rejected by NDW")),
        "waiting": Look("warn", "…", gettext_lazy("Waiting")),
        "none": Look("calm", "○", gettext_lazy("Nothing to deliver")),
        "delivered": Look("good", "✓", gettext_lazy("Delivered")),
    },
}
WORDS = {
    "locations": gettext_lazy("Locations"),
    "none": gettext_lazy("No Locations in view."),
    "zoomIn": gettext_lazy("Too many Locations in view to read their status: zoom in."),
    "shown": gettext_lazy("Locations in view:"),
    "failed": gettext_lazy("The points could not be loaded. Move the map to try again."),
    "more": gettext_lazy("More here:"),
    "loading": gettext_lazy("Loading…"),
    "closer": gettext_lazy("Zoom in"),
    "farther": gettext_lazy("Zoom out"),
}

may_look = permission_required("ocpi.view_location", raise_exception=True)


class BadQuery(ValueError):
    """What was asked makes no sense; says why."""


class Chosen(NamedTuple):
    """Whose Locations, by what."""

    tenant: Tenant | None
    by: str


@may_look
def page(request: HttpRequest) -> HttpResponse:
    """Show the map; its points come from `points`."""
    try:
        chosen = _chosen(request)
    except BadQuery as error:
        return HttpResponseBadRequest(str(error), content_type="text/plain; charset=utf-8")
    looks = LOOKS[chosen.by]
    context = {
        "title": _("Map"),
        "tenants": scope.tenants_of(request.user),
        "tenant": chosen.tenant,
        "by": chosen.by,
        "titles": TITLES,
        "by_title": TITLES[chosen.by],
        "legend": [{"name": name, "look": look} for name, look in looks.items()],
        "settings": json.dumps(_settings(request, chosen)),
        "list_url": html.url("ocpi_location_changelist", **_of(chosen)),
    }
    return TemplateResponse(request, "admin/map.html", admin.site.each_context(request) | context)


def _settings(request: HttpRequest, chosen: Chosen) -> dict[str, Any]:
    """Return what the script needs to know."""
    area = _extent(request, chosen)
    return {
        "points": html.url("ocpi_map_points", by=chosen.by, **({"tenant": chosen.tenant.pk} if chosen.tenant else {})),
        "bounds": [[area.south, area.west], [area.north, area.east]],
        "tiles": settings.MAP_TILES_URL,
        "attribution": settings.MAP_TILES_ATTRIBUTION,
        "looks": {name: [look.kind, look.sign, str(look.words)] for name, look in LOOKS[chosen.by].items()},
        "words": {name: str(words) for name, words in WORDS.items()},
    }


def _of(chosen: Chosen) -> dict[str, int]:
    return {"tenant__id__exact": chosen.tenant.pk} if chosen.tenant else {}


def _extent(request: HttpRequest, chosen: Chosen) -> Area:
    """Return where to begin: around the Locations of one tenant, or of those the user belongs to; else the country."""
    tenants = _tenants(request, chosen)
    if tenants is None:
        return COUNTRY
    edges = Location.objects.filter(tenant__in=tenants).aggregate(
        west=Min("longitude"), south=Min("latitude"), east=Max("longitude"), north=Max("latitude")
    )
    return COUNTRY if edges["west"] is None else Area(**edges)


@may_look
@gzip_page
def points(request: HttpRequest) -> HttpResponse:
    """Return what is to be seen of an area, as JSON. Three queries at most."""
    try:
        chosen = _chosen(request)
        area, zoom = _area(request.GET.get("bbox", "")), _zoom(request.GET.get("zoom", ""))
    except BadQuery as error:
        return _json({"error": str(error)}, status=400)
    seen = places.look(area, zoom, chosen.by, _tenants(request, chosen))
    return _json(
        {
            "total": sum(cell.count for cell in seen.cells),
            "told": seen.is_told,
            "cells": [_cell(one) for one in seen.cells],
            "listed": [_listed(one) for one in seen.listed],
        }
    )


def _json(answer: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(answer), content_type="application/json", status=status)


def _cell(cell: Cell) -> dict[str, Any]:
    latitude, longitude = cell.at
    return {
        "at": [round(latitude, 6), round(longitude, 6)],
        "box": [cell.area.west, cell.area.south, cell.area.east, cell.area.north],
        "count": cell.count,
        "states": cell.states,
    }


def _listed(one: Listed) -> dict[str, str]:
    document, words = one.location.document, ""
    for part in (document.get(name) or "" for name in ("name", "address", "city")):
        if part not in words:  # many a name is the address
            words = f"{words}, {part}" if words else part
    return {
        "name": words,
        "id": one.location.ocpi_id,
        "tenant": str(one.location.tenant),
        "state": one.state,
        "url": html.url("ocpi_location_change", one.location.pk),
    }


# --- What was asked ----------------------------------------------------------------------------------------------------


def _chosen(request: HttpRequest) -> Chosen:
    """Return what both ask for. Raises BadQuery, and Http404 for a tenant that is not the user's."""
    by, tenant = request.GET.get("by") or "compliance", request.GET.get("tenant", "")
    if by not in places.STATES:
        raise BadQuery(_("“by” must be one of: %(words)s.") % {"words": ", ".join(places.STATES)})
    if not tenant:
        return Chosen(None, by)
    if not (tenant.isascii() and tenant.isdecimal() and len(tenant) < 19):
        raise BadQuery(_("“tenant” must be the number of a tenant."))
    found = scope.tenants_of(request.user).filter(pk=tenant).first()
    if found is None:
        raise Http404(_("No such tenant."))
    return Chosen(found, by)


def _tenants(request: HttpRequest, chosen: Chosen) -> list[int] | None:
    return [chosen.tenant.pk] if chosen.tenant else scope.confined_to(request.user)


def _area(text: str) -> Area:
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise BadQuery(_("“bbox” must be four numbers: west,south,east,north.")) from None
    if not all(map(math.isfinite, (west, south, east, north))) or west > east or south > north:
        raise BadQuery(_("“bbox” must go from west to east and from south to north, in degrees."))
    return Area(_within(west, 180), _within(south, 90), _within(east, 180), _within(north, 90))


def _within(degrees: float, most: float) -> float:
    return max(-most, min(most, degrees))


def _zoom(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 3 and int(text) in places.ZOOMS):
        raise BadQuery(_("“zoom” must be a whole number from 0 to %(most)s.") % {"most": places.ZOOMS[-1]})
    return int(text)
