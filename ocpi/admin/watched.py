"""The status watch: EVSEs, and whole fleets, whose status is hard to believe, as the last look found them."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import Count, Max, Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from ocpi.admin import tables
from ocpi.admin.lists import TENANT, ChoiceFilter, ReadOnlyAdmin
from ocpi.models import Lookout, Watched
from tenants import html, scope

KINDS = {
    Watched.Kind.CHARGING: (gettext_lazy("charging"), "info"),
    Watched.Kind.UNKNOWN: (gettext_lazy("unknown"), "warning"),
    Watched.Kind.SILENT: (gettext_lazy("silent"), "warning"),
    Watched.Kind.FLAPPING: (gettext_lazy("flapping"), "danger"),
    Watched.Kind.UNIFORM: (gettext_lazy("uniform"), "danger"),
}
UNREAD = ["body", "findings", "unknown", "cpo_times", "warnings", "gaps", "tariff_ids", "evse_keys", "digest"]


class KindFilter(ChoiceFilter):
    """By what is odd."""

    title, parameter_name = gettext_lazy("what"), "kind"
    choices_by_word = {kind.value: (cast(str, kind.label), Q(kind=kind)) for kind in Watched.Kind}


@admin.register(Watched)
class WatchedAdmin(ReadOnlyAdmin):
    """What the last look found; a row is gone as soon as a look finds it mended."""

    list_display = ["what", "tenant", "location_link", "evse", "status_now", "since", "found"]
    list_filter = [KindFilter, TENANT]
    list_select_related = ["tenant", "location"]
    list_per_page = 50
    search_fields = ["evse_uid", "location__ocpi_id"]
    search_help_text = gettext_lazy("EVSE uid, or part of a Location's id")
    ordering = ["-found_at", "-pk"]
    show_facets = admin.ShowFacets.NEVER
    fields = list_display
    since = html.moment("since_at", cast(str, gettext_lazy("since (CPO)")))
    found = html.moment("found_at", cast(str, gettext_lazy("first seen so")))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave in the database what no list shows, and what is not the user's."""
        rows = scope.confine(request.user, super().get_queryset(request))
        return rows.defer(*(f"location__{name}" for name in UNREAD))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Say when the EVSEs were looked at."""
        looks = scope.confine(request.user, Lookout.objects.filter(tenant__is_active=True)).aggregate(
            first=Min("looked_at"), last=Max("looked_at"), looked=Count("looked_at"), of=Count("pk")
        )
        times = {"first": html.time(looks["first"]), "last": html.time(looks["last"])}
        return super().changelist_view(request, (extra_context or {}) | {"looks": looks | times})

    @display(description=gettext_lazy("what"), ordering="kind")
    def what(self, row: Watched) -> SafeString | str:
        """Show what is odd."""
        name, colour = KINDS[Watched.Kind(row.kind)]
        badge = html.badge(str(name), {str(name): colour})
        return (
            html.lines([badge, _("%(count)s changes in 24 hours") % {"count": row.changes}]) if row.changes else badge
        )

    @display(description=gettext_lazy("Location"), ordering="location__ocpi_id")
    def location_link(self, row: Watched) -> SafeString | str:
        """Lead to the Location."""
        return html.link(row.location, "ocpi_location_change", row.location_id) if row.location else _("whole fleet")

    @display(description=gettext_lazy("EVSE"), ordering="evse_uid")
    def evse(self, row: Watched) -> str:
        """Show the EVSE's uid."""
        return row.evse_uid or html.NOTHING

    @display(description=gettext_lazy("status"), ordering="status")
    def status_now(self, row: Watched) -> SafeString | str:
        """Show the status when it was looked at."""
        return html.badge(row.status, tables.STATUS_COLOURS) if row.status else html.NOTHING
