"""Locations and Tariffs, as they are stored and served."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.decorators import display

from ocpi import overview
from ocpi.admin import offboard, tables
from ocpi.admin import problems as pages
from ocpi.admin.filters import LocationRuleFilter, MendedFilter, SeverityFilter, TariffFilter, TariffRuleFilter
from ocpi.admin.lists import TENANT, ChoiceFilter, ReadOnlyAdmin
from ocpi.models import Location, OcpiObject, Tariff
from ocpi.problems import look
from ocpi.rules import Finding, restore
from ocpi.rules.findings import in_order
from ocpi.rules.prices import price_line
from ocpi.rules.profiles import AFIR_2025_655
from tenants import html

_TIMES = ["updated", "received", "first_received"]
VISIBLE_COLOURS = {"shown": "success", "withheld": "danger", "not published": "info"}


class ObjectAdmin(ReadOnlyAdmin):
    """What Location and Tariff share."""

    list_select_related = ["tenant"]
    list_per_page = 50  # their bodies are read for the list
    search_fields = ["ocpi_id"]
    search_help_text = "Part of the id"
    ordering = ["-pk"]
    show_facets = admin.ShowFacets.NEVER  # dozens of rules, each of them a count
    updated = html.moment("last_updated", "last updated (CPO)")
    received = html.moment("received_at", "received")
    first_received = html.moment("created_at", "first received")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave in the database what no list shows."""
        return super().get_queryset(request).defer("findings", "unknown", "cpo_times")

    def found(self, item: OcpiObject) -> list[Finding]:
        """Return what the CPO should mend."""
        return restore(item.findings)

    @html.field("")  # the heading says it
    def finding_list(self, item: OcpiObject) -> SafeString | str:
        """Show what the CPO should mend."""
        return tables.findings(in_order(self.found(item)))

    @html.field("")  # the heading says it
    def delivery_list(self, item: OcpiObject) -> SafeString | str:
        """Show where it stands with NDW."""
        pushes: Any = item.pushes.with_shown_state()  # type: ignore[attr-defined]
        return tables.deliveries(pushes.select_related("connection__tenant"))

    @html.field("document")
    def document_text(self, item: OcpiObject) -> SafeString:
        """Show the document as it is served, indented."""
        return html.document(item.document)

    @html.field("left out")
    def unknown_text(self, item: OcpiObject) -> SafeString | str:
        """Show what the CPO sent and NDW does not get."""
        return html.document(item.unknown) if item.unknown else "Nothing: all properties are OCPI's."


class VisibleFilter(ChoiceFilter):
    """By whether NDW sees a Location."""

    title, parameter_name = "NDW", "visible"
    choices_by_word = {
        "shown": ("Shown", Q(is_shown=True)),
        "hidden": ("Not shown", Q(is_shown=False)),
        "withheld": ("Withheld: gaps", Q(is_shown=False, publish=True)),
        "unpublished": ("Not published", Q(is_shown=False, publish=False)),
    }


@admin.register(Location)
class LocationAdmin(ObjectAdmin):
    """Locations as they are stored and served."""

    list_display = ["ocpi_id", "tenant", "place", "visible", "gap_list", "evse_total", "updated", "received"]
    list_filter = [VisibleFilter, SeverityFilter, LocationRuleFilter, MendedFilter, TariffFilter, TENANT]
    fieldsets = [
        (None, {"fields": ["ocpi_id", "tenant", "place", "visible", *_TIMES]}),
        ("Findings", {"fields": ["finding_list"]}),
        ("Delivery", {"fields": ["delivery_list"]}),
        ("EVSEs", {"fields": ["evse_list"]}),
        (f"Readiness for {AFIR_2025_655} (advisory, blocks nothing)", {"fields": ["advice_list"]}),
        ("As it is served", {"fields": ["document_text", "unknown_text"]}),
    ]

    def get_urls(self) -> list[URLPattern]:
        """Put the Problems pages, and the way out of a tenant, before those of one Location."""
        view = self.admin_site.admin_view
        return [
            path("problems/", view(pages.every_cpo), name="ocpi_problems"),
            path("problems/<str:party>/", view(pages.one_cpo), name="ocpi_problems_cpo"),
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
        """Return what the CPO should mend, together with other objects too; other parties are named."""
        return super().found(item) + look(item.tenant, item.pk, item.document, names_parties=True)

    @display(description="place")
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

    @display(description="gaps")
    def gap_list(self, location: Location) -> str:
        """Show which demands of DOT-NL it does not meet."""
        return ", ".join(gap.removeprefix("N-") for gap in location.gaps) or html.NOTHING

    @display(description="EVSEs", ordering="evse_count")
    def evse_total(self, location: Location) -> int:
        """Show how many EVSEs it has, REMOVED ones too."""
        return location.evse_count

    @html.field("")  # the heading says it
    def evse_list(self, location: Location) -> SafeString | str:
        """Show the EVSEs with their connectors, and what a driver pays there."""
        known = location.tenant.tariffs.filter(deleted_at=None).annotate(key=Lower("ocpi_id"))
        prices = {
            tariff.key: price_line(tariff.document, tables.reader())
            for tariff in known.filter(key__in=location.tariff_ids).only("body")
        }
        return tables.evses(location.document, prices)

    @html.field("")  # the heading says it
    def advice_list(self, location: Location) -> SafeString | str:
        """Show what the law asks next."""
        return tables.readiness(overview.fills_of(location))


class DeletedFilter(ChoiceFilter):
    """By whether a Tariff is a tombstone."""

    title, parameter_name = "state", "state"
    choices_by_word = {
        "in force": ("In force", Q(deleted_at=None)),
        "deleted": ("Deleted", Q(deleted_at__isnull=False)),
    }


@admin.register(Tariff)
class TariffAdmin(ObjectAdmin):
    """Tariffs as they are stored and served; deleted ones stay as tombstones."""

    list_display = ["ocpi_id", "tenant", "state", "type", "price", "updated", "received"]
    list_filter = [DeletedFilter, TariffRuleFilter, TENANT]
    fieldsets = [
        (None, {"fields": ["ocpi_id", "tenant", "state", "type", "price_words", "named_by", *_TIMES, "deleted"]}),
        ("Findings", {"fields": ["finding_list"]}),
        ("Delivery", {"fields": ["delivery_list"]}),
        ("Prices", {"fields": ["price_list"]}),
        ("As it is served", {"fields": ["document_text", "unknown_text"]}),
    ]
    deleted = html.moment("deleted_at", "deleted")

    @display(description="state", ordering="deleted_at")
    def state(self, tariff: Tariff) -> SafeString:
        """Show whether the CPO has deleted it."""
        return html.badge("deleted" if tariff.deleted_at else "in force", {"in force": "success", "deleted": "info"})

    @display(description="type")
    def type(self, tariff: Tariff) -> str:
        """Show what it is for."""
        return tariff.document.get("type", html.NOTHING)

    @display(description="price")
    def price(self, tariff: Tariff) -> str:
        """Show what a driver pays."""
        return price_line(tariff.document, tables.reader())

    @html.field("price")
    def price_words(self, tariff: Tariff) -> SafeString | str:
        """Show what a driver pays, in both languages."""
        return tables.price_words(tariff.document)

    @html.field("named by")
    def named_by(self, tariff: Tariff) -> SafeString:
        """Lead to the Locations whose connectors name it."""
        tariff_id = tariff.ocpi_id.lower()
        count = tariff.tenant.locations.filter(tariff_ids__contains=[tariff_id]).count()
        query = {"tenant__id__exact": tariff.tenant_id, "tariff": tariff_id}
        return html.link(f"{count:,} Locations", "ocpi_location_changelist", **query)

    @html.field("")  # the heading says it
    def price_list(self, tariff: Tariff) -> SafeString | str:
        """Show its elements."""
        return tables.prices(tariff.document)
