"""What all lists here share: nobody writes, and filters whose choices are words."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from tenants import html
from tenants.admin.confined import TENANT, ConfinedAdmin

__all__ = ["TENANT", "ChoiceFilter", "ReadOnlyAdmin"]


class ReadOnlyAdmin(ConfinedAdmin):
    """Something of a tenant to look at; the API and the workers are the way in."""

    tenant_path: str | None = "tenant"
    show_full_result_count = False
    list_filter_submit = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


class ChoiceFilter(admin.SimpleListFilter):
    """A filter whose choices are words with a condition each."""

    choices_by_word: dict[str, tuple[html.Text, Q]] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Name the choices."""
        return [(word, title) for word, (title, _) in self.choices_by_word.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what meets the chosen condition."""
        chosen = self.choices_by_word.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset
