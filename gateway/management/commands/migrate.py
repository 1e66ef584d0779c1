"""`manage.py migrate`: Django's, and then the roles have the permissions of the models that are there now."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from tenants import roles

APPS = ["tenants", "ocpi"]
NEEDED = {"auth_group_permissions", "auth_permission", "django_content_type"}


class Command(migrate.Command):
    """Migrate, and grant the roles. Not a migration: permissions exist only after the last one, and each new model adds some."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Do both; only the first where nothing is to be changed, or what roles are made of is not there."""
        super().handle(*args, **options)
        is_only_asked = options["plan"] or options["check_unapplied"]
        if not is_only_asked and set(connections[options["database"]].introspection.table_names()) >= NEEDED:
            roles.grant(APPS)
