"""Issue and revoke tokens and OAuth2 clients."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Field, ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from tenants import audit, html, scope
from tenants.admin.confined import TENANT, ConfinedAdmin
from tenants.models import Credential, OAuthClient, Token

COLOURS = {gettext_noop("live"): "success", gettext_noop("revoked"): "danger", gettext_noop("expired"): "warning"}


class CredentialForm(forms.ModelForm):
    """What a new credential is for."""

    def clean_expires_at(self) -> Any:
        """Refuse one that has ended before it begins."""
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise forms.ValidationError(_("This is in the past."))
        return expires_at


class CredentialStateFilter(admin.SimpleListFilter):
    """By what a credential is worth now."""

    title, parameter_name = _("state"), "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name the states."""
        return [(state, gettext(state).capitalize()) for state in COLOURS]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the credentials in that state."""
        match self.value():
            case "live":
                return queryset.live()  # type: ignore[attr-defined]
            case "revoked":
                return queryset.exclude(revoked_at=None)
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
        return queryset


class CredentialAdmin(ConfinedAdmin):
    """Issue and revoke; a credential is shown in the one answer that makes it and is never changed."""

    tenant_path = "tenant"
    form = CredentialForm
    list_filter = [CredentialStateFilter, "environment", TENANT]
    list_filter_submit = True
    list_select_related = ["tenant"]
    search_fields = ["note", "tenant__party_id", "tenant__name"]
    search_help_text = _("Beginning of the value, tenant or note")
    autocomplete_fields = ["tenant"]
    ordering = ["-created_at", "-pk"]
    actions = ["revoke"]
    actions_detail = ["revoke_this"]
    asked: list[str] = []
    created = html.moment("created_at", _("issued"))
    expires = html.moment("expires_at", _("expires"))
    last_used = html.moment("last_used_at", _("last used"))
    revoked = html.moment("revoked_at", _("revoked"))

    def get_fields(self, request: HttpRequest, obj: Credential | None = None) -> list[str]:
        """Ask for little; show all."""
        return ["value_begins", "state", *self.asked, "created", "last_used", "revoked"] if obj else self.asked

    def get_readonly_fields(self, request: HttpRequest, obj: Credential | None = None) -> list[str]:
        """Name the computed ones."""
        return ["value_begins", "state", "created", "last_used", "revoked"]

    def has_change_permission(self, request: HttpRequest, obj: Credential | None = None) -> bool:
        """Refuse: revoke it and issue another."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Credential | None = None) -> bool:
        """Refuse: who had access stays on record."""
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may issue; Unfold gives the key of the object when there is one."""
        return self.has_add_permission(request)

    def revocable(self, request: HttpRequest, found: QuerySet) -> QuerySet:
        """Leave of some credentials those the user may revoke."""
        return found

    @display(description=_("state"))
    def state(self, credential: Credential) -> SafeString:
        """Show whether it opens the door."""
        return html.badge(credential.state, COLOURS)

    @display(description=_("covers"), ordering="tenant")
    def covers(self, credential: Credential) -> str:
        """Show the tenant, or that it is for all."""
        return str(credential.tenant or _("all tenants"))

    @display(description=_("value begins with"))
    def value_begins(self, credential: Credential) -> str:
        """Show the part that may be seen."""
        return credential.shown_name

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Offer one button: the answer shows the value."""
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, (extra_context or {}) | one_button)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Issue instead of save, and keep the value for the answer."""
        request.issued_value = obj.issue()  # type: ignore[attr-defined]
        audit.note_all(request, obj.revoked_for_it, gettext_noop("Revoked: a third was issued."))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Log that somebody has seen the value."""
        words = gettext_noop("Issued: the value was shown this once.")
        return super().log_addition(request, obj, words)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the value, this once."""
        context = self.admin_site.each_context(request) | {
            "title": _("Copy it now"),
            "credential": obj,
            "value": request.issued_value,  # type: ignore[attr-defined]
            "opts": self.opts,
        }
        response = TemplateResponse(request, "admin/issued_credential.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Refuse them from now on."""
        live = [credential for credential in self.revocable(request, queryset) if credential.revoked_at is None]
        for credential in live:
            credential.revoke()
            audit.note(request, credential, gettext_noop("Revoked."))
        self.message_user(request, gettext("Revoked %(count)s.") % {"count": len(live)}, messages.SUCCESS)

    @action(
        description=_("Revoke"),
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog={
            "title": _("Revoke this credential?"),
            "description": _("From now on it is refused with 401. This cannot be undone; issue another instead."),
            "form_class": None,
            "form_submit_text": _("Revoke"),
        },
    )
    def revoke_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Refuse it from now on."""
        self.revoke(request, self.get_queryset(request).filter(pk=object_id))
        return html.after_dialog(request, html.url(f"tenants_{self.opts.model_name}_change", object_id))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list:
        """Offer what is left to do."""
        is_revoked = self.model.objects.filter(pk=object_id).exclude(revoked_at=None).exists()
        return [] if is_revoked else super().get_actions_detail(request, object_id)


@admin.register(Token)
class TokenAdmin(CredentialAdmin):
    """Upload tokens of CPOs, pull tokens of NDW."""

    list_display = ["prefix", "purpose", "environment", "covers", "state", "last_used", "created", "expires", "note"]
    list_filter = ["purpose", *CredentialAdmin.list_filter]
    search_fields = ["prefix", *CredentialAdmin.search_fields]
    asked = ["purpose", "tenant", "environment", "expires_at", "note"]

    def formfield_for_choice_field(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer a tenant user upload tokens only: who may pull is the operators' business."""
        if db_field.name == "purpose" and scope.is_confined(request.user):
            kwargs["choices"] = [(Token.Purpose.UPLOAD.value, Token.Purpose.UPLOAD.label)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Demand a tenant of a tenant user, and choose it when he has one."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "tenant" and scope.is_confined(request.user):
            field.required, field.help_text = True, ""
            own = list(field.queryset[:2])
            field.initial = own[0].pk if len(own) == 1 else None
        return field

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may issue what this one is."""
        is_issuer = super().has_revoke_permission(request, obj)
        if obj is None or not is_issuer or not scope.is_confined(request.user):
            return is_issuer
        return self.revocable(request, self.get_queryset(request)).filter(pk=obj).exists()

    def revocable(self, request: HttpRequest, found: QuerySet) -> QuerySet:
        """Leave a tenant user the upload tokens."""
        return found.filter(purpose=Token.Purpose.UPLOAD) if scope.is_confined(request.user) else found


@admin.register(OAuthClient)
class OAuthClientAdmin(CredentialAdmin):
    """NDW's clients at our token endpoint."""

    list_display = ["client_id", "environment", "covers", "state", "last_used", "created", "expires", "note"]
    search_fields = ["client_id", *CredentialAdmin.search_fields]
    asked = ["tenant", "environment", "expires_at", "note"]
    actions_detail = [*CredentialAdmin.actions_detail, "end_access_tokens"]
    since = html.moment("not_before", _("access tokens from"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Keep tenant users out: one without a tenant pulls all of them."""
        return super().has_add_permission(request) and not scope.is_confined(request.user)

    def get_fields(self, request: HttpRequest, obj: Credential | None = None) -> list[str]:
        """Show since when its access tokens count, too."""
        return [*super().get_fields(request, obj), *(["since"] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Credential | None = None) -> list[str]:
        """Name the computed ones."""
        return [*super().get_readonly_fields(request, obj), "since"]

    @action(
        description=_("End its access tokens"),
        icon="lock_reset",
        permissions=["revoke"],
        dialog={
            "title": _("End the access tokens of this client?"),
            "description": _("Each is refused with 401 from now on. The client keeps its secret and fetches another."),
            "form_class": None,
            "form_submit_text": _("End them"),
        },
    )
    def end_access_tokens(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Refuse what was issued so far."""
        client = OAuthClient.objects.get(pk=object_id)
        client.end_access_tokens()
        audit.note(request, client, gettext_noop("Ended its access tokens."))
        self.message_user(request, _("Its access tokens are refused from now on."), messages.SUCCESS)
        return html.after_dialog(request, html.url("tenants_oauthclient_change", object_id))
