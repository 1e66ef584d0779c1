"""What NDW still lacks (Push), the proof of what it took (PushAttempt), and how soon (DeliveryDay, Alarm)."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ocpi.models.objects import Location, OcpiObject, Tariff
from tenants.models import Connection, Tenant


class PushQuerySet(models.QuerySet):
    """Push rows with the state a person sees."""

    def with_shown_state(self) -> "PushQuerySet":
        """Annotate `shown_state`: the stored state, or sending (a live lease) or blocked (Connection paused or retired)."""
        return self.annotate(
            shown_state=Case(
                When(~Q(state=Push.State.DIRTY), then=F("state")),
                When(lease_until__gt=Now(), then=Value("sending")),
                When(Q(connection__is_paused=True) | Q(connection__is_retired=True), then=Value("blocked")),
                default=F("state"),
            )
        )


class Push(models.Model):
    """What NDW still lacks of one object, over one Connection. Names the object, never a payload.

    `whole` and `evse_uid` gather what changed since a worker last read the body; claiming a row takes them. The clock
    (`changed_at`) starts with our acceptance of the oldest change that is in no accepted body; `next_changed_at` is the
    first change that came while a request was under way. Initial load, reconciliation and replay run without a clock.
    """

    class State(models.TextChoices):
        """The stored states; `sending`, `blocked` and `withheld` are computed (protocol §9)."""

        DIRTY = "dirty", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        REJECTED = "rejected", _("Rejected")

    class Priority(models.IntegerChoices):
        """What goes first over one Connection."""

        TARIFF = 0
        STATUS = 1
        LOCATION = 2
        BACKLOG = 3
        TARIFF_DELETE = 4

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="pushes", db_index=False)
    connection = models.ForeignKey(
        Connection, models.PROTECT, related_name="pushes", db_index=False, verbose_name=_("connection")
    )
    location = models.ForeignKey(Location, models.CASCADE, null=True, related_name="pushes", db_index=False)
    tariff = models.ForeignKey(Tariff, models.CASCADE, null=True, related_name="pushes", db_index=False)
    state = models.CharField(max_length=9, choices=State, default=State.DIRTY)
    priority = models.SmallIntegerField(choices=Priority)
    whole = models.BooleanField(default=True)
    evse_uid = models.CharField(max_length=36, null=True, help_text="The one EVSE whose status changed.")  # noqa: DJ001
    version = models.BigIntegerField(_("version"), default=1)
    changes = models.PositiveIntegerField(_("changes"), default=0, help_text=_("Uploads since the last accepted body."))
    changed_at = models.DateTimeField(null=True)
    next_changed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    crashes = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Leases in a row that ran out unanswered."
    )
    doubt_until = models.DateTimeField(
        null=True, help_text="So long an earlier request may still arrive; then NDW gets the present state once more."
    )
    correlation_id = models.CharField(_("correlation id"), max_length=100, blank=True, default="")
    last_answer = models.CharField(max_length=500, blank=True, default="")
    accepted_at = models.DateTimeField(null=True)
    accepted_version = models.BigIntegerField(_("accepted version"), null=True)
    accepted_hash = models.BinaryField(null=True)
    accepted_tariff_ids = ArrayField(models.TextField(), default=list)

    objects = PushQuerySet.as_manager()

    class Meta:
        verbose_name = _("push")
        verbose_name_plural = _("pushes")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "location"], name="push_one_per_connection_location"
            ),
            models.UniqueConstraint(fields=["tenant", "connection", "tariff"], name="push_one_per_connection_tariff"),
            models.CheckConstraint(
                condition=Q(location__isnull=True) ^ Q(tariff__isnull=True), name="push_names_one_object"
            ),
        ]
        indexes = [
            models.Index("connection", "priority", "due_at", condition=Q(state="dirty"), name="push_due"),
            models.Index("tenant", "connection", condition=Q(state="rejected"), name="push_rejected"),
            models.Index("location", name="push_location", condition=Q(location__isnull=False)),
            models.Index("tariff", name="push_tariff", condition=Q(tariff__isnull=False)),
            models.Index("doubt_until", name="push_doubt", condition=Q(doubt_until__isnull=False)),
            GinIndex("accepted_tariff_ids", name="push_accepted_tariff_ids"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"

    @property
    def target(self) -> OcpiObject:
        """Return the Location or Tariff."""
        return self.location or self.tariff  # type: ignore[return-value]

    @property
    def kind(self) -> str:
        """Return `location` or `tariff`."""
        return "location" if self.location_id else "tariff"


class PushAttempt(models.Model):
    """One request to NDW and its answer: the proof of when NDW accepted a change."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="push_attempts", db_index=False)
    push = models.ForeignKey(Push, models.CASCADE, related_name="push_attempts", db_index=False, verbose_name=_("push"))
    started_at = models.DateTimeField(_("sent"), db_index=True)
    took_ms = models.PositiveIntegerField()
    method = models.CharField(_("method"), max_length=6)
    url = models.CharField(max_length=500)
    http_status = models.PositiveSmallIntegerField(null=True)
    ocpi_status = models.IntegerField(null=True)
    answer = models.TextField(blank=True, help_text="What NDW said, at most 2 kB; or why there was no answer.")
    outcome = models.CharField(max_length=12, db_index=True)
    version = models.BigIntegerField(_("version"))
    changes = models.PositiveIntegerField(_("changes"), help_text=_("How many uploads this request carried."))
    changed_at = models.DateTimeField(null=True, help_text="Acceptance of the oldest of them; empty: no clock.")
    request_id = models.CharField(_("request id"), max_length=36)
    correlation_id = models.CharField(_("correlation id"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["-started_at", "-pk"]
        indexes = [
            # What the clock reads, and nothing else: a day of 288,000 requests without a look at their rows.
            models.Index(
                fields=["tenant", "changed_at"],
                include=["push", "started_at", "took_ms", "changes"],
                condition=Q(outcome="delivered", changed_at__isnull=False),
                name="pushattempt_clock",
            ),
            models.Index(fields=["push", "-started_at"], name="pushattempt_history"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class DeliveryDay(models.Model):
    """The minute over one Connection on one day (Europe/Amsterdam): what came in that day, and how soon NDW accepted it.

    A change belongs to the day of its upload, whenever it was accepted. Ages are those of requests: what a request carried
    is as old as the oldest of it. Today's are computed and not stored.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="delivery_days", db_index=False)
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="delivery_days")
    day = models.DateField(db_index=True)
    changes = models.PositiveIntegerField(help_text="With a clock: accepted, rejected, or waiting for over a minute.")
    accepted = models.PositiveIntegerField()
    within_60s = models.PositiveIntegerField()
    requests = models.PositiveIntegerField(help_text="In which they were accepted.")
    p50_ms = models.PositiveBigIntegerField(null=True)
    p95_ms = models.PositiveBigIntegerField(null=True)
    p99_ms = models.PositiveBigIntegerField(null=True)
    max_ms = models.PositiveBigIntegerField(null=True)

    class Meta:
        ordering = ["-day", "connection"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "connection", "day"], name="delivery_day_once"),
        ]

    def __str__(self) -> str:
        return f"{self.connection} {self.day}"

    @property
    def share(self) -> float | None:
        """Return which part of the changes NDW accepted within 60 s (0 to 1); None when there were none."""
        return self.within_60s / self.changes if self.changes else None


class Alarm(models.Model):
    """What was said about a Connection whose oldest change waits too long: many may look, one speaks."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="alarms", db_index=False)
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="alarms")
    opened_at = models.DateTimeField(null=True, help_text="Empty: all is well.")
    logged_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "connection"], name="alarm_one_per_connection")]

    def __str__(self) -> str:
        return f"{self.connection} since {self.opened_at}"
