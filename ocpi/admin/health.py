"""A tenant's health at a glance: cards for its page, those that the user may see."""

import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ocpi import clock, evidence, onboarding
from ocpi.evidence import Facts
from ocpi.models import Crawl
from tenants import html
from tenants.models import Environment


def cards(request: HttpRequest, facts: Facts) -> list[dict[str, Any]]:
    """Return how a tenant does. Two queries."""
    found: list[dict[str, Any]] = []
    if request.user.has_perm("ocpi.view_location"):
        found += _object_cards(facts)
    if request.user.has_perm("ocpi.view_tariff"):
        url = html.url("ocpi_tariff_changelist", tenant__id__exact=facts.tenant.pk)
        words = _("%(count)s with warnings") % {"count": html.number(facts.tariffs.warned)}
        found.append(_card(_("Tariffs"), html.number(facts.tariffs.count), words, url))
    if request.user.has_perm("ocpi.view_push"):
        found += _push_cards(facts)
    if request.user.has_perm("ocpi.view_location"):
        found += _time_cards(facts)
    return found


def _object_cards(facts: Facts) -> list[dict[str, Any]]:
    standing, of_tenant = facts.standing, {"tenant__id__exact": facts.tenant.pk}
    shown, withheld = (
        html.url("ocpi_location_changelist", **of_tenant, visible=word) for word in ("shown", "withheld")
    )
    return [
        _card(
            _("Locations shown"),
            html.number(standing.shown),
            _("of %(count)s") % {"count": html.number(standing.locations)},
            shown,
        ),
        _card(
            _("Locations withheld"),
            html.number(standing.withheld),
            _("with %(count)s EVSEs") % {"count": html.number(standing.held_back)},
            withheld,
        ),
    ]


def _push_cards(facts: Facts) -> list[dict[str, Any]]:
    pushed, of_tenant = evidence.pushed(facts), {"tenant__id__exact": facts.tenant.pk}
    waiting, rejected = (html.url("ocpi_push_changelist", **of_tenant, state=word) for word in ("waiting", "rejected"))
    oldest = _("the oldest for %(time)s") % {"time": timesince(pushed.since)} if pushed.since else ""
    return [
        _card(_("Waiting"), html.number(pushed.waiting), oldest or _("changes NDW lacks"), waiting),
        _card(_("Rejected"), html.number(pushed.rejected), _("refused by NDW"), rejected),
        _minute(facts),
    ]


def _minute(facts: Facts) -> dict[str, Any]:
    """Return how the minute was kept in the last 24 hours, in production. One query."""
    title, connection = _("The minute"), facts.connections.get(Environment.PRODUCTION)
    if connection is None:
        return _card(title, html.NOTHING, _("no connection to production"))
    now, url = timezone.now(), html.url("ocpi_minute_connection", connection.pk)
    row = clock.figures([connection], now - dt.timedelta(hours=24), now)[connection.pk].row
    if not row.changes:
        return _card(title, html.NOTHING, _("no changes in 24 hours"), url)
    words = _("of %(count)s changes in 24 hours within 60 s") % {"count": html.number(row.changes)}
    return _card(title, f"{1000 * row.within_60s // row.changes / 10:g} %", words, url)


def _time_cards(facts: Facts) -> list[dict[str, Any]]:
    """Return when the CPO last uploaded, and when NDW last had the whole of each list."""
    newest: dict[str, Crawl] = {}
    for (kind, _environment), crawl in facts.crawls.items():
        if kind not in newest or crawl.pk > newest[kind].pk:
            newest[kind] = crawl
    pulled = newest.get(Crawl.Kind.LOCATION)
    tariffs = newest.get(Crawl.Kind.TARIFF)
    words = _("Tariffs: %(ago)s") % {"ago": _ago(tariffs.finished_at if tariffs else None)}
    return [
        _card(_("Last upload"), _ago(facts.uploaded_at), _day(facts.uploaded_at)),
        _card(_("Last complete pull"), _ago(pulled.finished_at if pulled else None), words),
    ]


def _ago(at: dt.datetime | None) -> str:
    return _("%(time)s ago") % {"time": timesince(at, depth=1)} if at else _("never")


def _day(at: dt.datetime | None) -> str:
    return onboarding.day(at) if at else ""


def _card(title: str, figure: str, words: str, url: str = "") -> dict[str, Any]:
    return {"title": title, "figure": figure, "words": words, "url": url}
