"""The admin's Imports: the list of bulk uploads. The page of one is in `import_pages`, the form in `uploading`."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.paginator import InfinitePaginator

from ocpi.admin import import_pages as pages
from ocpi.admin import import_tables, uploading
from ocpi.admin.lists import TENANT, ChoiceFilter, ReadOnlyAdmin
from ocpi.models import Import
from tenants import html

SHOWN_STATES = [state for state in Import.State if state != Import.State.RECEIVING]
UNREAD = ["digest", "preview", "rules"]  # by the list: kilobytes a row


class StateFilter(ChoiceFilter):
    """By how far it is."""

    title, parameter_name = _("state"), "state"
    choices_by_word = {str(state): (state.label, Q(state=state)) for state in SHOWN_STATES}


class KindFilter(ChoiceFilter):
    """By what the file holds."""

    title, parameter_name = _("kind"), "kind"
    choices_by_word = {str(kind): (kind.label, Q(kind=kind)) for kind in Import.Kind}


class ModeFilter(ChoiceFilter):
    """By what it does to what is stored."""

    title, parameter_name = _("mode"), "mode"
    choices_by_word = {
        "upsert": (_("Upsert: add and change"), Q(mode=Import.Mode.UPSERT, is_dry_run=False)),
        "full": (_("Full: everything there is"), Q(mode=Import.Mode.FULL, is_dry_run=False)),
        "dry run": (_("Dry run: nothing is stored"), Q(is_dry_run=True)),
    }


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    """Bulk uploads, the newest first; those still coming in are not shown."""

    list_display = ["party", "kind_name", "modes", "state_label", "progress", "came_to", "received", "took", "origin"]
    list_filter = [StateFilter, KindFilter, ModeFilter, TENANT]
    list_select_related = ["tenant"]
    list_per_page = 50
    list_disable_select_all = True
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator  # nobody asks how many there have ever been, and counting takes longer than the page
    search_fields = ["party", "tenant__name", "origin", "id__exact"]
    search_help_text = _("Party, who sent it, name of the file, or a whole import id")
    ordering = ["-created_at", "-pk"]
    actions_list = ["upload"]
    received = html.moment("created_at", _("received"))

    def get_urls(self) -> list[URLPattern]:
        """Put the page of one import, and what belongs to it, in the place of a form."""
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/change/", view(pages.one_import), name="ocpi_import_change"),
            path("<uuid:pk>/progress/", view(pages.progress), name="ocpi_import_progress"),
            path("<uuid:pk>/decide/", view(pages.decide), name="ocpi_import_decide"),
            path("template.<str:form>", view(pages.template), name="ocpi_import_template"),
            path("<uuid:pk>/results.<str:form>", view(pages.results), name="ocpi_import_results"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return those that have come in; a party can be searched as people write it."""
        party = Concat("tenant__country_code", Value("-"), "tenant__party_id")
        found = super().get_queryset(request).exclude(state=Import.State.RECEIVING)
        return found.alias(party=party).defer(*UNREAD)

    def has_upload_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may add an import, and see what becomes of it."""
        return request.user.has_perms(["ocpi.add_import", "ocpi.view_import"])

    @action(description=_("Upload a file"), icon="upload_file", variant=ActionVariant.PRIMARY, permissions=["upload"])
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Go to the form, and receive what it sends."""
        return uploading.upload(request)

    @display(description=_("tenant"), ordering="tenant__party_id")
    def party(self, one: Import) -> str:
        """Show whose it is."""
        return str(one.tenant)

    @display(description=_("kind"), ordering="kind")
    def kind_name(self, one: Import) -> str:
        """Show what the file holds."""
        return one.get_kind_display()

    @display(description=_("mode"), ordering="mode")
    def modes(self, one: Import) -> SafeString | str:
        """Show whether it is a full set, or only a trial."""
        return import_tables.modes(one)

    @display(description=_("state"), ordering="state")
    def state_label(self, one: Import) -> SafeString:
        """Show how far it is."""
        return html.badge(one.state, import_tables.STATE_COLOURS)

    @display(description=_("progress"))
    def progress(self, one: Import) -> SafeString | str:
        """Show how much is done while it is not all, how fast, and how long it will take."""
        return import_tables.meter(one) if one.state not in Import.ENDED else html.NOTHING

    @display(description=_("came to"))
    def came_to(self, one: Import) -> str:
        """Show the counts that are not 0."""
        return import_tables.short_counts(one)

    @display(description=_("took"))
    def took(self, one: Import) -> str:
        """Show how long it took from when it was received, waiting and held too."""
        lasted: dt.timedelta = (one.finished_at or timezone.now()) - one.created_at
        span = import_tables.span(lasted.total_seconds())
        return span if one.finished_at else gettext("%(span)s so far") % {"span": span}
