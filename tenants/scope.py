"""Whose rows a user of the admin may see: a tenant user those of his tenants only, everybody else all."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from tenants.models import Membership, Tenant
from tenants.roles import TENANT_USER

M = TypeVar("M", bound=Model)


def confined_to(user: Any) -> list[int] | None:
    """Return the keys of the tenants a user is confined to, [] when he sees nothing; None: to none. Asked once a request.

    A Membership confines whoever has it. A member of the group of tenant users who has none sees nothing.
    """
    if user.is_superuser:
        return None
    if not hasattr(user, "_confined_to"):
        own = list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True))
        is_confined = bool(own) or user.groups.filter(name=TENANT_USER).exists()
        user._confined_to = own if is_confined else None
    return user._confined_to


def is_confined(user: Any) -> bool:
    """Return True when the user may see some tenants' rows only: no other party, and none of our accounts, is named to him."""
    return confined_to(user) is not None


def confine(user: Any, rows: QuerySet[M], path: str = "tenant") -> QuerySet[M]:
    """Leave of some rows those the user may see; `path` leads from them to their tenant."""
    own = confined_to(user)
    return rows if own is None else rows.filter(**{f"{path}__in": own})


def tenants_of(user: Any) -> QuerySet[Tenant]:
    """Return the tenants the user may see."""
    return confine(user, Tenant.objects.all(), "pk")


def may_see(user: Any, tenant_id: int) -> bool:
    """Return True when the user may see that tenant."""
    own = confined_to(user)
    return own is None or tenant_id in own
