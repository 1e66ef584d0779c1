"""The Django app `ocpi`."""

from django.apps import AppConfig


class OcpiConfig(AppConfig):
    """OCPI 2.2.1 objects, their two interfaces and their delivery."""

    name = "ocpi"
    verbose_name = "OCPI"

    def ready(self) -> None:
        """Register the system checks."""
        from ocpi import checks  # noqa: F401
