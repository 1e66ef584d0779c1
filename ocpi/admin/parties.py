"""The tenants' admin with the pages that know what a tenant uploaded: its list leads to where one works."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, re_path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from ocpi.admin import hand_over, workplace
from tenants import html
from tenants.admin import parties
from tenants.models import Tenant

PARTY = "(?P<party>[A-Za-z]{2}-[A-Za-z0-9]{3})"

admin.site.unregister(Tenant)  # `tenants` knows nothing of what stands here


@admin.register(Tenant)
class TenantAdmin(parties.TenantAdmin):
    """CPOs; each has a workplace besides the form."""

    list_display_links = None
    change_form_before_template = "admin/tenant_tabs.html"

    def get_urls(self) -> list[URLPattern]:
        """Put the pages of a tenant, by its party, before those by its key."""
        view = self.admin_site.admin_view
        return [
            re_path(rf"^{PARTY}/$", view(workplace.workplace), name="tenants_tenant_workplace"),
            re_path(rf"^{PARTY}/steps/(?P<number>[1-9])/$", view(workplace.tick), name="tenants_tenant_tick"),
            re_path(
                rf"^{PARTY}/hand-over/(?P<audience>ndw|cpo)/$",
                view(hand_over.hand_over),
                name="tenants_tenant_hand_over",
            ),
            *super().get_urls(),
        ]

    @display(description=_("party"), ordering="party_id")
    def party(self, tenant: Tenant) -> SafeString:
        """Lead to the workplace."""
        return html.link(tenant, "tenants_tenant_workplace", tenant)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the way back to the workplace."""
        tenant = kwargs.get("obj")
        context["tabs"] = workplace.tabs(request, tenant, "edit") if tenant else []
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: Tenant, post_url_continue: str | None = None) -> HttpResponse:
        """Go on where the new tenant is brought to NDW."""
        response = super().response_add(request, obj, post_url_continue)
        if "_addanother" in request.POST or "_continue" in request.POST or "_popup" in request.POST:
            return response
        return HttpResponseRedirect(html.url("tenants_tenant_workplace", obj))
