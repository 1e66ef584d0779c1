"""The admin's Versions page of a Location or Tariff: every version of 90 days, what NDW had at a moment, what differs.

`ocpi.admin.objects` gives it its addresses and says who may see which object. What CPOs and NDW wrote is escaped.
"""

import datetime as dt
from typing import Any

import orjson
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ocpi import history
from ocpi.admin import versions
from ocpi.history import Difference, Served
from ocpi.models import OcpiObject, PushAttempt
from ocpi.rules.findings import shown
from ocpi.rulings import Do
from tenants import html

PER_PAGE = 25
NOW = "now"


# --- The page ----------------------------------------------------------------------------------------------------------


def page(request: HttpRequest, of: OcpiObject) -> HttpResponse:
    """Show all versions; with `at` what was served and accepted at a moment, with `a` and `b` what differs."""
    given = request.GET
    if moment := given.get("at"):
        content = _at(of, moment)
    elif "a" in given or "b" in given:
        content = _compared(of, given.get("a", ""), given.get("b", ""))
    else:
        content = _listed(of, given.get("before", ""))
    context = {
        "title": _("Versions of %(id)s") % {"id": of.ocpi_id},
        "object": of,
        "opts": of._meta,  # without it the trail has the app's label for its name
        "object_url": html.url(f"ocpi_{of._meta.model_name}_change", of.pk),
        "list_url": html.url(versions.view_of(of), of.pk),
        "is_list": "versions" in content,
        "asked": {name: given.get(name, "") for name in ("at", "a", "b")},
        "days": history.KEPT_FOR.days,
    }
    return TemplateResponse(request, "admin/history.html", admin.site.each_context(request) | context | content)


def raw(request: HttpRequest, of: OcpiObject) -> HttpResponse:
    """Give a document as it was served: the present one, or that of a `version`."""
    one = _chosen(of, request.GET.get("version", NOW))
    if one is None:
        raise Http404("No such version.")
    return HttpResponse(orjson.dumps(one.document, option=orjson.OPT_INDENT_2), content_type="application/json")


def _listed(of: OcpiObject, before: str) -> dict[str, Any]:
    """Return one page of versions, newest first, and where the older ones are."""
    key = _key(before)
    states = ([] if key else [history.present(of)]) + history.versions(of, before=key, limit=PER_PAGE + 1)
    rows = [
        (
            _radio("a", _("Compare from"), one, is_chosen=number == 1),
            _radio("b", _("Compare with"), one, is_chosen=number == 0),
            html.time(since),
            html.time(one.until_at) if one.until_at else _("now"),
            versions.changes(earlier, one),
            _visible(one),
        )
        for number, (one, earlier, since) in enumerate(versions.dated(states)[:PER_PAGE])
    ]
    headers = [_("From"), _("With"), _("Since"), _("Until"), _("What came with it"), _("NDW")]
    older = html.url(versions.view_of(of), of.pk, before=states[PER_PAGE - 1].id) if len(states) > PER_PAGE else ""
    return {
        "versions": html.table(headers, rows, _("None that old.")),
        "count": history.kept(of).count() + 1,
        "older_url": older,
        "is_paged": bool(key),
    }


def _radio(name: str, label: str, one: Served, *, is_chosen: bool) -> SafeString:
    """Return the choice of a version as the one to compare from (a) or with (b)."""
    radio = '<input type="radio" aria-label="{}" name="{}" value="{}">'
    chosen = '<input type="radio" aria-label="{}" name="{}" value="{}" checked>'
    return format_html(chosen if is_chosen else radio, label, name, one.id or NOW)


_VISIBLE: dict[bool, Any] = {True: gettext_lazy("shown"), False: gettext_lazy("not shown")}


def _visible(one: Served) -> SafeString:
    word = str(_VISIBLE[one.is_shown])
    return html.badge(word, {word: "success" if one.is_shown else "info"})


# --- At a moment -------------------------------------------------------------------------------------------------------


def _at(of: OcpiObject, text: str) -> dict[str, Any]:
    """Return what was served at a moment, and what NDW had accepted of it by then."""
    moment = _moment(text)
    if moment is None:
        return {"error": _("This is not a date and time: %(text)s") % {"text": shown(text)}}
    found = history.at(of, moment)
    when = html.time(moment)
    if found is None:
        return {"moment": when, "is_unknown": True}
    following = history.next_of(of, found)
    return {
        "moment": when,
        "served": _visible(found),
        "is_shown": found.is_shown,
        "until": html.time(found.until_at) if found.until_at else "",
        "until_changes": versions.changes(found, following) if following else "",
        "document": versions.document(of, found.body, version=found.id or NOW),
        "accepted": _accepted_table(of, found, moment),
        "compare_url": html.url(versions.view_of(of), of.pk, a=found.id, b=NOW) if found.id else "",
    }


def _accepted_table(of: OcpiObject, served: Served, moment: dt.datetime) -> SafeString | str:
    rows = [
        (
            one.push.connection,
            html.link(html.time(one.started_at), "ocpi_pushattempt_change", one.pk),
            one.method,
            " ".join(str(part) for part in (one.http_status, one.ocpi_status) if part),
            _carried(of, one, served),
        )
        for one in accepted(of, moment)
    ]
    empty = _("Nothing: no request that NDW accepted is known from before that moment.")
    return html.table([_("Over"), _("Sent"), _("Method"), _("Answer"), _("What it carried")], rows, empty)


def accepted(of: OcpiObject, moment: dt.datetime) -> list[PushAttempt]:
    """Return over each Connection the last request begun by a moment that NDW accepted."""
    delivered: QuerySet = PushAttempt.objects.filter(
        push=OuterRef("pk"), outcome=Do.DELIVERED.value, started_at__lte=moment
    )
    last = Subquery(delivered.order_by("-started_at", "-pk").values("pk")[:1])
    keys = list(of.pushes.annotate(last=last).values_list("last", flat=True))  # type: ignore[attr-defined]
    found = PushAttempt.objects.filter(pk__in=[key for key in keys if key])
    return list(found.select_related("push__connection__tenant").order_by("-started_at"))


def _carried(of: OcpiObject, attempt: PushAttempt, served: Served) -> SafeString | str:
    """Tell whether NDW had accepted what was served; the document is read just before a request begins."""
    then = history.at(of, attempt.started_at)
    if then is None:
        return _("not known any more")
    if then.id == served.id or (then.body, then.is_shown) == (served.body, served.is_shown):
        return _("what was served")
    return format_html("{}{}", _("an earlier version; what had come since:"), versions.changes(then, served))


# --- Two versions ------------------------------------------------------------------------------------------------------


def _compared(of: OcpiObject, first: str, second: str) -> dict[str, Any]:
    """Return what differs between two versions, each a key, `now`, or a moment."""
    one, other = _chosen(of, first), _chosen(of, second)
    if one is None or other is None:
        text = shown(second if one else first)
        return {"error": _("No version is known for %(text)s; choose two.") % {"text": text}}
    found = history.differences(one.document, other.document)
    rows = [
        (format_html("<code>{}</code>", difference.path), _side(difference, is_before=True), _side(difference))
        for difference in found
    ]
    headers = [_("Where"), _title(one), _title(other)]
    compared = html.table(headers, rows, _("Nothing: both are the same document."))
    return {"compared": compared, "sides": [_title(one), _title(other)], "states": [_visible(one), _visible(other)]}


def _title(one: Served) -> str:
    if one.until_at is None:
        return _("now")
    return _("until %(time)s") % {"time": html.moment_text(one.until_at)}


def _side(one: Difference, *, is_before: bool = False) -> SafeString | str:
    if one.is_added if is_before else one.is_removed:
        return html.NOTHING
    value = one.before if is_before else one.after
    return html.document(value) if isinstance(value, dict | list) else str(value)


def _chosen(of: OcpiObject, text: str) -> Served | None:
    """Return the version that is asked for: a key, `now`, or a moment."""
    if text == NOW:
        return history.present(of)
    if key := _key(text):
        return history.version(of, key)
    moment = _moment(text)
    return history.at(of, moment) if moment else None


def _key(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _moment(text: str) -> dt.datetime | None:
    """Return the moment that a form gave, in the admin's time zone."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    if found is None or not 2000 < found.year < 3000:  # so that no zone leads beyond the calendar
        return None
    return timezone.make_aware(found) if timezone.is_naive(found) else found
