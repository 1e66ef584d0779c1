"""Location and Tariff (validated body + the columns we search), Push (what NDW still lacks), PushAttempt (the proof)."""

import datetime as dt
import uuid
from urllib.parse import urlsplit

import orjson
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Lower, Now
from django.utils import timezone

from tenants import secrets
from tenants.models import Connection, Tenant


class OcpiObject(models.Model):
    """What Location and Tariff share. Only `ocpi.store` writes them."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="%(class)ss", db_index=False)
    ocpi_id = models.CharField("id", max_length=36)
    body = models.BinaryField(help_text="The document exactly as it is served: canonical JSON.")
    last_updated = models.DateTimeField(help_text="As in the body.")
    cpo_times = models.JSONField(
        null=True,
        help_text='What the CPO itself sent as last_updated, where we serve another: {"": …, "<evse uid>": …}.',
    )
    unknown = models.JSONField(
        null=True, help_text="Properties OCPI 2.2.1 does not have, by JSON Pointer; not forwarded."
    )
    findings = models.JSONField(default=list, help_text="Gaps and warnings of the last verdict; repairs are not kept.")
    warnings = ArrayField(models.TextField(), default=list, db_default=[], help_text="Rules of those that are no gaps.")
    edition = models.CharField(
        max_length=8, default="", db_default="", help_text="Of the rule book the verdict was made with."
    )
    digest = models.BinaryField(
        null=True, help_text="Of the import line that made it what it is; None after any other upload."
    )
    created_at = models.DateTimeField(default=timezone.now)
    received_at = models.DateTimeField(default=timezone.now, help_text="When the last applied upload came in.")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.ocpi_id

    @property
    def document(self) -> dict:
        """Return the body parsed."""
        return orjson.loads(bytes(self.body))


def ids_of(kind: str) -> str:
    """Return the SQL of the row ids of a tenant's objects (%(tenant)s), of ids in lower case (%(ids)s).

    One look into the unique index for each, which OFFSET 0 keeps together: what the planner knows of a table that is being
    filled is old, and it would rather read all rows of the tenant.
    """
    return f"""
        SELECT one.id FROM unnest(%(ids)s::text[]) wanted CROSS JOIN LATERAL (
            SELECT id FROM ocpi_{kind} WHERE tenant_id = %(tenant)s AND lower(ocpi_id) = wanted OFFSET 0) one
    """


class Location(OcpiObject):
    """A place with EVSEs and their connectors, all in one body.

    No index holds `last_updated`: it changes with every status, and without it such an update stays on its page (HOT).
    Source: OCPI 2.2.1 mod_locations, "Location Object".
    """

    is_shown = models.BooleanField("shown", help_text="Compliant and published: NDW sees it.")
    publish = models.BooleanField()
    gaps = ArrayField(models.TextField(), default=list, help_text="Rules of DOT-NL it does not meet.")
    tariff_ids = ArrayField(models.TextField(), default=list, help_text="Lower case; of EVSEs that are not REMOVED.")
    evse_keys = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        help_text="Of the same EVSEs, what no other may have: <tenant>/<uid>, and the evse_id without separators.",
    )
    latitude = models.FloatField()
    longitude = models.FloatField()
    evse_count = models.PositiveIntegerField()
    connector_count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint("tenant", Lower("ocpi_id"), name="location_id_per_tenant")]
        indexes = [
            models.Index("tenant", "id", condition=Q(is_shown=True), name="location_shown"),
            models.Index("tenant", "id", name="location_order"),
            GinIndex("tariff_ids", name="location_tariff_ids"),
            GinIndex("evse_keys", name="location_evse_keys", fastupdate=False),  # looked up by each upload
            models.Index("edition", name="location_edition"),
        ]


class Tariff(OcpiObject):
    """A price structure. A deleted one stays as a tombstone: only a strictly newer PUT brings it back.

    Source: OCPI 2.2.1 mod_tariffs, "Tariff Object".
    """

    type = models.CharField(max_length=16, null=True)  # noqa: DJ001 - as in the body, where it may be absent
    valid_from = models.DateTimeField(null=True, help_text="start_date_time in the body.")
    valid_until = models.DateTimeField(null=True, help_text="end_date_time in the body.")
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint("tenant", Lower("ocpi_id"), name="tariff_id_per_tenant")]
        indexes = [
            models.Index("tenant", "id", condition=Q(deleted_at=None), name="tariff_order"),
            models.Index("edition", name="tariff_edition"),
        ]


class ShownCount(models.Model):
    """How many Locations or Tariffs of a tenant NDW sees: the sum of `change`, without a look at the objects.

    Triggers on both tables add a row for each statement that shows or hides something, so that writers never wait for each
    other; `ocpi.counts` folds them together. Source: OCPI 2.2.1 transport_and_format, "Pagination", X-Total-Count.
    """

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="shown_counts", db_index=False)
    kind = models.CharField(max_length=8)
    change = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "kind"], include=["change"], name="shown_count")]

    def __str__(self) -> str:
        return f"{self.tenant} {self.kind} {self.change:+}"


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

        DIRTY = "dirty", "Waiting"
        DELIVERED = "delivered", "Delivered"
        REJECTED = "rejected", "Rejected"

    class Priority(models.IntegerChoices):
        """What goes first over one Connection."""

        TARIFF = 0
        STATUS = 1
        LOCATION = 2
        BACKLOG = 3
        TARIFF_DELETE = 4

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="pushes", db_index=False)
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="pushes", db_index=False)
    location = models.ForeignKey(Location, models.CASCADE, null=True, related_name="pushes", db_index=False)
    tariff = models.ForeignKey(Tariff, models.CASCADE, null=True, related_name="pushes", db_index=False)
    state = models.CharField(max_length=9, choices=State, default=State.DIRTY)
    priority = models.SmallIntegerField(choices=Priority)
    whole = models.BooleanField(default=True)
    evse_uid = models.CharField(max_length=36, null=True, help_text="The one EVSE whose status changed.")  # noqa: DJ001
    version = models.BigIntegerField(default=1)
    changes = models.PositiveIntegerField(default=0, help_text="Uploads since the last accepted body.")
    changed_at = models.DateTimeField(null=True)
    next_changed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    crashes = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Leases in a row that ran out unanswered."
    )
    doubt_until = models.DateTimeField(
        null=True, help_text="So long an earlier request may still arrive; then NDW gets the present state once more."
    )
    correlation_id = models.CharField(max_length=100, blank=True, default="")
    last_answer = models.CharField(max_length=500, blank=True, default="")
    accepted_at = models.DateTimeField(null=True)
    accepted_version = models.BigIntegerField(null=True)
    accepted_hash = models.BinaryField(null=True)
    accepted_tariff_ids = ArrayField(models.TextField(), default=list)

    objects = PushQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "pushes"
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
    push = models.ForeignKey(Push, models.CASCADE, related_name="push_attempts", db_index=False)
    started_at = models.DateTimeField(db_index=True)
    took_ms = models.PositiveIntegerField()
    method = models.CharField(max_length=6)
    url = models.CharField(max_length=500)
    http_status = models.PositiveSmallIntegerField(null=True)
    ocpi_status = models.IntegerField(null=True)
    answer = models.TextField(blank=True, help_text="What NDW said, at most 2 kB; or why there was no answer.")
    outcome = models.CharField(max_length=12, db_index=True)
    version = models.BigIntegerField()
    changes = models.PositiveIntegerField(help_text="How many uploads this request carried.")
    changed_at = models.DateTimeField(null=True, help_text="Acceptance of the oldest of them; empty: no clock.")
    request_id = models.CharField(max_length=36)
    correlation_id = models.CharField(max_length=100, blank=True)

    class Meta:
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


class Import(models.Model):
    """One bulk upload: a CPO's objects in one request, worked through in chunks that each commit what they did.

    The body lies in `ImportPart`s, one JSON document a line, until the import has ended; `ImportReport`s keep what became of
    the lines. Full sets and dry runs are scanned first (nothing stored); what the scan found is the preview.
    """

    class State(models.TextChoices):
        """What the CPO sees; `receiving` is not shown to anybody."""

        RECEIVING = "receiving", "Receiving"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        HELD = "held", "Held"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        DISCARDED = "discarded", "Discarded"

    class Phase(models.TextChoices):
        """What is done with the lines now."""

        SCAN = "scan", "Scanning"
        APPLY = "apply", "Storing"
        REMOVE = "remove", "Removing"

    class Mode(models.TextChoices):
        """What a set says about objects it lacks."""

        UPSERT = "upsert", "Add and change"
        FULL = "full", "Everything there is"

    class Kind(models.TextChoices):
        """What the lines are."""

        LOCATION = "location", "Locations"
        TARIFF = "tariff", "Tariffs"

    ENDED = (State.DONE, State.FAILED, State.DISCARDED)
    OPEN = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="imports", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    mode = models.CharField(max_length=6, choices=Mode, default=Mode.UPSERT)
    is_dry_run = models.BooleanField("dry run", default=False)
    is_sheet = models.BooleanField("spreadsheet", default=False, help_text="Made of a CSV or XLSX file of connectors.")
    origin = models.CharField(max_length=200, help_text="Who sent it, or the name of the file.")
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
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="import_once_per_key")]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="import_of_tenant"),
            models.Index("created_at", condition=Q(state__in=["queued", "running"]), name="import_open"),
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

        BASE64 = "base64", "Base64 (OCPI 2.2.1)"
        RAW = "raw", "As it is"

    SHORTEST_S, LONGEST_S = 30, 86_400

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="sources", db_index=False)
    url = models.URLField(
        "URL",
        max_length=500,
        help_text="Of the versions (…/versions), of the version details (…/2.2.1), or what stands before /versions. https and "
        "port 443, unless SOURCE_ALLOWED_HOSTS lists the host.",
    )
    token_sealed = models.TextField(editable=False, default="")
    token_form = models.CharField(
        max_length=6,
        choices=TokenForm,
        default=TokenForm.BASE64,
        help_text="How the Sender wants it behind “Authorization: Token”. A 401 in spite of a good token: try the other.",
    )
    is_active = models.BooleanField("active", default=True, help_text="Fetch on a schedule.")
    has_locations = models.BooleanField("locations", default=True, help_text="Fetch Locations.")
    has_tariffs = models.BooleanField("tariffs", default=True, help_text="Fetch Tariffs; they go before the Locations.")
    every_s = models.PositiveIntegerField(
        "changes every",
        default=60,
        help_text="Seconds between two looks for what changed (date_from), at least 30. 0: only everything, once a night.",
    )
    full_at = models.TimeField(
        "everything at",
        default=dt.time(2, 30),
        help_text="When everything is fetched (Europe/Amsterdam, within ten minutes). What the Sender then lacks is set "
        "REMOVED, if the tenant's brake allows; what is stored already is not written again.",
    )

    next_due_at = models.DateTimeField("next look for changes", null=True, editable=False)
    next_full_at = models.DateTimeField("next fetch of everything", default=timezone.now, editable=False)
    locations_from = models.DateTimeField(
        null=True, editable=False, help_text="When the last good fetch of Locations began, by the slower clock."
    )
    tariffs_from = models.DateTimeField(null=True, editable=False)
    endpoints = models.JSONField(
        default=dict, editable=False, help_text="Where the lists are, as the version details said last."
    )
    last_started_at = models.DateTimeField("last fetch", null=True, editable=False)
    last_finished_at = models.DateTimeField(null=True, editable=False)
    last_result = models.CharField(max_length=500, editable=False, default="", help_text="Of the last that succeeded.")
    last_error = models.CharField(
        max_length=1000, editable=False, default="", help_text="Empty: the last fetch succeeded."
    )
    counts = models.JSONField(
        default=dict, editable=False, help_text='Of the last fetch: {"tariffs", "locations", "foreign", "pages"}.'
    )
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="Fetches in a row that failed.")
    lease_until = models.DateTimeField(null=True, editable=False)
    lease_token = models.UUIDField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["tenant"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"],
                name="source_one_per_tenant",
                violation_error_message="This tenant has a source; change that one.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.tenant} from {urlsplit(self.url).netloc}"

    def clean(self) -> None:
        """Refuse a pace that no Sender should bear, and a source of nothing."""
        if self.every_s and not self.SHORTEST_S <= self.every_s <= self.LONGEST_S:
            raise ValidationError({"every_s": f"0, or {self.SHORTEST_S} to {self.LONGEST_S} seconds."})
        if not self.modules:
            raise ValidationError("Choose Locations, Tariffs or both.")

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
