"""What CPOs uploaded, as it is served: Location, Tariff, and how many of them NDW sees."""

import orjson
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant


class OcpiObject(models.Model):
    """What Location and Tariff share. Only `ocpi.store` writes them."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="%(class)ss", db_index=False)
    ocpi_id = models.CharField(_("id"), max_length=36)
    # Found by this and not by an expression: under row-level security no index serves one.
    ocpi_key = models.GeneratedField(expression=Lower("ocpi_id"), output_field=models.TextField(), db_persist=True)
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
            SELECT id FROM ocpi_{kind} WHERE tenant_id = %(tenant)s AND ocpi_key = wanted OFFSET 0) one
    """


class Location(OcpiObject):
    """A place with EVSEs and their connectors, all in one body.

    No index holds `last_updated`: it changes with every status, and without it such an update stays on its page (HOT).
    Source: OCPI 2.2.1 mod_locations, "Location Object".
    """

    is_shown = models.BooleanField(_("shown"), help_text="Compliant and published: NDW sees it.")
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
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        constraints = [models.UniqueConstraint(fields=["tenant", "ocpi_key"], name="location_key_per_tenant")]
        indexes = [
            models.Index("tenant", "id", condition=Q(is_shown=True), name="location_shown"),
            models.Index("tenant", "id", name="location_order"),
            # What the first page counts, without a look at the rows: few are hidden.
            models.Index(
                fields=["tenant", "publish"],
                include=["gaps", "evse_count"],
                condition=Q(is_shown=False),
                name="location_hidden",
            ),
            GinIndex("tariff_ids", name="location_tariff_ids"),
            GinIndex("evse_keys", name="location_evse_keys", fastupdate=False),  # looked up by each upload
            models.Index("edition", name="location_edition"),
            # The map of the country, without a look at the rows; no status changes any of it.
            models.Index(
                fields=["latitude", "longitude"], include=["tenant", "id", "is_shown", "publish"], name="location_map"
            ),
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
        verbose_name = _("tariff")
        verbose_name_plural = _("tariffs")
        constraints = [models.UniqueConstraint(fields=["tenant", "ocpi_key"], name="tariff_key_per_tenant")]
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
