"""CPOs' own OCPI Senders."""

import datetime

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Source."""

    dependencies = [
        ("ocpi", "0009_imports"),
        ("tenants", "0004_brake_percent"),
    ]

    operations = [
        migrations.CreateModel(
            name="Source",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "url",
                    models.URLField(
                        help_text="Of the versions (…/versions), of the version details (…/2.2.1), or what stands before /versions. https and port 443, unless SOURCE_ALLOWED_HOSTS lists the host.",
                        max_length=500,
                        verbose_name="URL",
                    ),
                ),
                ("token_sealed", models.TextField(default="", editable=False)),
                (
                    "token_form",
                    models.CharField(
                        choices=[("base64", "Base64 (OCPI 2.2.1)"), ("raw", "As it is")],
                        default="base64",
                        help_text="How the Sender wants it behind “Authorization: Token”. A 401 in spite of a good token: try the other.",
                        max_length=6,
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(default=True, help_text="Fetch on a schedule.", verbose_name="active"),
                ),
                (
                    "has_locations",
                    models.BooleanField(default=True, help_text="Fetch Locations.", verbose_name="locations"),
                ),
                (
                    "has_tariffs",
                    models.BooleanField(
                        default=True, help_text="Fetch Tariffs; they go before the Locations.", verbose_name="tariffs"
                    ),
                ),
                (
                    "every_s",
                    models.PositiveIntegerField(
                        default=60,
                        help_text="Seconds between two looks for what changed (date_from), at least 30. 0: only everything, once a night.",
                        verbose_name="changes every",
                    ),
                ),
                (
                    "full_at",
                    models.TimeField(
                        default=datetime.time(2, 30),
                        help_text="When everything is fetched (Europe/Amsterdam, within ten minutes). What the Sender then lacks is set REMOVED, if the tenant's brake allows; what is stored already is not written again.",
                        verbose_name="everything at",
                    ),
                ),
                ("next_due_at", models.DateTimeField(editable=False, null=True, verbose_name="next look for changes")),
                (
                    "next_full_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="next fetch of everything"
                    ),
                ),
                (
                    "locations_from",
                    models.DateTimeField(
                        editable=False,
                        help_text="When the last good fetch of Locations began, by the slower clock.",
                        null=True,
                    ),
                ),
                ("tariffs_from", models.DateTimeField(editable=False, null=True)),
                (
                    "endpoints",
                    models.JSONField(
                        default=dict, editable=False, help_text="Where the lists are, as the version details said last."
                    ),
                ),
                ("last_started_at", models.DateTimeField(editable=False, null=True, verbose_name="last fetch")),
                ("last_finished_at", models.DateTimeField(editable=False, null=True)),
                (
                    "last_result",
                    models.CharField(
                        default="", editable=False, help_text="Of the last that succeeded.", max_length=500
                    ),
                ),
                (
                    "last_error",
                    models.CharField(
                        default="", editable=False, help_text="Empty: the last fetch succeeded.", max_length=1000
                    ),
                ),
                (
                    "counts",
                    models.JSONField(
                        default=dict,
                        editable=False,
                        help_text='Of the last fetch: {"tariffs", "locations", "foreign", "pages"}.',
                    ),
                ),
                (
                    "failures",
                    models.PositiveIntegerField(default=0, editable=False, help_text="Fetches in a row that failed."),
                ),
                ("lease_until", models.DateTimeField(editable=False, null=True)),
                ("lease_token", models.UUIDField(editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sources",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["tenant"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant",),
                        name="source_one_per_tenant",
                        violation_error_message="This tenant has a source; change that one.",
                    )
                ],
            },
        ),
    ]
