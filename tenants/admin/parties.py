"""Tenants: CPOs, each under one party, with what belongs to them."""

import re
from typing import Any

from django.contrib import admin
from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from tenants import html, scope
from tenants.admin import credentials, ndw
from tenants.admin.confined import ConfinedAdmin
from tenants.models import Credential, Tenant, Token


def _count(related: str) -> Subquery:
    """Count a tenant's objects apart: two joins in one query would multiply with each other."""
    model: Any = Tenant._meta.get_field(related).related_model
    rows = model.objects.filter(tenant=OuterRef("pk")).order_by()
    return Subquery(rows.annotate(n=Func(F("pk"), function="count")).values("n"), output_field=IntegerField())


@admin.register(Tenant)
class TenantAdmin(ConfinedAdmin):
    """CPOs. The party locks once there are objects under it."""

    tenant_path = "pk"
    list_display = ["party", "name", "is_active", "location_count", "tariff_count", "contact_email", "created"]
    list_filter = ["is_active", "country_code"]
    list_filter_submit = True
    search_fields = ["party_id", "name", "contact_name", "contact_email"]
    search_help_text = _("Party id, name or contact")
    ordering = ["country_code", "party_id"]
    fieldsets = [
        (None, {"fields": ["country_code", "party_id", "name", "is_active", "contact_name", "contact_email"]}),
        (_("Full sets"), {"fields": ["brake_percent"]}),
        (gettext_lazy("Watch"), {"fields": ["heartbeat_h", "has_digest"]}),
        (_("What belongs to it"), {"fields": ["objects", "credentials", "connections", "users", "created"]}),
    ]
    readonly_fields = ["objects", "credentials", "connections", "users", "created"]
    created = html.moment("created_at", _("created"))
    actions_detail = [
        {
            "title": _("Issue"),
            "icon": "key",
            "items": ["issue_upload_token", "issue_pull_token", "issue_oauth_client"],
        },
        "connect",
        "offboard",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Count the objects along, in the list only."""
        found = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "tenants_tenant_changelist":
            found = found.annotate(location_total=_count("locations"), tariff_total=_count("tariffs"))
        return found

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find a party also by what it is called everywhere: NL-EXA."""
        if as_written := re.fullmatch(r"\s*([A-Za-z]{2})-(\w{1,3})\s*", search_term):
            country_code, party_id = as_written.groups()
            return queryset.filter(country_code__iexact=country_code, party_id__istartswith=party_id), False
        return super().get_search_results(request, queryset, search_term)

    @display(description=_("party"), ordering="party_id")
    def party(self, tenant: Tenant) -> str:
        """Show the party as NDW writes it."""
        return str(tenant)

    @display(description=_("Locations"), ordering="location_total")
    def location_count(self, tenant: Tenant) -> int:
        """Show how many Locations are stored."""
        return tenant.location_total  # type: ignore[attr-defined]

    @display(description=_("Tariffs"), ordering="tariff_total")
    def tariff_count(self, tenant: Tenant) -> int:
        """Show how many Tariffs are stored."""
        return tenant.tariff_total  # type: ignore[attr-defined]

    @html.field(_("uploaded"))
    def objects(self, tenant: Tenant) -> SafeString | str:
        """Lead to what the CPO uploaded."""
        locations, tariffs = tenant.locations.count(), tenant.tariffs.count()
        query = {"tenant__id__exact": tenant.pk}
        return html.lines(
            [
                html.link(
                    ngettext("%(count)s Location", "%(count)s Locations", locations)
                    % {"count": html.number(locations)},
                    "ocpi_location_changelist",
                    **query,
                ),
                html.link(
                    ngettext("%(count)s Tariff", "%(count)s Tariffs", tariffs) % {"count": html.number(tariffs)},
                    "ocpi_tariff_changelist",
                    **query,
                ),
            ]
        )

    @html.field(_("credentials"))
    def credentials(self, tenant: Tenant) -> SafeString | str:
        """Show who may upload and pull; pull credentials for all tenants are not among them."""
        found: list[Credential] = [*tenant.tokens.all()[:10], *tenant.oauthclients.all()[:10]]
        rows = [
            (
                html.link(one.shown_name, f"tenants_{one._meta.model_name}_change", one.pk),
                one.get_purpose_display() if isinstance(one, Token) else one._meta.verbose_name,
                html.badge(one.state, credentials.COLOURS),
                html.time(one.last_used_at),
                one.note or html.NOTHING,
            )
            for one in found
        ]
        headers = [gettext("Credential"), gettext("For"), gettext("State"), gettext("Last used"), gettext("Note")]
        return html.table(headers, rows, gettext("None yet: issue an upload token."))

    @html.field(_("connections to NDW"))
    def connections(self, tenant: Tenant) -> SafeString | str:
        """Show where its changes go."""
        rows = [
            (
                html.link(one.get_environment_display(), "tenants_connection_change", one.pk),
                html.badge(one.state, ndw.COLOURS),
                one.service_account.name if self.names_others(tenant) else html.NOTHING,
                one.push_url,
            )
            for one in tenant.connections.select_related("service_account")
        ]
        headers = [gettext("Environment"), gettext("State"), gettext("Service account"), gettext("Push URL")]
        return html.table(headers, rows, gettext("None yet: nothing is pushed."))

    @html.field(_("tenant users"))
    def users(self, tenant: Tenant) -> SafeString | str:
        """Lead to those who see this tenant and no other."""
        if not self.names_others(tenant):
            return html.NOTHING
        found = tenant.memberships.count()
        words = ngettext("%(n)s user", "%(n)s users", found) % {"n": found}
        return html.link(words, "tenants_membership_changelist", tenant__id__exact=tenant.pk)

    def get_fieldsets(self, request: HttpRequest, obj: Tenant | None = None) -> list:
        """Ask a new tenant for its own fields only."""
        return self.fieldsets if obj else self.fieldsets[:1]

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> list[str]:
        """Lock the party once objects carry it: NDW hides what stands under another."""
        in_use = obj is not None and (obj.locations.exists() or obj.tariffs.exists())
        return [*self.readonly_fields, *(["country_code", "party_id"] if in_use else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        """Refuse: make it inactive."""
        return False

    # Spelt as methods: Unfold looks "app.permission" up in the database, and a check must not need one.

    def has_issue_token_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may add a token."""
        return request.user.has_perm("tenants.add_token")

    def has_issue_pull_token_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may add a token of any purpose."""
        return self.has_issue_token_permission(request) and not scope.is_confined(request.user)

    def has_issue_oauth_client_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may add an OAuth2 client."""
        return request.user.has_perm("tenants.add_oauthclient")

    def has_connect_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may add a Connection."""
        return request.user.has_perm("tenants.add_connection")

    def has_offboard_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may change tenants and is confined to none."""
        return request.user.has_perm("tenants.change_tenant") and scope.confined_to(request.user) is None

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        """Save what was typed, nothing else: an offboarding begun meanwhile stays begun."""
        obj.save(update_fields=form.changed_data if change else None)

    @action(description=_("Upload token"), icon="upload", permissions=["issue_token"])
    def issue_upload_token(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the form that issues it."""
        return _form("tenants_token_add", tenant=object_id, purpose=Token.Purpose.UPLOAD)

    @action(description=_("Pull token"), icon="download", permissions=["issue_pull_token"])
    def issue_pull_token(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the form that issues it."""
        return _form("tenants_token_add", tenant=object_id, purpose=Token.Purpose.PULL)

    @action(description=_("OAuth2 client"), icon="vpn_key", permissions=["issue_oauth_client"])
    def issue_oauth_client(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the form that issues it."""
        return _form("tenants_oauthclient_add", tenant=object_id)

    @action(description=_("Connect to NDW"), icon="link", permissions=["connect"])
    def connect(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the form of a new Connection."""
        return _form("tenants_connection_add", tenant=object_id)

    @action(description=_("Offboard…"), icon="logout", permissions=["offboard"])
    def offboard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the wizard that takes it out."""
        return redirect(html.url("ocpi_offboard", get_object_or_404(Tenant, pk=object_id)))


def _form(view: str, **initial: str) -> HttpResponse:
    return redirect(html.url(view, **initial))
