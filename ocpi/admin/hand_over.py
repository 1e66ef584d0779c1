"""The hand-over sheet: what NDW, or the CPO, needs of a tenant, on one page to print.

A credential issued here is shown in that one answer, which nobody may keep; printed later the sheet shows how it begins.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_http_methods

from ocpi.admin import workplace
from ocpi.views import base_url
from tenants import audit, html, provision, scope
from tenants.admin import credentials
from tenants.models import Credential, Environment, OAuthClient, Tenant, Token


@dataclass(frozen=True)
class Kind:
    """A kind of credential that a sheet hands over."""

    word: str
    audience: str
    title: Any
    button: Any
    permission: str

    def new(self, tenant: Tenant, environment: str) -> Credential:
        """Return one that is not issued yet."""
        note = f"hand-over sheet, {timezone.localdate()}"
        if self.word == "oauth_client":
            return OAuthClient(tenant=tenant, environment=environment, note=note)
        return Token(tenant=tenant, purpose=self.word, environment=environment, note=note)


KINDS = (
    Kind("pull", "ndw", gettext_lazy("Pull token"), gettext_lazy("Issue a pull token"), "tenants.add_token"),
    Kind(
        "oauth_client",
        "ndw",
        gettext_lazy("OAuth2 client"),
        gettext_lazy("Issue an OAuth2 client"),
        "tenants.add_oauthclient",
    ),
    Kind("upload", "cpo", gettext_lazy("Upload token"), gettext_lazy("Issue an upload token"), "tenants.add_token"),
)


@workplace.may_look
@require_http_methods(["GET", "POST"])
def hand_over(request: HttpRequest, party: str, audience: str) -> HttpResponse:
    """Show the sheet; with POST issue a credential and show it, this once."""
    tenant = workplace.find(request, party)
    user: Any = request.user
    may_let_pull = not scope.is_confined(user)  # who may pull is the operators' business
    kinds = [kind for kind in KINDS if kind.audience == audience and (may_let_pull or kind.word == "upload")]
    issued = _issue(request, tenant, kinds) if request.method == "POST" else {}
    is_for_ndw = audience == "ndw"
    context = {
        "title": _("Hand-over of %(party)s to NDW") if is_for_ndw else _("Hand-over of %(party)s to the CPO"),
        "tenant": tenant,
        "is_for_ndw": is_for_ndw,
        "urls": _ndw_urls(request, tenant) if is_for_ndw else _cpo_urls(request, tenant),
        "credentials": _credentials(request, tenant, audience),
        "kinds": [kind for kind in kinds if request.user.has_perm(kind.permission)],
        "environments": Environment.choices if is_for_ndw else [],
        "back_url": html.url("tenants_tenant_workplace", tenant),
        "by": user.get_full_name() or user.get_username(),
        "at": timezone.now(),
    }
    context["title"] %= {"party": tenant}
    response = TemplateResponse(request, "admin/hand_over.html", admin.site.each_context(request) | context | issued)
    response["Cache-Control"] = "no-store"
    return response


# --- Issuing -----------------------------------------------------------------------------------------------------------


def _issue(request: HttpRequest, tenant: Tenant, kinds: list[Kind]) -> dict[str, Any]:
    """Issue what was asked for; or name what that would end, until it is confirmed."""
    kind = next((one for one in kinds if one.word == request.POST.get("kind")), None)
    environment = request.POST.get("environment", "")
    if kind is None or environment not in ("", *Environment.values) or (environment and kind.audience != "ndw"):
        raise Http404("No such credential.")
    workplace.demand(request, kind.permission)
    made = kind.new(tenant, environment)
    ends = [one.shown_name for one in made.surplus()]
    if ends and "confirmed" not in request.POST:
        return {"unconfirmed": kind, "ends": ", ".join(ends), "environment": environment}
    value = made.issue()
    audit.note_all(request, made.revoked_for_it, gettext_noop("Revoked: a third was issued."))
    words = f"Issued {made._meta.verbose_name} {made.shown_name} on the hand-over sheet"
    workplace.log(request, made, f"{words} of {tenant}.", ADDITION)
    workplace.log(request, tenant, f"{words} for {'NDW' if kind.audience == 'ndw' else 'the CPO'}.")
    return {"issued": made, "issued_title": kind.title, "value": value, "is_client": isinstance(made, OAuthClient)}


def _credentials(request: HttpRequest, tenant: Tenant, audience: str) -> Any:
    """Return how the live ones begin; of those for all tenants only to who sees all tenants."""
    if not request.user.has_perm("tenants.view_token"):
        return ""
    covering = Q(tenant=tenant) | Q(tenant=None)
    purpose = Token.Purpose.PULL if audience == "ndw" else Token.Purpose.UPLOAD
    found: list[Credential] = list(scope.confine(request.user, Token.objects.live().filter(covering, purpose=purpose)))
    if audience == "ndw":
        found += scope.confine(request.user, OAuthClient.objects.live().filter(covering))
    lines = [
        (
            f"{one.shown_name}…" if isinstance(one, Token) else one.shown_name,
            one._meta.verbose_name,
            one.get_environment_display() or html.NOTHING,
            html.badge(one.state, credentials.COLOURS),
            html.time(one.created_at),
            html.time(one.last_used_at),
        )
        for one in found
    ]
    headers = [_("Begins with"), _("Kind"), _("Environment"), _("State"), _("Issued"), _("Last used")]
    return html.table(headers, lines, _("None is live."))


# --- Addresses ---------------------------------------------------------------------------------------------------------


def _ndw_urls(request: Any, tenant: Tenant) -> list[tuple[str, str]]:
    base = base_url(request)
    urls = provision.urls(tenant, base)
    return [
        (_("Versions"), urls["versions_url"]),
        (_("Locations"), urls["locations_url"]),
        (_("Tariffs"), urls["tariffs_url"]),
        (_("OAuth2 token endpoint"), base + reverse("oauth-token")),
    ]


def _cpo_urls(request: Any, tenant: Tenant) -> list[tuple[str, str]]:
    base = base_url(request)
    details, party = base + reverse("receiver-details"), f"{tenant.country_code}/{tenant.party_id}"
    return [
        (_("Versions"), base + reverse("receiver-versions")),
        (_("Locations"), f"{details}/locations/{party}/{{location_id}}"),
        (_("Tariffs"), f"{details}/tariffs/{party}/{{tariff_id}}"),
        (_("Many at once"), base + reverse("rest-imports")),
        (_("What is to be mended"), base + reverse("rest-problems")),
        (_("Documentation"), base + reverse("docs")),
        (_("Every rule"), base + reverse("rules")),
    ]
