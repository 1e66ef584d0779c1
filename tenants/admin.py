"""Admin of tenants, their credentials and their connections to NDW."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget

from tenants.models import Connection, Credential, OAuthClient, ServiceAccount, Tenant, Token


class ConnectionInline(TabularInline):
    """A tenant's Connections, on the tenant's page."""

    model = Connection
    extra = 0
    fields = ["environment", "service_account", "push_url", "is_paused", "pause_reason"]
    readonly_fields = ["is_paused", "pause_reason"]
    show_change_link = True
    can_delete = False


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    """CPOs. The party locks once there are objects under it."""

    list_display = ["party", "name", "contact_name", "contact_email", "is_active", "location_count", "tariff_count"]
    list_filter = ["is_active", "country_code"]
    search_fields = ["party_id", "name", "contact_name", "contact_email"]
    ordering = ["country_code", "party_id"]
    readonly_fields = ["created_at"]
    inlines = [ConnectionInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Count the objects along."""
        counts = {
            "location_total": Count("locations", distinct=True),
            "tariff_total": Count("tariffs", distinct=True),
        }
        return super().get_queryset(request).annotate(**counts)

    @display(description="party", ordering="party_id", header=True)
    def party(self, tenant: Tenant) -> list[str]:
        """Show the party as NDW writes it."""
        return [str(tenant)]

    @display(description="Locations", ordering="location_total")
    def location_count(self, tenant: Tenant) -> int:
        """Show how many Locations are stored."""
        return tenant.location_total  # type: ignore[attr-defined]

    @display(description="Tariffs", ordering="tariff_total")
    def tariff_count(self, tenant: Tenant) -> int:
        """Show how many Tariffs are stored."""
        return tenant.tariff_total  # type: ignore[attr-defined]

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> list[str]:
        """Lock the party once objects carry it: NDW hides what stands under another."""
        in_use = obj is not None and (obj.locations.exists() or obj.tariffs.exists())  # type: ignore[attr-defined]
        return [*self.readonly_fields, *(["country_code", "party_id"] if in_use else [])]


class CredentialAdmin(ModelAdmin):
    """Issue and revoke; a credential is shown in the one answer that makes it and is never changed."""

    list_filter = ["tenant", "revoked_at", "last_used_at"]
    list_select_related = ["tenant"]
    search_fields = ["note", "tenant__party_id", "tenant__name"]
    autocomplete_fields = ["tenant"]
    ordering = ["-created_at", "-pk"]
    actions = ["revoke"]

    def has_change_permission(self, request: HttpRequest, obj: Credential | None = None) -> bool:
        """Refuse: revoke it and issue another."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Credential | None = None) -> bool:
        """Refuse: who had access stays on record."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Let in who may issue."""
        return self.has_add_permission(request)

    @display(description="state", label={"live": "success", "revoked": "danger", "expired": "warning"})
    def state(self, credential: Credential) -> str:
        """Show whether it opens the door."""
        if credential.revoked_at:
            return "revoked"
        return "live" if credential.is_live else "expired"

    @display(description="covers", ordering="tenant")
    def covers(self, credential: Credential) -> str:
        """Show the tenant, or that it is for all."""
        return str(credential.tenant or "all tenants")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Issue instead of save, and keep the value for the answer."""
        request.issued_value = obj.issue()  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the value, this once."""
        context = self.admin_site.each_context(request) | {
            "title": "Copy it now: it cannot be shown again",
            "credential": obj,
            "value": request.issued_value,  # type: ignore[attr-defined]
            "opts": self.opts,
        }
        response = TemplateResponse(request, "admin/issued_credential.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Refuse them from now on."""
        live = [credential for credential in queryset if credential.revoked_at is None]
        for credential in live:
            credential.revoke()
            self.log_change(request, credential, "Revoked.")
        self.message_user(request, f"Revoked {len(live)}.", messages.SUCCESS)


@admin.register(Token)
class TokenAdmin(CredentialAdmin):
    """Upload tokens of CPOs, pull tokens of NDW."""

    list_display = ["prefix", "purpose", "covers", "state", "note", "created_at", "expires_at", "last_used_at"]
    list_filter = ["purpose", *CredentialAdmin.list_filter]
    search_fields = ["prefix", *CredentialAdmin.search_fields]
    fields = ["purpose", "tenant", "expires_at", "note"]


@admin.register(OAuthClient)
class OAuthClientAdmin(CredentialAdmin):
    """NDW's clients at our token endpoint."""

    list_display = ["client_id", "covers", "state", "note", "created_at", "expires_at", "last_used_at"]
    search_fields = ["client_id", *CredentialAdmin.search_fields]
    fields = ["tenant", "expires_at", "note"]


class ServiceAccountForm(forms.ModelForm):
    """The secret goes in and never comes out."""

    client_secret = forms.CharField(
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown. Leave empty to keep the present one.",
    )

    class Meta:
        model = ServiceAccount
        fields = ["name", "environment", "token_url", "client_id"]

    def clean_client_secret(self) -> str:
        """Demand a secret for a new account."""
        secret = self.cleaned_data["client_secret"]
        if not secret and not self.instance.client_secret_sealed:
            raise forms.ValidationError("A new service account needs its secret.")
        return secret


@admin.register(ServiceAccount)
class ServiceAccountAdmin(ModelAdmin):
    """Our clients at NDW's IAM server."""

    form = ServiceAccountForm
    list_display = ["name", "environment", "client_id", "token_url", "access_token_expires_at"]
    list_filter = ["environment"]
    search_fields = ["name", "client_id"]
    ordering = ["environment", "name"]

    def save_model(self, request: HttpRequest, obj: ServiceAccount, form: Any, change: bool) -> None:
        """Seal a secret that was typed."""
        obj.save()
        if form.cleaned_data["client_secret"]:
            obj.set_client_secret(form.cleaned_data["client_secret"])


@admin.register(Connection)
class ConnectionAdmin(ModelAdmin):
    """Deliveries to NDW, one per tenant and environment."""

    list_display = ["tenant", "environment", "service_account", "push_url", "state", "pause_reason"]
    list_filter = ["environment", "is_paused", "is_retired", "tenant"]
    list_select_related = ["tenant", "service_account"]
    search_fields = ["tenant__party_id", "tenant__name", "push_url"]
    autocomplete_fields = ["tenant", "service_account"]
    ordering = ["tenant", "environment"]
    readonly_fields = ["is_paused", "paused_at", "pause_reason", "failures", "probe_at", "created_at"]
    fields = ["tenant", "environment", "service_account", "push_url", "is_retired", *readonly_fields]
    actions = ["pause", "resume"]

    @display(description="state", label={"sending": "success", "paused": "danger", "retired": "info", "no answer": "warning"})
    def state(self, connection: Connection) -> str:
        """Show whether it delivers."""
        if connection.is_retired:
            return "retired"
        if connection.is_paused:
            return "paused"
        return "no answer" if connection.failures else "sending"

    def has_delete_permission(self, request: HttpRequest, obj: Connection | None = None) -> bool:
        """Refuse: its attempts are the proof of delivery; retire it."""
        return False

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Send nothing until it is resumed."""
        for connection in queryset:
            connection.pause(f"Paused by {request.user}.")
            self.log_change(request, connection, "Paused.")
        self.message_user(request, f"Paused {len(queryset)}; changes go on being noted.", messages.SUCCESS)

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Send again what waits."""
        for connection in queryset:
            connection.resume()
            self.log_change(request, connection, "Resumed.")
        self.message_user(request, f"Resumed {len(queryset)}.", messages.SUCCESS)
