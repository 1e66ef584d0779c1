"""Admin of what CPOs uploaded (read only) and of its delivery to NDW."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from ocpi import doorbell, queue
from ocpi.models import Location, OcpiObject, Push, PushAttempt, Tariff

STATE_COLOURS = {"delivered": "success", "dirty": "info", "sending": "info", "rejected": "danger", "blocked": "warning"}


class ReadOnlyAdmin(ModelAdmin):
    """Something to look at; the API and the workers are the way in."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


class PushInline(TabularInline):
    """The delivery of one object, on the object's page."""

    model = Push
    extra = 0
    fields = readonly_fields = ["connection", "state", "changed_at", "accepted_at", "attempts", "last_answer"]
    show_change_link = True
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


class ObjectAdmin(ReadOnlyAdmin):
    """What Location and Tariff share."""

    list_select_related = ["tenant"]
    search_fields = ["ocpi_id"]
    ordering = ["-pk"]
    inlines = [PushInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave the bodies of a whole list in the database."""
        return super().get_queryset(request).defer("body", "findings", "unknown", "cpo_times")

    @display(description="findings")
    def finding_list(self, item: OcpiObject) -> SafeString | str:
        """Show the findings, worst first."""
        rows = ((f["severity"], f["path"] or "/", f["message"], f["hint"], f["rule"]) for f in item.findings)
        lines = format_html_join("", "<li><b>{}</b> <code>{}</code> {} {} <small>({})</small></li>", rows)
        return format_html("<ul>{}</ul>", lines) if lines else "None: nothing to mend."

    @display(description="document")
    def document_text(self, item: OcpiObject) -> SafeString:
        """Show the document as it is served, indented."""
        return format_html('<pre class="document">{}</pre>', json.dumps(item.document, indent=2, ensure_ascii=False))

    @display(description="properties OCPI does not have")
    def unknown_text(self, item: OcpiObject) -> SafeString | str:
        """Show what the CPO sent and NDW does not get."""
        if not item.unknown:
            return "None."
        return format_html('<pre class="document">{}</pre>', json.dumps(item.unknown, indent=2, ensure_ascii=False))


@admin.register(Location)
class LocationAdmin(ObjectAdmin):
    """Locations as they are stored and served."""

    list_display = ["ocpi_id", "tenant", "visible", "gap_list", "evse_count", "last_updated", "received_at"]
    list_filter = ["is_shown", "publish", "tenant"]
    fields = [
        "tenant", "ocpi_id", "visible", "publish", "last_updated", "received_at", "created_at",
        "finding_list", "document_text", "unknown_text",
    ]  # fmt: skip
    readonly_fields = fields

    @display(
        description="NDW",
        ordering="is_shown",
        label={"shown": "success", "withheld": "danger", "not published": "info"},
    )
    def visible(self, location: Location) -> str:
        """Show whether NDW sees it."""
        if location.is_shown:
            return "shown"
        return "withheld" if location.publish else "not published"

    @display(description="gaps")
    def gap_list(self, location: Location) -> str:
        """Show which demands of DOT-NL it does not meet."""
        return ", ".join(location.gaps) or "-"


@admin.register(Tariff)
class TariffAdmin(ObjectAdmin):
    """Tariffs as they are stored and served; deleted ones stay as tombstones."""

    list_display = ["ocpi_id", "tenant", "last_updated", "received_at", "deleted_at"]
    list_filter = [("deleted_at", admin.EmptyFieldListFilter), "tenant"]
    fields = [
        "tenant", "ocpi_id", "last_updated", "received_at", "created_at", "deleted_at",
        "finding_list", "document_text", "unknown_text",
    ]  # fmt: skip
    readonly_fields = fields


class AttemptInline(TabularInline):
    """The last requests of one Push."""

    model = PushAttempt
    extra = 0
    fields = readonly_fields = ["started_at", "method", "http_status", "ocpi_status", "outcome", "took_ms", "answer"]
    per_page = 20
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


@admin.register(Push)
class PushAdmin(ReadOnlyAdmin):
    """What NDW still lacks, and what it has."""

    list_display = [
        "target_id", "kind", "connection", "shown_state", "changed_at", "due_at", "attempts", "accepted_at", "last_answer",
    ]  # fmt: skip
    list_filter = ["state", "connection__environment", "connection__is_paused", "tenant"]
    list_select_related = ["connection__tenant", "location", "tariff"]
    search_fields = ["location__ocpi_id", "tariff__ocpi_id"]
    ordering = ["-pk"]
    fields = readonly_fields = [
        "connection", "target_id", "kind", "shown_state", "changed_at", "due_at", "attempts", "version", "changes",
        "accepted_version", "accepted_at", "last_answer", "correlation_id",
    ]  # fmt: skip
    inlines = [AttemptInline]
    actions = ["push_now"]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Compute the state, and leave the bodies in the database."""
        unread = [
            f"{kind}__{name}"
            for kind in ("location", "tariff")
            for name in ("body", "findings", "unknown", "cpo_times")
        ]
        return super().get_queryset(request).with_shown_state().defer(*unread)  # type: ignore[attr-defined]

    def has_push_permission(self, request: HttpRequest) -> bool:
        """Let in who may change a Push."""
        return request.user.has_perm("ocpi.change_push")  # type: ignore[union-attr]

    @display(description="object", ordering="pk")
    def target_id(self, push: Push) -> str:
        """Show the CPO's id."""
        return push.target.ocpi_id

    @display(description="kind")
    def kind(self, push: Push) -> str:
        """Show what it is."""
        return push.kind

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def shown_state(self, push: Push) -> str:
        """Show the state a person means."""
        return push.shown_state  # type: ignore[attr-defined]

    @admin.action(description="Push now", permissions=["push"])
    def push_now(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Send the present state again, whatever became of it before."""
        count = queue.send_again(Push.objects.filter(pk__in=queryset.values("pk")))
        doorbell.ring()
        self.message_user(request, f"{count} will be sent now.", messages.SUCCESS)


@admin.register(PushAttempt)
class PushAttemptAdmin(ReadOnlyAdmin):
    """Every request to NDW and its answer, word for word."""

    list_display = ["started_at", "tenant", "method", "url", "http_status", "ocpi_status", "outcome", "took_ms"]
    list_filter = ["outcome", "http_status", "tenant"]
    list_select_related = ["tenant"]
    search_fields = ["request_id", "correlation_id"]
    ordering = ["-started_at", "-pk"]
    fields = readonly_fields = [
        "tenant", "push", "started_at", "took_ms", "method", "url", "http_status", "ocpi_status", "outcome", "answer",
        "version", "changes", "changed_at", "request_id", "correlation_id",
    ]  # fmt: skip
