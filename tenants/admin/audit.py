"""Who changed what: Django's log, of every object at once. The page of each object has its own part under History."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from tenants import html, scope
from tenants.admin.confined import ConfinedAdmin

WHEN: Any = gettext_lazy("when")


class _UsedFilter(DropdownFilter):
    """By something that occurs in the log."""

    path = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what has it; nothing does when it is no key."""
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(**{self.path: value}) if value.isdecimal() else queryset.none()


class UserFilter(_UsedFilter):
    """By who did it."""

    title, parameter_name, path = gettext_lazy("user"), "user", "user"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name who has done anything."""
        users = LogEntry.objects.order_by("user__username").values_list("user", "user__username").distinct()
        return [(str(pk), name) for pk, name in users]


class KindFilter(_UsedFilter):
    """By what kind of object it was done to."""

    title, parameter_name, path = gettext_lazy("kind"), "kind", "content_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name what there is a page of."""
        pages = _pages(model_admin.admin_site)
        return sorted(((str(pk), str(model._meta.verbose_name)) for pk, model in pages.items()), key=lambda one: one[1])


class TenantFilter(_UsedFilter):
    """By the tenant the object belongs to, while it is there."""

    title, parameter_name = gettext_lazy("tenant"), "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name the tenants."""
        self.pages = _pages(model_admin.admin_site)
        self.paths = {model: page.tenant_path for model, page in model_admin.admin_site._registry.items()
                      if isinstance(page, ConfinedAdmin)}  # fmt: skip
        return [(str(tenant.pk), str(tenant)) for tenant in scope.tenants_of(request.user)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what was done to its objects."""
        value = self.value()
        if not value:
            return queryset
        if not value.isdecimal():
            return queryset.none()
        is_its = Q(pk=None)
        for pk, model in self.pages.items():
            if path := self.paths.get(model):
                own = model._base_manager.filter(**{path: value}).annotate(key_text=Cast("pk", TextField()))
                is_its |= Q(content_type=pk, object_id__in=own.values("key_text"))
        return queryset.filter(is_its)


def _pages(site: admin.AdminSite) -> dict[int, Any]:
    """Return what the admin has pages of, by the key of its content type, as far as it is in the log. One query."""
    found = LogEntry.objects.order_by().values_list("content_type", "content_type__app_label", "content_type__model")
    models = {(model._meta.app_label, model._meta.model_name): model for model in site._registry}
    return {pk: models[app, name] for pk, app, name in found.distinct() if (app, name) in models}


@admin.register(LogEntry)
class AuditAdmin(ConfinedAdmin):
    """Every act of every user, the newest first. Nothing of it for tenant users: they have the history of each object."""

    list_display = ["at", "user", "target", "kind", "words"]
    list_display_links = ["at"]
    list_filter = [UserFilter, KindFilter, TenantFilter, "action_time"]
    list_filter_submit = True
    list_select_related = ["user", "content_type"]
    list_disable_select_all = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator
    search_fields = ["object_repr", "change_message", "user__username"]
    search_help_text = gettext_lazy("Object, words or user")
    ordering = ["-action_time", "-pk"]
    fields = ["at", "user", "target", "kind", "words"]
    at = html.moment("action_time", WHEN)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: what was done is logged, and nothing else."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: it stays."""
        return False

    @display(description=gettext_lazy("object"))
    def target(self, entry: LogEntry) -> SafeString | str:
        """Lead to the object, unless it is gone."""
        address = None if entry.is_deletion() else entry.get_admin_url()
        return (
            format_html('<a class="text-link" href="{}">{}</a>', address, entry.object_repr)
            if address
            else entry.object_repr
        )

    @display(description=gettext_lazy("kind"), ordering="content_type")
    def kind(self, entry: LogEntry) -> str:
        """Show what kind of object it is."""
        return str(entry.content_type.name) if entry.content_type else html.NOTHING

    @display(description=gettext_lazy("what"))
    def words(self, entry: LogEntry) -> str:
        """Show what was done; what is always said alike in the reader's language."""
        said = entry.get_change_message()
        if entry.is_deletion():
            return said or _("Deleted.")
        return _(said) if said else html.NOTHING
