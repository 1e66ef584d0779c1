"""A tenant's way out: who confirmed it, and when it is over, the proof."""

from django.db import models
from django.utils import timezone

from tenants.models import Tenant


class Offboarding(models.Model):
    """A tenant that leaves: when and by whom it was confirmed, both times, and what NDW accepted of it.

    The proof is kept as it was written, for the attempts it tells of are deleted after 90 days. `Tenant.offboarding_at` and
    `offboarded_at` say how far it is.
    """

    tenant = models.OneToOneField(Tenant, models.PROTECT, related_name="offboarding")
    confirmed_at = models.DateTimeField(help_text="The first time.")
    confirmed_by = models.CharField(max_length=150)
    begun_at = models.DateTimeField(default=timezone.now, help_text="The second time: with the party typed out.")
    begun_by = models.CharField(max_length=150)
    set_at = models.DateTimeField(null=True, help_text="Since then no EVSE is in service.")
    proof = models.BinaryField(null=True, help_text="CSV, compressed.")
    digest = models.CharField(max_length=64, blank=True, default="", help_text="SHA-256 of the CSV.")

    def __str__(self) -> str:
        return f"Offboarding of {self.tenant}"
