"""What the operator's console remembers: earlier versions, uploads by the hour, NDW's crawls, fill rates, EVSEs to look at."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ocpi.models.objects import Location, Tariff
from tenants.models import OAuthClient, Tenant, Token


class Version(models.Model):
    """An earlier version of an object, as it was served until `until_at`; kept 90 days. Only `ocpi.store` writes them.

    `body` is what the version that followed makes of it: compressed with that one's bytes as dictionary, so that a changed
    status costs some dozens of bytes. Now and then it is whole (`is_whole`), so that no walk back is long.

    PostgreSQL does not check the keys: it would lock the tenant's row for each upload, and objects are never deleted.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    location = models.ForeignKey(
        Location, models.CASCADE, null=True, related_name="versions", db_index=False, db_constraint=False
    )
    tariff = models.ForeignKey(
        Tariff, models.CASCADE, null=True, related_name="versions", db_index=False, db_constraint=False
    )
    since_at = models.DateTimeField(help_text="When the upload that made it was received.")
    until_at = models.DateTimeField(default=timezone.now, help_text="When the upload that ended it was received.")
    was_shown = models.BooleanField(help_text="Whether NDW could pull it.")
    is_whole = models.BooleanField(default=False, help_text="`body` needs no dictionary.")
    evse_uid = models.CharField(
        max_length=36, blank=True, default="", help_text="The one EVSE whose status changed then."
    )
    body = models.BinaryField()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index("location", "id", condition=Q(location__isnull=False), name="version_location"),
            models.Index("tariff", "id", condition=Q(tariff__isnull=False), name="version_tariff"),
            models.Index("until_at", name="version_until"),
        ]

    def __str__(self) -> str:
        return f"{self.location or self.tariff} until {self.until_at}"


class UploadHour(models.Model):
    """How many objects a tenant uploaded in an hour, by whatever way."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="upload_hours", db_index=False)
    hour = models.DateTimeField(_("hour"), help_text="Its beginning.")
    accepted = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("hour of uploads")
        verbose_name_plural = _("hours of uploads")
        ordering = ["-hour"]
        constraints = [models.UniqueConstraint(fields=["tenant", "hour"], name="upload_hour_once")]
        indexes = [models.Index("hour", name="upload_hour_recent")]

    def __str__(self) -> str:
        return f"{self.tenant} {self.hour}"


class Crawl(models.Model):
    """One walk of a pull credential through the whole list of a tenant: begun at the first page, complete with the last.

    Lists asked for with `date_from` or `date_to` are no crawls: they say nothing of what NDW takes for gone.
    """

    class Kind(models.TextChoices):
        """Which list."""

        LOCATION = "location", _("Locations")
        TARIFF = "tariff", _("Tariffs")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="crawls", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    token = models.ForeignKey(Token, models.SET_NULL, null=True, related_name="crawls", db_index=False)
    oauth_client = models.ForeignKey(OAuthClient, models.SET_NULL, null=True, related_name="crawls", db_index=False)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, help_text="Empty: the last page was not asked for (yet).")
    objects_count = models.PositiveIntegerField(default=0, help_text="In all its pages.")

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index("tenant", "kind", "id", name="crawl_latest"),
            models.Index("started_at", name="crawl_started"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} {self.kind} {self.started_at}"


class Scorecard(models.Model):
    """How completely a tenant filled in the fields that the law and DOT-NL ask for, on one day (Europe/Amsterdam)."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="scorecards", db_index=False)
    day = models.DateField()
    locations = models.PositiveIntegerField()
    shown = models.PositiveIntegerField()
    evses = models.PositiveIntegerField()
    tariffs = models.PositiveIntegerField()
    fills = models.JSONField(default=dict, help_text='By field: {"<name>": [filled, of how many]}.')

    class Meta:
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="scorecard_once")]
        indexes = [models.Index("day", name="scorecard_day")]

    def __str__(self) -> str:
        return f"{self.tenant} {self.day}"


class Watched(models.Model):
    """An EVSE (or a tenant's whole fleet: no Location) whose status is hard to believe; as the last look found it."""

    class Kind(models.TextChoices):
        """What is odd about it."""

        CHARGING = "charging", _("Charging for over three days")
        UNKNOWN = "unknown", _("Unknown for longer than the heartbeat")
        SILENT = "silent", _("Silent for too long")
        FLAPPING = "flapping", _("Flapping")
        UNIFORM = "uniform", _("The whole fleet on one status")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="watched", db_index=False)
    location = models.ForeignKey(Location, models.CASCADE, null=True, related_name="watched")
    evse_uid = models.CharField(max_length=36, blank=True, default="")
    kind = models.CharField(max_length=8, choices=Kind)
    status = models.CharField(max_length=20)
    since_at = models.DateTimeField(null=True, help_text="Of the status.")
    changes = models.PositiveIntegerField(default=0, help_text="Of a flapping EVSE: within 24 hours.")
    found_at = models.DateTimeField(default=timezone.now, help_text="When it was first seen so.")

    class Meta:
        verbose_name, verbose_name_plural = _("odd status"), _("odd statuses")
        ordering = ["tenant", "kind", "since_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "location", "evse_uid", "kind"], nulls_distinct=False, name="watched_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.evse_uid} {self.kind}"


class Lookout(models.Model):
    """How far the status watch is with a tenant's EVSEs, and when its findings were mailed. Only `ocpi.watch` writes them."""

    tenant = models.OneToOneField(Tenant, models.CASCADE, related_name="lookout")
    begun_at = models.DateTimeField(null=True, help_text="The look that runs, or was the last.")
    after = models.BigIntegerField(null=True, help_text="Of the look that runs: the last Location it has seen.")
    is_moving = models.BooleanField(default=False, help_text="Most Locations changed lately: who did not is silent.")
    counts = models.JSONField(default=dict, help_text="EVSEs in service by status, so far.")
    looked_at = models.DateTimeField(null=True, help_text="When the last whole look ended.")
    mailed_on = models.DateField(null=True, help_text="The last day (Europe/Amsterdam) that is dealt with.")

    def __str__(self) -> str:
        return f"{self.tenant} {self.looked_at}"
