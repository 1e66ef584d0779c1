"""The three roles of the admin, as groups whose permissions follow from the models there are.

`manage.py migrate` grants them anew each time, so that a new model is in them at once. Who may see which tenant's rows is
`tenants.scope`'s.
"""

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission
from django.db import models, transaction

from tenants.models import Membership, Tenant

OPERATOR, READER, TENANT_USER = "Operator", "Reader", "Tenant user"
NAMES = (OPERATOR, READER, TENANT_USER)
AUDIT = "view_logentry"  # Django's own model, of who changed what


def grant(apps: Iterable[str]) -> None:
    """Make the three groups, each with exactly what its members may do with the models of some apps. Safe to repeat.

    Operators do everything with them, readers look at everything. Tenant users look at what belongs to a tenant, and issue
    tokens; `tenants.admin.credentials` leaves them upload tokens of their own tenants. Nobody gets users or groups.
    """
    ours = list(Permission.objects.filter(content_type__app_label__in=list(apps)).select_related("content_type"))
    views = [one for one in ours if one.codename.startswith("view_")]
    audit = list(Permission.objects.filter(content_type__app_label="admin", codename=AUDIT))
    issue = [one for one in ours if (one.content_type.app_label, one.codename) == ("tenants", "add_token")]
    own = [one for one in views if _is_of_a_tenant(one.content_type.model_class())]
    with transaction.atomic():
        for name, granted in ((OPERATOR, ours + audit), (READER, views + audit), (TENANT_USER, own + issue)):
            Group.objects.get_or_create(name=name)[0].permissions.set(granted)


def _is_of_a_tenant(model: type[models.Model] | None) -> bool:
    """Return True for what belongs to one tenant; who its users are is the operators' business."""
    if model is None or model is Membership:
        return False
    return model is Tenant or any(field.name == "tenant" for field in model._meta.fields)
