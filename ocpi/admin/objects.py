"""Locations and Tariffs, as they are stored and served."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from ocpi.admin import tables
from ocpi.admin.lists import TENANT, ChoiceFilter, ReadOnlyAdmin
from ocpi.models import Location, OcpiObject, Tariff
from ocpi.rules.profiles import DOT_NL_2026
from tenants import html

VISIBLE_COLOURS = {"shown": "success", "withheld": "danger", "not published": "info"}


class ObjectAdmin(ReadOnlyAdmin):
    """What Location and Tariff share."""

    list_select_related = ["tenant"]
    list_per_page = 50  # their bodies are read for the list
    search_fields = ["ocpi_id"]
    search_help_text = "Part of the id"
    ordering = ["-pk"]
    updated = html.moment("last_updated", "last updated (CPO)")
    received = html.moment("received_at", "received")
    first_received = html.moment("created_at", "first received")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave in the database what no list shows."""
        return super().get_queryset(request).defer("findings", "unknown", "cpo_times")

    @html.field("")  # the heading says it
    def finding_list(self, item: OcpiObject) -> SafeString | str:
        """Show what the CPO should mend."""
        return tables.findings(item.findings)

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


class GapFilter(ChoiceFilter):
    """By a demand of DOT-NL that is not met."""

    title, parameter_name = "gap", "gap"
    choices_by_word = {
        demand.field: (demand.field, Q(gaps__contains=[f"N-{demand.field}"]))
        for demands in DOT_NL_2026.demands.values()
        for demand in demands
    }


@admin.register(Location)
class LocationAdmin(ObjectAdmin):
    """Locations as they are stored and served."""

    list_display = ["ocpi_id", "tenant", "place", "visible", "gap_list", "evse_total", "updated", "received"]
    list_filter = [VisibleFilter, GapFilter, TENANT]
    fieldsets = [
        (None, {"fields": ["ocpi_id", "tenant", "place", "visible", "updated", "received", "first_received"]}),
        ("Findings", {"fields": ["finding_list"]}),
        ("Delivery", {"fields": ["delivery_list"]}),
        ("EVSEs", {"fields": ["evse_list"]}),
        ("As it is served", {"fields": ["document_text", "unknown_text"]}),
    ]

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
        """Show the EVSEs with their connectors."""
        return tables.evses(location.document)


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

    list_display = ["ocpi_id", "tenant", "state", "type", "currency", "updated", "received"]
    list_filter = [DeletedFilter, TENANT]
    fieldsets = [
        (None, {"fields": ["ocpi_id", "tenant", "state", "type", "updated", "received", "first_received", "deleted"]}),
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

    @display(description="currency")
    def currency(self, tariff: Tariff) -> str:
        """Show its currency."""
        return tariff.document["currency"]

    @html.field("")  # the heading says it
    def price_list(self, tariff: Tariff) -> SafeString | str:
        """Show its elements."""
        return tables.prices(tariff.document)
