"""Bulk uploads."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

# What is compressed already need not be tried again.
EXTERNAL = "ALTER TABLE ocpi_import{0} ALTER COLUMN data SET STORAGE EXTERNAL"


class Migration(migrations.Migration):
    """Import, ImportPart, ImportReport."""

    dependencies = [
        ("ocpi", "0008_shown_count"),
        ("tenants", "0004_brake_percent"),
    ]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("kind", models.CharField(choices=[("location", "Locations"), ("tariff", "Tariffs")], max_length=8)),
                (
                    "mode",
                    models.CharField(
                        choices=[("upsert", "Add and change"), ("full", "Everything there is")],
                        default="upsert",
                        max_length=6,
                    ),
                ),
                ("is_dry_run", models.BooleanField(default=False, verbose_name="dry run")),
                (
                    "is_sheet",
                    models.BooleanField(
                        default=False, help_text="Made of a CSV or XLSX file of connectors.", verbose_name="spreadsheet"
                    ),
                ),
                ("origin", models.CharField(help_text="Who sent it, or the name of the file.", max_length=200)),
                ("key", models.CharField(help_text="Idempotency-Key.", max_length=255, null=True)),
                ("digest", models.BinaryField(help_text="Of the lines: the same key means the same body.", null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("receiving", "Receiving"),
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("held", "Held"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("discarded", "Discarded"),
                        ],
                        default="receiving",
                        max_length=9,
                    ),
                ),
                (
                    "phase",
                    models.CharField(
                        choices=[("scan", "Scanning"), ("apply", "Storing"), ("remove", "Removing")], max_length=6
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("started_at", models.DateTimeField(help_text="Of the present phase.", null=True)),
                (
                    "worked_at",
                    models.DateTimeField(help_text="Of the last chunk; imports take turns.", null=True),
                ),
                ("finished_at", models.DateTimeField(null=True)),
                ("size", models.BigIntegerField(default=0, help_text="Bytes of all lines.")),
                ("offset", models.BigIntegerField(default=0, help_text="Bytes worked through in this phase.")),
                ("line", models.PositiveIntegerField(default=0, help_text="Lines worked through in this phase.")),
                (
                    "removed_pk",
                    models.BigIntegerField(default=0, help_text="As far as what is missing has been removed."),
                ),
                ("counts", models.JSONField(default=dict)),
                ("preview", models.JSONField(help_text="What the scan of a full set came to.", null=True)),
                (
                    "rules",
                    models.JSONField(
                        default=dict, help_text='Findings by rule: {rule: {"count", "severity", "sample"}}.'
                    ),
                ),
                (
                    "is_incomplete",
                    models.BooleanField(
                        default=False, help_text="A line has no id that can be read: nothing is removed."
                    ),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True, help_text="Why it is held, has failed, or was discarded.", max_length=500
                    ),
                ),
                ("decided_by", models.CharField(blank=True, help_text="Who accepted or discarded it.", max_length=150)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="imports",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="ImportPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                (
                    "part_of",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parts",
                        to="ocpi.import",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ImportReport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "phase",
                    models.CharField(
                        choices=[("scan", "Scanning"), ("apply", "Storing"), ("remove", "Removing")], max_length=6
                    ),
                ),
                ("first_line", models.PositiveIntegerField()),
                ("data", models.BinaryField(help_text="Compressed JSON lines: [line, id, outcome, findings].")),
                (
                    "ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), default=list, help_text="Of a full set: lower case.", size=None
                    ),
                ),
                (
                    "report_of",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="reports",
                        to="ocpi.import",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="import",
            index=models.Index(fields=["tenant", "-created_at"], name="import_of_tenant"),
        ),
        migrations.AddIndex(
            model_name="import",
            index=models.Index(
                models.F("created_at"), condition=models.Q(("state__in", ["queued", "running"])), name="import_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="import",
            constraint=models.UniqueConstraint(fields=("tenant", "key"), name="import_once_per_key"),
        ),
        migrations.AddIndex(
            model_name="importpart",
            index=models.Index(fields=["part_of", "number"], name="import_part_order"),
        ),
        migrations.AddConstraint(
            model_name="importpart",
            constraint=models.UniqueConstraint(fields=("tenant", "part_of", "number"), name="import_part_once"),
        ),
        migrations.AddIndex(
            model_name="importreport",
            index=models.Index(fields=["report_of", "phase", "id"], name="import_report_order"),
        ),
        migrations.AddField(
            model_name="location",
            name="digest",
            field=models.BinaryField(
                help_text="Of the import line that made it what it is; None after any other upload.", null=True
            ),
        ),
        migrations.AddField(
            model_name="tariff",
            name="digest",
            field=models.BinaryField(
                help_text="Of the import line that made it what it is; None after any other upload.", null=True
            ),
        ),
        migrations.RunSQL(EXTERNAL.format("part"), migrations.RunSQL.noop),
        migrations.RunSQL(EXTERNAL.format("report"), migrations.RunSQL.noop),
    ]
