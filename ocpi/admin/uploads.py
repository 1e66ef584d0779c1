"""How much each CPO uploaded, hour by hour: the rows behind the charts of the first page."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from ocpi.admin.lists import TENANT, ReadOnlyAdmin
from ocpi.models import UploadHour
from tenants import html, scope


@admin.register(UploadHour)
class UploadHourAdmin(ReadOnlyAdmin):
    """Hours with uploads, the newest first."""

    list_display = ["begins", "tenant", "accepted_count", "refused_count"]
    list_display_links = None
    list_filter = ["hour", TENANT]
    list_select_related = ["tenant"]
    ordering = ["-hour", "tenant"]
    fields = ["begins", "tenant", "accepted_count", "refused_count"]
    begins = html.moment("hour", _("hour"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return the reader's."""
        return scope.confine(request.user, super().get_queryset(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may see what was uploaded."""
        return request.user.has_perm("ocpi.view_location")

    @display(description=_("accepted"), ordering="accepted")
    def accepted_count(self, row: UploadHour) -> str:
        """Show how many objects were accepted."""
        return html.number(row.accepted)

    @display(description=_("refused"), ordering="refused")
    def refused_count(self, row: UploadHour) -> str:
        """Show how many objects were refused."""
        return html.number(row.refused)
