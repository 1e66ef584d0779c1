"""The AFIR scorecard on a tenant's page: each field's share, the average of all CPOs, and where it is going."""

import math
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ocpi import scorecards
from ocpi.admin import tables
from ocpi.models import Scorecard
from tenants import charts, html, scope
from tenants.models import Tenant


def scorecard(request: HttpRequest, tenant: Tenant) -> dict[str, Any] | None:
    """Return how completely the fields are filled in, against the average and over time; None for who may not look."""
    if not request.user.has_perm("ocpi.view_location"):
        return None
    rows = scorecards.trend(tenant)
    if not rows:
        return {"day": ""}
    # Of few an average would tell another one's figures.
    least = 1 if scope.confined_to(request.user) is None else scorecards.LEAST
    average, count = scorecards.averages(least)
    headers = [
        _("Field"),
        _("Filled in"),
        _("Average of all CPOs"),
        _("Last %(n)s days") % {"n": scorecards.TREND_DAYS},
    ]
    lines = {
        is_mandatory: [_line(field, rows, average) for field in scorecards.FIELDS if field.is_mandatory == is_mandatory]
        for is_mandatory in (True, False)
    }
    return {
        "day": date_format(rows[-1].day, "j F Y"),
        "is_old": rows[-1].day != timezone.localdate(),
        "count": count,
        "evses": rows[-1].evses,
        "mandatory": html.table(headers, lines[True], ""),
        "advisory": html.table(headers, lines[False], ""),
    }


def _line(field: scorecards.Field, rows: list[Scorecard], average: dict[str, float]) -> tuple[Any, ...]:
    name, known = field.title.to(tables.reader()), [scorecards.share(row, field.name) for row in rows]
    mean, (filled, asked) = average.get(field.name), rows[-1].fills.get(field.name, (0, 0))
    return (
        name,
        _meter(filled, asked, name),
        html.NOTHING if mean is None else f"{_down(mean)} %",
        charts.line(known, [date_format(row.day, _("j M")) for row in rows], _trend(name, rows, known), top=100),
    )


def _trend(name: str, rows: list[Scorecard], known: list[float | None]) -> str:
    """Say in words what the line shows."""
    told = [(row.day, value) for row, value in zip(rows, known, strict=True) if value is not None]
    if not told:
        return _("%(field)s: nothing to fill in") % {"field": name}
    (since, first), (_until, last) = told[0], told[-1]
    given = {"field": name, "first": _down(first), "last": _down(last), "day": date_format(since, _("j M"))}
    return _("%(field)s: from %(first)s %% on %(day)s to %(last)s %%") % given


def _meter(filled: int, asked: int, name: str) -> SafeString | str:
    if not asked:
        return html.NOTHING
    bar = '{} % <small>{}</small><progress class="meter" max="{}" value="{}" aria-label="{}"></progress>'
    counts = _("%(filled)s of %(asked)s") % {"filled": html.number(filled), "asked": html.number(asked)}
    return format_html(bar, _down(100 * filled / asked), counts, asked, filled, name)


def _down(share: float) -> str:
    """Return a share to a tenth, rounded down: 100 is all."""
    return f"{math.floor(round(share * 10, 6)) / 10:g}"
