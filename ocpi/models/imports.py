"""Bulk uploads (Import and what it is made of), and the Sources that are fetched through them."""

import datetime as dt
import uuid
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import secrets
from tenants.models import Tenant


class Import(models.Model):
    """One bulk upload: a CPO's objects in one request, worked through in chunks that each commit what they did.

    The body lies in `ImportPart`s, one JSON document a line, until the import has ended; `ImportReport`s keep what became of
    the lines. Full sets and dry runs are scanned first (nothing stored); what the scan found is the preview.
    """

    class State(models.TextChoices):
        """What the CPO sees; `receiving` is not shown to anybody."""

        RECEIVING = "receiving", _("Receiving")
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        HELD = "held", _("Held")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        DISCARDED = "discarded", _("Discarded")

    class Phase(models.TextChoices):
        """What is done with the lines now."""

        SCAN = "scan", _("Scanning")
        APPLY = "apply", _("Storing")
        REMOVE = "remove", _("Removing")

    class Mode(models.TextChoices):
        """What a set says about objects it lacks."""

        UPSERT = "upsert", _("Add and change")
        FULL = "full", _("Everything there is")

    class Kind(models.TextChoices):
        """What the lines are."""

        LOCATION = "location", _("Locations")
        TARIFF = "tariff", _("Tariffs")

    ENDED = (State.DONE, State.FAILED, State.DISCARDED)
    OPEN = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="imports", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    mode = models.CharField(max_length=6, choices=Mode, default=Mode.UPSERT)
    is_dry_run = models.BooleanField(_("dry run"), default=False)
    is_sheet = models.BooleanField(
        _("spreadsheet"), default=False, help_text="Made of a CSV or XLSX file of connectors."
    )
    origin = models.CharField(_("sent by"), max_length=200, help_text="Who sent it, or the name of the file.")
    key = models.CharField(max_length=255, null=True, help_text="Idempotency-Key.")  # noqa: DJ001 - absent, not empty
    digest = models.BinaryField(null=True, help_text="Of the lines: the same key means the same body.")
    state = models.CharField(max_length=9, choices=State, default=State.RECEIVING)
    phase = models.CharField(max_length=6, choices=Phase)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, help_text="Of the present phase.")
    worked_at = models.DateTimeField(null=True, help_text="Of the last chunk; imports take turns.")
    finished_at = models.DateTimeField(null=True)
    size = models.BigIntegerField(default=0, help_text="Bytes of all lines.")
    offset = models.BigIntegerField(default=0, help_text="Bytes worked through in this phase.")
    line = models.PositiveIntegerField(default=0, help_text="Lines worked through in this phase.")
    removed_pk = models.BigIntegerField(default=0, help_text="As far as what is missing has been removed.")
    counts = models.JSONField(default=dict)
    preview = models.JSONField(null=True, help_text="What the scan of a full set came to.")
    rules = models.JSONField(default=dict, help_text='Findings by rule: {rule: {"count", "severity", "sample"}}.')
    is_incomplete = models.BooleanField(
        default=False, help_text="A line has no id that can be read: nothing is removed."
    )
    note = models.CharField(max_length=500, blank=True, help_text="Why it is held, has failed, or was discarded.")
    decided_by = models.CharField(max_length=150, blank=True, help_text="Who accepted or discarded it.")

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="import_once_per_key")]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="import_of_tenant"),
            models.Index("created_at", condition=Q(state__in=["queued", "running"]), name="import_open"),
            models.Index("tenant", condition=Q(state="held"), name="import_held"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} {self.get_kind_display()} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def progress(self) -> float:
        """Return how much is done, 0 to 1; a full set is read twice."""
        if self.state in self.ENDED:
            return 1.0
        passes = 1 if self.is_dry_run or self.mode == self.Mode.UPSERT else 2
        before = self.phase != self.Phase.SCAN and passes == 2
        done = min(1.0, self.offset / self.size) if self.size else 0.0
        return round((done + before) / passes, 4)

    @property
    def rate(self) -> float | None:
        """Return objects per second in this phase; None before the first."""
        if not (self.started_at and self.line):
            return None
        took = (self.finished_at or timezone.now()) - self.started_at
        return round(self.line / max(took / dt.timedelta(seconds=1), 0.001), 1)

    @property
    def eta_s(self) -> float | None:
        """Return the seconds until it has ended, at the pace so far; None when nobody can know."""
        if self.state != self.State.RUNNING or not (self.started_at and self.offset):
            return None
        took = (timezone.now() - self.started_at) / dt.timedelta(seconds=1)
        whole = took * self.size / self.offset
        is_first_of_two = self.phase == self.Phase.SCAN and not self.is_dry_run
        return round(whole - took + (whole if is_first_of_two else 0), 1)


class ImportPart(models.Model):
    """A piece of an import's lines, compressed; all but the last are of one size."""

    SIZE = 1_048_576  # bytes of lines

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False)
    part_of = models.ForeignKey(Import, models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "part_of", "number"], name="import_part_once")]
        indexes = [models.Index(fields=["part_of", "number"], name="import_part_order")]

    def __str__(self) -> str:
        return f"{self.part_of_id} {self.number}"


class ImportReport(models.Model):
    """What became of some lines of an import, and which ids they had."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False)
    report_of = models.ForeignKey(Import, models.CASCADE, related_name="reports", db_index=False)
    phase = models.CharField(max_length=6, choices=Import.Phase)
    first_line = models.PositiveIntegerField()
    data = models.BinaryField(help_text="Compressed JSON lines: [line, id, outcome, findings].")
    ids = ArrayField(models.TextField(), default=list, help_text="Of a full set: lower case.")

    class Meta:
        indexes = [models.Index(fields=["report_of", "phase", "id"], name="import_report_order")]

    def __str__(self) -> str:
        return f"{self.report_of_id} {self.first_line}"


class Source(models.Model):
    """A CPO's own OCPI Sender, which is asked for what changed, and every night for everything; one per tenant.

    One, because everything from one Sender says that the rest is gone. A worker that fetches holds the lease; it writes the
    state below and nothing else, an operator what stands above.
    Source: OCPI 2.2.1 version_information_endpoint; mod_locations, mod_tariffs, "Sender Interface".
    """

    class TokenForm(models.TextChoices):
        """How the token goes into the Authorization header: OCPI 2.2 says Base64, many Senders want it as it is."""

        BASE64 = "base64", _("Base64 (OCPI 2.2.1)")
        RAW = "raw", _("As it is")

    SHORTEST_S, LONGEST_S = 30, 86_400

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="sources", db_index=False)
    url = models.URLField(
        _("URL"),
        max_length=500,
        help_text=_(
            "Of the versions (…/versions), of the version details (…/2.2.1), or what stands before /versions. https and "
            "port 443, unless SOURCE_ALLOWED_HOSTS lists the host."
        ),
    )
    token_sealed = models.TextField(editable=False, default="")
    token_form = models.CharField(
        _("form of the token"),
        max_length=6,
        choices=TokenForm,
        default=TokenForm.BASE64,
        help_text=_(
            "How the Sender wants it behind “Authorization: Token”. A 401 in spite of a good token: try the other."
        ),
    )
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Fetch on a schedule."))
    has_locations = models.BooleanField(_("locations"), default=True, help_text=_("Fetch Locations."))
    has_tariffs = models.BooleanField(
        _("tariffs"), default=True, help_text=_("Fetch Tariffs; they go before the Locations.")
    )
    every_s = models.PositiveIntegerField(
        _("changes every"),
        default=60,
        help_text=_(
            "Seconds between two looks for what changed (date_from), at least 30. 0: only everything, once a night."
        ),
    )
    full_at = models.TimeField(
        _("everything at"),
        default=dt.time(2, 30),
        help_text=_(
            "When everything is fetched (Europe/Amsterdam, within ten minutes). What the Sender then lacks is set "
            "REMOVED, if the tenant's brake allows; what is stored already is not written again."
        ),
    )

    next_due_at = models.DateTimeField(_("next look for changes"), null=True, editable=False)
    next_full_at = models.DateTimeField(_("next fetch of everything"), default=timezone.now, editable=False)
    locations_from = models.DateTimeField(
        null=True, editable=False, help_text=_("When the last good fetch of Locations began, by the slower clock.")
    )
    tariffs_from = models.DateTimeField(null=True, editable=False)
    endpoints = models.JSONField(
        default=dict, editable=False, help_text=_("Where the lists are, as the version details said last.")
    )
    last_started_at = models.DateTimeField(_("last fetch"), null=True, editable=False)
    last_finished_at = models.DateTimeField(null=True, editable=False)
    last_result = models.CharField(
        max_length=500, editable=False, default="", help_text=_("Of the last that succeeded.")
    )
    last_error = models.CharField(
        max_length=1000, editable=False, default="", help_text=_("Empty: the last fetch succeeded.")
    )
    counts = models.JSONField(
        default=dict, editable=False, help_text=_('Of the last fetch: {"tariffs", "locations", "foreign", "pages"}.')
    )
    failures = models.PositiveIntegerField(default=0, editable=False, help_text=_("Fetches in a row that failed."))
    lease_until = models.DateTimeField(null=True, editable=False)
    lease_token = models.UUIDField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ["tenant"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"],
                name="source_one_per_tenant",
                violation_error_message=_("This tenant has a source; change that one."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.tenant} from {urlsplit(self.url).netloc}"

    def clean(self) -> None:
        """Refuse a pace that no Sender should bear, and a source of nothing."""
        if self.every_s and not self.SHORTEST_S <= self.every_s <= self.LONGEST_S:
            words = _("0, or %(least)s to %(most)s seconds.") % {"least": self.SHORTEST_S, "most": self.LONGEST_S}
            raise ValidationError({"every_s": words})
        if not self.modules:
            raise ValidationError(_("Choose Locations, Tariffs or both."))

    def _bound_to(self) -> str:
        return f"source|token|{self.pk}"

    def set_token(self, plain: str) -> None:
        """Seal a new token; saves a new row, of an old one only this."""
        if self.pk is None:
            self.save()
        self.token_sealed = secrets.encrypt(plain, self._bound_to())
        self.save(update_fields=["token_sealed"])

    @property
    def token(self) -> str:
        """Return the token in the clear, for the call to the Sender only. Raises Undecryptable."""
        return secrets.decrypt(self.token_sealed, self._bound_to())

    @property
    def modules(self) -> list[str]:
        """Return what is fetched, in the order in which it is handed over: a Location names Tariffs."""
        return ["tariffs"] * self.has_tariffs + ["locations"] * self.has_locations

    @property
    def took(self) -> dt.timedelta | None:
        """Return how long the last fetch took; None while it runs."""
        if not (self.last_started_at and self.last_finished_at) or self.last_finished_at < self.last_started_at:
            return None
        return self.last_finished_at - self.last_started_at
