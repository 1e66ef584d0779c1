"""The Django app `tenants`."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TenantsConfig(AppConfig):
    """Tenants, their credentials and their connections to NDW."""

    name = "tenants"
    verbose_name = _("Tenants and access")
