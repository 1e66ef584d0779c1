"""What every admin page here is made from: a user who is confined to tenants meets no row, choice or name of another."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import ForeignKey, Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.contrib.filters.forms import AutocompleteDropdownForm

from tenants import scope

SECRET = ("_sealed", "digest", "password")  # how the names of fields end that no URL may ask about


class ConfinedAdmin(ModelAdmin):
    """Rows lead to their tenant by `tenant_path`; None: they are no tenant's, so nobody who is confined sees any."""

    tenant_path: str | None = None

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave what the user may see: lists, pages, actions, searches and autocompletion all begin here."""
        found = super().get_queryset(request)
        if not _is_confined(request):
            return found
        return scope.confine(request.user, found, self.tenant_path) if self.tenant_path else found.none()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Note on the object whether its page may name other parties and our accounts; `names_others` asks."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found._names_others = not _is_confined(request)
        return found

    @staticmethod
    def names_others(item: Model) -> bool:
        """Return True when whoever looks at this object's page may be told of others; not where nobody has said so."""
        return getattr(item, "_names_others", False)

    def get_urls(self) -> list[URLPattern]:
        """Guard whatever is about one object, buttons too: they are handed its key and look it up themselves."""
        found = super().get_urls()
        for pattern in found:
            if "object_id" in pattern.pattern.regex.groupindex:
                is_button = not (pattern.name or "").endswith(("_change", "_delete", "_history"))
                pattern.callback = self._guarded(pattern.callback, is_button=is_button)
        return found

    def _guarded(self, view: Callable[..., HttpResponse], *, is_button: bool) -> Callable[..., HttpResponse]:
        """Answer 404 for what a confined user may not see, whether it is there or not.

        For everybody where Django's own pages would not say that it is not there: buttons, and what is no key at all.
        """

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if self.admin_site.has_permission(request):
                key, is_confined = unquote(kwargs["object_id"]), _is_confined(request)
                if is_confined and not self.has_view_or_change_permission(request):
                    raise PermissionDenied
                is_ours = is_confined or is_button or not self._can_be_key(key)
                if is_ours and self.get_object(request, key) is None:
                    raise Http404("There is no such object.")
            return view(request, *args, **kwargs)

        return guarded

    def _can_be_key(self, key: str) -> bool:
        try:
            self.opts.pk.to_python(key)
        except ValidationError:
            return False
        return True

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer what the user may see, and take nothing else."""
        if _is_confined(request):
            model: Any = db_field.remote_field.model
            page = self.admin_site._registry.get(model)
            is_ours = isinstance(page, ConfinedAdmin)
            kwargs["queryset"] = page.get_queryset(request) if is_ours else model._default_manager.none()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse to search by a secret: `?digest__startswith=` would spell it out."""
        is_secret = any(part.endswith(SECRET) for part in lookup.split("__"))
        return not is_secret and super().lookup_allowed(lookup, value, request)


def _is_confined(request: HttpRequest) -> bool:
    return scope.is_confined(request.user)


class _TenantForm(AutocompleteDropdownForm):
    """The choice of a tenant; one that the user may not see is not named, even when the URL names it."""

    def __init__(self, request: HttpRequest, name: str, **kwargs: Any) -> None:
        super().__init__(request=request, name=name, **kwargs)
        field = self.fields[name]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = scope.tenants_of(request.user)


class TenantFilter(AutocompleteSelectFilter):
    """By tenant, of those the user may see."""

    form_class = _TenantForm


TENANT = ("tenant", TenantFilter)
