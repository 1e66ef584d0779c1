"""CPOs' own OCPI Senders: where and when to fetch, what came of it, and buttons to test one or to fetch now."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminPasswordWidget

from ocpi import fetches, sources
from ocpi.admin.lists import TENANT, ChoiceFilter
from ocpi.models import Source
from tenants import addresses, audit, html
from tenants.admin.confined import ConfinedAdmin

COLOURS = {
    gettext_noop("fetching"): "info",
    gettext_noop("good"): "success",
    gettext_noop("failing"): "danger",
    gettext_noop("new"): "info",
    gettext_noop("off"): "warning",
}
ASKED = ["url", "token", "token_form", "is_active", "has_tariffs", "has_locations", "every_s", "full_at"]
SHOWN = ["state", "result", "error", "fetched", "took", "next_changes", "next_everything", "imports"]
STARTS_OVER = {"url", "token", "token_form", "has_tariffs", "has_locations"}


class SourceForm(forms.ModelForm):
    """The token goes in and never comes out."""

    token = forms.CharField(
        label=_("Token"),
        required=False,
        max_length=255,
        validators=[RegexValidator(r"\A[!-~]+\Z", _("Printable ASCII without spaces."))],
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "What the CPO gave, not encoded. Stored encrypted and never shown. Leave empty to keep the present one."
        ),
    )

    def clean_url(self) -> str:
        """Demand an address we may call, and a host that is outside."""
        url = self.cleaned_data["url"]
        try:
            addresses.check_source_leads_out(url)
        except addresses.NotAllowed as error:
            raise forms.ValidationError(str(error)) from error
        return url

    def clean_token(self) -> str:
        """Demand a token for a new source."""
        token = self.cleaned_data["token"]
        if not token and not self.instance.token_sealed:
            raise forms.ValidationError(_("A new source needs its token."))
        return token


class StateFilter(ChoiceFilter):
    """By how the last fetch ended."""

    title, parameter_name = _("state"), "state"
    choices_by_word = {
        "failing": (_("Failing"), Q(failures__gt=0, is_active=True)),
        "good": (_("Good"), Q(failures=0, is_active=True, last_finished_at__isnull=False)),
        "off": (_("Off"), Q(is_active=False)),
    }


def _button(title: html.Text, icon: str, question: html.Text, description: html.Text, *, is_first: bool = False) -> Any:
    """Return the decorator of a button that asks before it does something."""
    return action(
        description=title,
        icon=icon,
        variant=ActionVariant.PRIMARY if is_first else ActionVariant.DEFAULT,
        permissions=["change"],
        dialog={"title": question, "description": description, "form_class": None, "form_submit_text": title},
    )


@admin.register(Source)
class SourceAdmin(ConfinedAdmin):
    """Where CPOs' data is fetched that do not upload it."""

    tenant_path = "tenant"
    form = SourceForm
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    list_display = ["tenant", "url", "state", "result", "error", "fetched", "took", "next_changes", "next_everything"]
    list_filter = [StateFilter, "is_active", TENANT]
    list_filter_submit = True
    list_select_related = ["tenant"]
    search_fields = ["tenant__party_id", "tenant__name", "url"]
    search_help_text = _("Tenant or URL")
    autocomplete_fields = ["tenant"]
    ordering = ["tenant"]
    actions = ["fetch_changes", "fetch_everything"]
    actions_detail = ["test_this", "fetch_changes_of_this", "fetch_everything_of_this"]
    fetched = html.moment("last_started_at", _("last fetch"))
    next_changes = html.moment("next_due_at", _("next changes"))
    next_everything = html.moment("next_full_at", _("next everything"))

    def get_fields(self, request: HttpRequest, obj: Source | None = None) -> list[str]:
        """Show how it does above what was typed; who may not change it gets no field that would show the token."""
        asked = [name for name in ASKED if name != "token" or obj is None or self.has_change_permission(request, obj)]
        return [*SHOWN, "tenant", *asked] if obj else ["tenant", *asked]

    def get_readonly_fields(self, request: HttpRequest, obj: Source | None = None) -> list[str]:
        """Lock whose it is: what was learnt from the Sender is about that tenant."""
        return [*SHOWN, "tenant"] if obj else []

    @display(description=_("state"), ordering="failures")
    def state(self, source: Source) -> SafeString:
        """Show how the last fetch ended."""
        if not source.is_active:
            word = "off"
        elif source.lease_until and source.lease_until > timezone.now():
            word = "fetching"
        else:
            word = "failing" if source.failures else "good" if source.last_finished_at else "new"
        return html.badge(word, COLOURS)

    @display(description=_("last result"))
    def result(self, source: Source) -> str:
        """Show what the last good fetch brought."""
        return source.last_result or html.NOTHING

    @display(description=_("error"))
    def error(self, source: Source) -> str:
        """Show why the last fetch failed."""
        words = gettext("%(error)s (%(count)s in a row)")
        return words % {"error": source.last_error, "count": source.failures} if source.last_error else html.NOTHING

    @display(description=_("took"))
    def took(self, source: Source) -> str:
        """Show how long the last fetch took."""
        return html.seconds(1000 * source.took.total_seconds()) if source.took is not None else html.NOTHING

    @display(description=_("objects"))
    def imports(self, source: Source) -> str:
        """Show what the last fetch counted."""
        return (
            ", ".join(f"{html.number(count)} {gettext(name)}" for name, count in source.counts.items()) or html.NOTHING
        )

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        """Save what was typed, nothing else: workers write in the same row."""
        typed = set(form.changed_data)
        if change and "full_at" in typed:
            obj.next_full_at = sources.next_night(obj, timezone.now())
        if change and "every_s" in typed:
            obj.next_due_at = timezone.now() if obj.every_s else None
        times = {"full_at": "next_full_at", "every_s": "next_due_at"}
        names = [name for name in typed if name != "token"] + [times[name] for name in times if name in typed]
        obj.save(update_fields=names if change else None)
        if form.cleaned_data["token"]:
            obj.set_token(form.cleaned_data["token"])
        if change and typed & STARTS_OVER:
            sources.start_over(obj)
            self.message_user(
                request, gettext("Everything is fetched anew, for what is asked or where has changed."), messages.INFO
            )

    # --- Buttons ---

    @_button(_("Test now"), "network_check", _("Test this source now?"), _("The first object of each list is asked for; "
             "nothing is stored. It takes up to half a minute."), is_first=True)  # fmt: skip
    def test_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Show what works and what does not."""
        source = get_object_or_404(self.get_queryset(request).select_related("tenant"), pk=object_id)
        audit.note(request, source, gettext_noop("Tested."))
        for line in fetches.test(source):
            self.message_user(request, line.words, messages.SUCCESS if line.is_good else messages.ERROR)
        return html.after_dialog(request, html.url("ocpi_source_change", object_id))

    @_button(_("Fetch now (changes)"), "update", _("Fetch what changed?"), _("What changed since the last good fetch is "
             "fetched and imported."))  # fmt: skip
    def fetch_changes_of_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Have fetched what changed."""
        self.fetch_changes(request, self.get_queryset(request).filter(pk=object_id))
        return html.after_dialog(request, html.url("ocpi_source_change", object_id))

    @_button(_("Fetch everything now"), "cloud_download", _("Fetch everything?"), _("All pages are fetched and imported. What "
             "the Sender lacks is set REMOVED, if the tenant's brake allows."))  # fmt: skip
    def fetch_everything_of_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Have everything fetched."""
        self.fetch_everything(request, self.get_queryset(request).filter(pk=object_id))
        return html.after_dialog(request, html.url("ocpi_source_change", object_id))

    @admin.action(description=_("Fetch now (changes)"), permissions=["change"])
    def fetch_changes(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Have fetched what changed."""
        self._ask_for(request, queryset, is_full=False)

    @admin.action(description=_("Fetch everything now"), permissions=["change"])
    def fetch_everything(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Have everything fetched."""
        self._ask_for(request, queryset, is_full=True)

    def _ask_for(self, request: HttpRequest, queryset: QuerySet, *, is_full: bool) -> None:
        words = gettext_noop("Fetch everything now.") if is_full else gettext_noop("Fetch changes now.")
        asked = [source for source in queryset if source.is_active]
        audit.note_all(request, asked, words)
        count = sources.ask_for(Source.objects.filter(pk__in=[source.pk for source in asked]), is_full=is_full)
        words = gettext("%(count)s will be fetched within seconds.") % {"count": count}
        self.message_user(request, words, messages.SUCCESS)
        if count < len(queryset):
            words = gettext("%(count)s are switched off: not fetched.") % {"count": len(queryset) - count}
            self.message_user(request, words, messages.WARNING)
