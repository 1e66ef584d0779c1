"""The Django app `tenants`."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Tenants, their credentials and their connections to NDW."""

    name = "tenants"
    verbose_name = "Tenants and access"
