"""Who may use this admin, and as what: users, the groups that are their roles, and which tenants tenant users see."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import TabularInline
from unfold.forms import AdminPasswordChangeForm, PaginationInlineFormSet, UserChangeForm, UserCreationForm

from tenants import html, roles
from tenants.admin.confined import TENANT, ConfinedAdmin
from tenants.models import Membership

admin.site.unregister([User, Group, TOTPDevice, StaticDevice])  # of the last two nobody needs to see the keys

LAST_LOGIN: Any = gettext_lazy("last login")


class SuperusersOnly(ConfinedAdmin):
    """Others look, if they may, and change nothing: who edits users or groups can give himself everything."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let in superusers."""
        return request.user.is_superuser and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in superusers."""
        return request.user.is_superuser and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in superusers."""
        return request.user.is_superuser and super().has_delete_permission(request, obj)


class UserForm(UserChangeForm):
    """A tenant user is that and nothing else."""

    def clean(self) -> Any:
        """Refuse a tenant user what other roles may do."""
        given = super().clean()
        names = {group.name for group in self.cleaned_data.get("groups") or []}
        others = names - {roles.TENANT_USER} or self.cleaned_data.get("user_permissions")
        if roles.TENANT_USER in names and (others or self.cleaned_data.get("is_superuser")):
            raise forms.ValidationError(
                _("A tenant user is in no other group, has no permissions of his own and is no superuser.")
            )
        return given


class MembershipFormSet(PaginationInlineFormSet):
    """The tenants of a user, beside the form that says in which groups he is."""

    def clean(self) -> None:
        """Refuse tenants for who is no tenant user: he would see those only, and change things there."""
        super().clean()
        kept = [form for form in self.forms if form not in self.deleted_forms and form.cleaned_data.get("tenant")]
        chosen = [pk for pk in self.data.getlist("groups") if pk.isdecimal()]
        if kept and not Group.objects.filter(pk__in=chosen, name=roles.TENANT_USER).exists():
            raise forms.ValidationError(_("Only a user in the group “Tenant user” belongs to a tenant."))


class MembershipInline(TabularInline):
    """Which tenants a user sees."""

    model = Membership
    formset = MembershipFormSet
    autocomplete_fields = ["tenant"]
    extra = 0
    verbose_name_plural = gettext_lazy(
        "tenants this user sees (of the group “Tenant user” only; without any he sees nothing)"
    )


@admin.register(User)
class UserAdmin(DjangoUserAdmin, SuperusersOnly):
    """Who may use this admin, in its look."""

    form = UserForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "roles", "is_active", "is_staff", "is_superuser", "last_seen"]
    last_seen = html.moment("last_login", LAST_LOGIN)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Read the groups along."""
        return super().get_queryset(request).prefetch_related("groups")

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list:
        """Ask for tenants once the user has groups."""
        return [MembershipInline] if obj else []

    @admin.display(description=gettext_lazy("roles"))
    def roles(self, user: User) -> str:
        """Show the groups."""
        return ", ".join(group.name for group in user.groups.all()) or html.NOTHING


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, SuperusersOnly):
    """What a kind of operator may do; the three roles are `tenants.roles`'s, and their names say who is confined."""

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Refuse to rename or mix up a role."""
        is_role = obj is not None and obj.name in roles.NAMES
        return not is_role and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Refuse to drop a role; in the list, whatever is chosen, for one could be among it."""
        is_role = obj is None or obj.name in roles.NAMES
        return not is_role and super().has_delete_permission(request, obj)


@admin.register(Membership)
class MembershipAdmin(ConfinedAdmin):
    """Which tenant users see which tenant, for operators: they cannot edit users."""

    list_display = ["tenant", "user"]
    list_filter = [TENANT]
    list_filter_submit = True
    list_select_related = ["tenant", "user"]
    search_fields = ["tenant__party_id", "tenant__name", "user__username"]
    search_help_text = gettext_lazy("Tenant or user")
    autocomplete_fields = ["tenant"]
    ordering = ["tenant", "user__username", "pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave superusers out: nobody confines them, or frees them."""
        return super().get_queryset(request).exclude(user__is_superuser=True)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: delete it and add another."""
        return False

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer tenant users."""
        if db_field.name == "user":
            found = User.objects.filter(groups__name=roles.TENANT_USER, is_superuser=False)
            kwargs["queryset"] = found.order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
