"""Locations and Tariffs, as they are stored and served."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy, ngettext
from unfold.decorators import display

from ocpi import overview
from ocpi.admin import evses, history, offboard, tables, versions
from ocpi.admin import map as map_pages
from ocpi.admin import problems as pages
from ocpi.admin.filters import LocationRuleFilter, MendedFilter, SeverityFilter, TariffFilter, TariffRuleFilter
from ocpi.admin.lists import TENANT, ChoiceFilter, ReadOnlyAdmin
from ocpi.models import Location, OcpiObject, Push, Tariff
from ocpi.problems import look
from ocpi.rules import Finding, restore
from ocpi.rules.findings import in_order
from ocpi.rules.prices import price_line
from ocpi.rules.profiles import AFIR_2025_655
from tenants import html, scope

READINESS: Any = format_lazy(gettext_lazy("Readiness for {profile} (advisory, blocks nothing)"), profile=AFIR_2025_655)
VISIBLE_COLOURS = {"shown": "success", "withheld": "danger", "not published": "info"}


class ObjectAdmin(ReadOnlyAdmin):
    """What Location and Tariff share."""

    list_select_related = ["tenant"]
    list_per_page = 50  # their bodies are read for the list
    search_fields = ["ocpi_id"]
    search_help_text = gettext_lazy("Part of the id")
    ordering = ["-pk"]
    show_facets = admin.ShowFacets.NEVER  # dozens of rules, each of them a count
    updated = html.moment("last_updated", gettext_lazy("last updated (CPO)"))
    received = html.moment("received_at", gettext_lazy("received"))
    first_received = html.moment("created_at", gettext_lazy("first received"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave in the database what no list shows."""
        return super().get_queryset(request).defer("findings", "unknown", "cpo_times")

    def get_urls(self) -> list[URLPattern]:
        """Put the Versions page and the document beside the page of one object."""
        view, name = self.admin_site.admin_view, self.opts.model_name
        return [
            path("<int:pk>/versions/", view(self.version_page), name=f"ocpi_{name}_versions"),
            path("<int:pk>/document/", view(self.raw), name=f"ocpi_{name}_document"),
            *super().get_urls(),
        ]

    def version_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what was served when, and what NDW had."""
        return history.page(request, self._allowed(request, pk))

    def raw(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give the document as JSON."""
        return history.raw(request, self._allowed(request, pk))

    def _allowed(self, request: HttpRequest, pk: int) -> Any:
        """Return the object if the user may see it. Raises Http404, PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found: Any = self.get_object(request, str(pk))
        if found is None or not scope.may_see(request.user, found.tenant_id):
            raise Http404("No such object.")
        return found

    def found(self, item: OcpiObject) -> list[Finding]:
        """Return what the CPO should mend."""
        return restore(item.findings)

    @html.field("")  # the heading says it
    def finding_list(self, item: OcpiObject) -> SafeString | str:
        """Show what the CPO should mend."""
        return tables.findings(in_order(self.found(item)))

    def _pushes(self, item: OcpiObject) -> list[Push]:
        """Return what NDW lacks and has of it, with the last requests; asked once."""
        kept = item.__dict__
        if "_pushes" not in kept:
            pushes: Any = item.pushes.with_shown_state()  # type: ignore[attr-defined]
            kept["_pushes"] = list(pushes.select_related("connection__tenant").prefetch_related(versions.LAST_REQUESTS))
        return kept["_pushes"]

    @html.field("")  # the heading says it
    def delivery_list(self, item: OcpiObject) -> SafeString | str:
        """Show where it stands with NDW."""
        return tables.deliveries(self._pushes(item))

    @html.field("")  # the heading says it
    def request_list(self, item: OcpiObject) -> SafeString | str:
        """Show what NDW answered."""
        return versions.requests(self._pushes(item))

    @html.field("")  # the heading says it
    def version_list(self, item: OcpiObject) -> SafeString:
        """Show what changed last, and lead to all of it."""
        return versions.latest(item)

    @html.field("")  # the heading says it
    def document_text(self, item: OcpiObject) -> SafeString:
        """Show the document as it is served, on demand."""
        return versions.document(item, bytes(item.body))

    @html.field(gettext_lazy("left out"))
    def unknown_text(self, item: OcpiObject) -> SafeString | str:
        """Show what the CPO sent and NDW does not get."""
        return html.document(item.unknown) if item.unknown else gettext("Nothing: all properties are OCPI's.")


class VisibleFilter(ChoiceFilter):
    """By whether NDW sees a Location."""

    title, parameter_name = "NDW", "visible"
    choices_by_word = {
        "shown": (gettext_lazy("Shown"), Q(is_shown=True)),
        "hidden": (gettext_lazy("Not shown"), Q(is_shown=False)),
        "withheld": (gettext_lazy("Withheld: gaps"), Q(is_shown=False, publish=True)),
        "unpublished": (gettext_lazy("Not published"), Q(is_shown=False, publish=False)),
    }


@admin.register(Location)
class LocationAdmin(ObjectAdmin):
    """Locations as they are stored and served."""

    list_display = ["ocpi_id", "tenant", "place", "visible", "gap_list", "evse_total", "updated", "received"]
    list_filter = [VisibleFilter, SeverityFilter, LocationRuleFilter, MendedFilter, TariffFilter, TENANT]
    fieldsets = [
        (None, {"fields": [("ocpi_id", "tenant"), "place", ("visible", "updated"), ("received", "first_received")]}),
        (gettext_lazy("Findings"), {"fields": ["top_list"]}),
        (gettext_lazy("EVSEs"), {"fields": ["evse_list"]}),
        (gettext_lazy("The Location itself"), {"fields": ["field_list"]}),
        (gettext_lazy("Delivery"), {"fields": ["delivery_list"]}),
        (gettext_lazy("Last requests to NDW"), {"fields": ["request_list"]}),
        (gettext_lazy("Versions"), {"fields": ["version_list"]}),
        (READINESS, {"fields": ["advice_list"]}),
        (gettext_lazy("As it is served"), {"fields": ["document_text", "unknown_text"]}),
    ]

    def get_urls(self) -> list[URLPattern]:
        """Put the Problems pages, the map and the way out of a tenant before those of one Location."""
        view = self.admin_site.admin_view
        return [
            path("problems/", view(pages.every_cpo), name="ocpi_problems"),
            path("problems/<str:party>/", view(pages.one_cpo), name="ocpi_problems_cpo"),
            path("map/", view(map_pages.page), name="ocpi_map"),
            path("map/points/", view(map_pages.points), name="ocpi_map_points"),
            path("offboard/<str:party>/", view(offboard.offboard), name="ocpi_offboard"),
            path("offboard/<str:party>/progress/", view(offboard.progress), name="ocpi_offboard_progress"),
            path("offboard/<str:party>/proof.csv", view(offboard.proof), name="ocpi_offboard_proof"),
            *super().get_urls(),
        ]

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Begin with the largest where somebody looks for what to mend."""
        is_mending = request.GET.get("rule") or request.GET.get("mended")
        return ["-evse_count", "-pk"] if is_mending else self.ordering

    def found(self, item: Any) -> list[Finding]:
        """Return what the CPO should mend, together with other objects too."""
        return super().found(item) + look(item.tenant, item.pk, item.document, names_parties=self.names_others(item))

    @display(description=gettext_lazy("place"))
    def place(self, location: Location) -> str:
        """Show name and address."""
        document = location.document
        parts = (document.get(name) for name in ("name", "address", "city"))
        return ", ".join(dict.fromkeys(part for part in parts if part))

    @display(description="NDW", ordering="is_shown")
    def visible(self, location: Location) -> SafeString:
        """Show whether NDW sees it."""
        word = "shown" if location.is_shown else "withheld" if location.publish else "not published"
        return html.badge(word, VISIBLE_COLOURS)

    @display(description=gettext_lazy("gaps"))
    def gap_list(self, location: Location) -> str:
        """Show which demands of DOT-NL it does not meet."""
        return ", ".join(gap.removeprefix("N-") for gap in location.gaps) or html.NOTHING

    @display(description=gettext_lazy("EVSEs"), ordering="evse_count")
    def evse_total(self, location: Location) -> int:
        """Show how many EVSEs it has, REMOVED ones too."""
        return location.evse_count

    def _beside(self, location: Location) -> evses.Beside:
        """Return what is to be mended, by what it concerns; found out once."""
        kept = location.__dict__
        if "_beside" not in kept:
            kept["_beside"] = evses.Beside.of(self.found(location), location.document)
        return kept["_beside"]

    @html.field("")  # the heading says it
    def top_list(self, location: Location) -> SafeString | str:
        """Show what is to be mended of the whole, and where the rest stands."""
        return evses.findings(self._beside(location), location.document)

    @html.field("")  # the heading says it
    def field_list(self, location: Location) -> SafeString | str:
        """Show its own fields."""
        return evses.fields(self._beside(location), location.document)

    @html.field("")  # the heading says it
    def evse_list(self, location: Location) -> SafeString | str:
        """Show the EVSEs with their connectors, and what a driver pays there."""
        known = location.tenant.tariffs.filter(deleted_at=None).annotate(key=Lower("ocpi_id"))
        prices = {
            tariff.key: evses.Price(
                html.url("ocpi_tariff_change", tariff.pk), price_line(tariff.document, tables.reader())
            )
            for tariff in known.filter(key__in=location.tariff_ids).only("body")
        }
        return evses.cards(self._beside(location), location.document, prices, versions.statuses_since(location))

    @html.field("")  # the heading says it
    def advice_list(self, location: Location) -> SafeString | str:
        """Show what the law asks next."""
        return tables.readiness(overview.fills_of(location))


class DeletedFilter(ChoiceFilter):
    """By whether a Tariff is a tombstone."""

    title, parameter_name = gettext_lazy("state"), "state"
    choices_by_word = {
        "in force": (gettext_lazy("In force"), Q(deleted_at=None)),
        "deleted": (gettext_lazy("Deleted"), Q(deleted_at__isnull=False)),
    }


@admin.register(Tariff)
class TariffAdmin(ObjectAdmin):
    """Tariffs as they are stored and served; deleted ones stay as tombstones."""

    list_display = ["ocpi_id", "tenant", "state", "type", "price", "updated", "received"]
    list_filter = [DeletedFilter, TariffRuleFilter, TENANT]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("ocpi_id", "tenant"),
                    ("state", "type"),
                    ("price_words", "named_by"),
                    ("updated", "received"),
                    ("first_received", "deleted"),
                ]
            },
        ),
        (gettext_lazy("Findings"), {"fields": ["finding_list"]}),
        (gettext_lazy("Prices"), {"fields": ["price_list"]}),
        (gettext_lazy("Delivery"), {"fields": ["delivery_list"]}),
        (gettext_lazy("Last requests to NDW"), {"fields": ["request_list"]}),
        (gettext_lazy("Versions"), {"fields": ["version_list"]}),
        (gettext_lazy("As it is served"), {"fields": ["document_text", "unknown_text"]}),
    ]
    deleted = html.moment("deleted_at", gettext_lazy("deleted"))

    @display(description=gettext_lazy("state"), ordering="deleted_at")
    def state(self, tariff: Tariff) -> SafeString:
        """Show whether the CPO has deleted it."""
        return html.badge("deleted" if tariff.deleted_at else "in force", {"in force": "success", "deleted": "info"})

    @display(description=gettext_lazy("type"))
    def type(self, tariff: Tariff) -> str:
        """Show what it is for."""
        return tariff.document.get("type", html.NOTHING)

    @display(description=gettext_lazy("price"))
    def price(self, tariff: Tariff) -> str:
        """Show what a driver pays."""
        return price_line(tariff.document, tables.reader())

    @html.field(gettext_lazy("price"))
    def price_words(self, tariff: Tariff) -> SafeString | str:
        """Show what a driver pays, in both languages."""
        return tables.price_words(tariff.document)

    @html.field(gettext_lazy("named by"))
    def named_by(self, tariff: Tariff) -> SafeString:
        """Lead to the Locations whose connectors name it."""
        tariff_id = tariff.ocpi_id.lower()
        count = tariff.tenant.locations.filter(tariff_ids__contains=[tariff_id]).count()
        query = {"tenant__id__exact": tariff.tenant_id, "tariff": tariff_id}
        words = ngettext("%(count)s Location", "%(count)s Locations", count)
        return html.link(words % {"count": html.number(count)}, "ocpi_location_changelist", **query)

    @html.field("")  # the heading says it
    def price_list(self, tariff: Tariff) -> SafeString | str:
        """Show its elements."""
        return tables.prices(tariff.document)
