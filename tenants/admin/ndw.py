"""Our accounts at NDW, and the connections over which tenants' changes go there."""

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from tenants import addresses, audit, html, scope
from tenants.admin.confined import TENANT, ConfinedAdmin
from tenants.models import Connection, ServiceAccount

ADDRESSES = {models.URLField: {"assume_scheme": "https"}}
COLOURS = {
    gettext_noop("sending"): "success",
    gettext_noop("no answer"): "warning",
    gettext_noop("paused"): "danger",
    gettext_noop("retired"): "info",
}


def _check_address(url: str) -> str:
    try:
        addresses.check(url)
    except addresses.NotAllowed as error:
        raise forms.ValidationError(str(error)) from error
    return url


class ServiceAccountForm(forms.ModelForm):
    """The secret goes in and never comes out."""

    client_secret = forms.CharField(
        label=_("Client secret"),
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted and never shown. Leave empty to keep the present one."),
    )

    def clean_token_url(self) -> str:
        """Demand an address we may call."""
        return _check_address(self.cleaned_data["token_url"])

    def clean_client_secret(self) -> str:
        """Demand a secret for a new account."""
        secret = self.cleaned_data["client_secret"]
        if not secret and not self.instance.client_secret_sealed:
            raise forms.ValidationError(_("A new service account needs its secret."))
        return secret


@admin.register(ServiceAccount)
class ServiceAccountAdmin(ConfinedAdmin):
    """Our clients at NDW's IAM server; one may serve many tenants, so it is nothing for tenant users."""

    form = ServiceAccountForm
    formfield_overrides = ADDRESSES
    list_display = ["name", "environment", "client_id", "host", "used_by", "token_until"]
    list_filter = ["environment"]
    search_fields = ["name", "client_id"]
    search_help_text = _("Name or client id")
    ordering = ["environment", "name"]
    token_until = html.moment("access_token_expires_at", _("access token until"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Count the Connections along."""
        return super().get_queryset(request).annotate(connection_total=Count("connections"))

    def get_readonly_fields(self, request: HttpRequest, obj: ServiceAccount | None = None) -> list[str]:
        """Lock the environment: Connections of it use the account."""
        return ["environment", "used_by", "token_until"] if obj else []

    def get_fields(self, request: HttpRequest, obj: ServiceAccount | None = None) -> list[str]:
        """Show what it is worth below what was typed; who may not change it gets no field that would show the secret."""
        asked = ["name", "environment", "token_url", "client_id"]
        if obj is None or self.has_change_permission(request, obj):
            asked.append("client_secret")
        return [*asked, "used_by", "token_until"] if obj else asked

    @display(description=_("IAM server"), ordering="token_url")
    def host(self, account: ServiceAccount) -> str:
        """Show where its tokens come from."""
        return urlsplit(account.token_url).netloc

    @display(description=_("connections"), ordering="connection_total")
    def used_by(self, account: ServiceAccount) -> SafeString:
        """Lead to the Connections that use it."""
        query = {"service_account__id__exact": account.pk}
        return html.link(account.connection_total, "tenants_connection_changelist", **query)  # type: ignore[attr-defined]

    def save_model(self, request: HttpRequest, obj: ServiceAccount, form: Any, change: bool) -> None:
        """Save what was typed, nothing else: workers keep the access token in the same row."""
        typed = [name for name in form.changed_data if name != "client_secret"]
        obj.save(update_fields=typed if change else None)
        if form.cleaned_data["client_secret"]:
            obj.set_client_secret(form.cleaned_data["client_secret"])
        elif {"token_url", "client_id"} & set(typed):
            obj.forget_access_token()


class ConnectionForm(forms.ModelForm):
    """Where to push."""

    def clean_push_url(self) -> str:
        """Demand an address we may call and can put a path behind."""
        url = _check_address(self.cleaned_data["push_url"])
        if "?" in url:
            raise forms.ValidationError(_("No ? belongs in it: /locations/… is put behind."))
        return url


class PauseForm(BaseDialogForm):
    """Why a Connection stands still."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=400,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("Whoever finds the Connection paused will read this."),
    )


@admin.register(Connection)
class ConnectionAdmin(ConfinedAdmin):
    """Deliveries to NDW, one per tenant and environment."""

    tenant_path = "tenant"
    form = ConnectionForm
    formfield_overrides = ADDRESSES
    list_display = ["tenant", "environment", "state", "why", "service_account", "push_url"]
    list_filter = ["environment", "is_paused", "is_retired", TENANT]
    list_filter_submit = True
    list_select_related = ["tenant", "service_account"]
    search_fields = ["tenant__party_id", "tenant__name", "push_url"]
    search_help_text = _("Tenant or push URL")
    autocomplete_fields = ["tenant", "service_account"]
    ordering = ["tenant", "environment"]
    actions = ["pause", "resume"]
    actions_detail = ["pause_this", "resume_this"]
    created = html.moment("created_at", _("created"))

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Keep our account to ourselves."""
        return self._without_account(request, super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Connection | None = None) -> list[str]:
        """Show how it is doing above what was typed."""
        asked = self._without_account(request, ["tenant", "environment", "service_account", "push_url"])
        return ["state", "why", *asked, "is_retired", "deliveries", "created"] if obj else asked

    def get_readonly_fields(self, request: HttpRequest, obj: Connection | None = None) -> list[str]:
        """Lock whose it is: its deliveries are that tenant's."""
        return ["state", "why", "tenant", "environment", "deliveries", "created"] if obj else []

    @staticmethod
    def _without_account(request: HttpRequest, names: Any) -> list[str]:
        is_hidden = scope.is_confined(request.user)
        return [name for name in names if name != "service_account" or not is_hidden]

    @display(description=_("state"))
    def state(self, connection: Connection) -> SafeString:
        """Show whether it delivers."""
        return html.badge(connection.state, COLOURS)

    @display(description=_("because"))
    def why(self, connection: Connection) -> SafeString | str:
        """Show why it does not deliver."""
        if connection.state == "paused":
            return format_html("{} ({})", connection.pause_reason, html.time(connection.paused_at))
        if connection.state == "no answer":
            words = gettext("%(count)s requests in a row without an answer; still trying")
            return words % {"count": html.number(connection.failures)}
        return html.NOTHING

    @display(description=_("deliveries"))
    def deliveries(self, connection: Connection) -> SafeString | str:
        """Lead to its pushes."""
        words = {"waiting": _("Waiting"), "rejected": _("Rejected by NDW"), "delivered": _("Delivered")}
        query = {"connection__id__exact": connection.pk}
        return html.lines(html.link(words[state], "ocpi_push_changelist", **query, state=state) for state in words)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Keep tenant users out: a Connection needs an account of ours."""
        return super().has_add_permission(request) and not scope.is_confined(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Connection | None = None) -> bool:
        """Refuse: its attempts are the proof of delivery; retire it."""
        return False

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        """Save what was typed, nothing else: workers pause it and count in the same row."""
        typed = list(form.changed_data)
        if "is_retired" in typed and not obj.is_retired:
            obj.needs_spreading = True
            typed.append("needs_spreading")
        obj.save(update_fields=typed if change else None)
        if change and typed and obj.is_paused:
            words = gettext("%(connection)s is still paused: resume it when it may send again.")
            self.message_user(request, words % {"connection": obj}, messages.WARNING)

    @admin.action(description=_("Pause"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Send nothing until it is resumed."""
        self._pause(request, queryset, gettext("paused in the list"))

    def _pause(self, request: HttpRequest, queryset: QuerySet, reason: str) -> None:
        running = [connection for connection in queryset if not connection.is_paused]
        for connection in running:
            connection.pause(f"{request.user}: {reason}")
            audit.note(request, connection, gettext_noop("Paused: %(reason)s"), reason=reason)
        words = gettext("Paused %(count)s; changes go on being noted.") % {"count": len(running)}
        self.message_user(request, words, messages.SUCCESS)

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Send again what waits."""
        for connection in queryset:
            connection.resume()
            audit.note(request, connection, gettext_noop("Resumed."))
        self.message_user(request, gettext("Resumed %(count)s.") % {"count": len(queryset)}, messages.SUCCESS)

    @action(
        description=_("Pause"),
        icon="pause",
        variant=ActionVariant.WARNING,
        permissions=["change"],
        dialog={
            "title": _("Pause this Connection"),
            "description": _("Nothing is sent until it is resumed. Changes go on being noted, and the clock runs."),
            "form_class": PauseForm,
            "form_submit_text": _("Pause"),
        },
    )
    def pause_this(self, request: HttpRequest, form: PauseForm, object_id: str) -> HttpResponse:
        """Send nothing until it is resumed, and say why."""
        self._pause(request, self.get_queryset(request).filter(pk=object_id), form.cleaned_data["reason"])
        return html.after_dialog(request, html.url("tenants_connection_change", object_id))

    @action(
        description=_("Resume"),
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": _("Resume this Connection?"),
            "description": _("What waits is sent at once, each object in its present state."),
            "form_class": None,
            "form_submit_text": _("Resume"),
        },
    )
    def resume_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Send again what waits."""
        self.resume(request, self.get_queryset(request).filter(pk=object_id))
        return html.after_dialog(request, html.url("tenants_connection_change", object_id))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list:
        """Offer the one that changes something."""
        is_paused = Connection.objects.filter(pk=object_id, is_paused=True).exists()
        useless = "pause_this" if is_paused else "resume_this"
        return [one for one in super().get_actions_detail(request, object_id) if not one.action_name.endswith(useless)]
