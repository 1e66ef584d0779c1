"""The clock: an index over accepted attempts, the figures of finished days, and who has been warned."""

import django.db.models.deletion
from django.db import migrations, models

# Only inserted into: without this, a month may pass before the index alone can answer (visibility map).
VACUUM = "ALTER TABLE ocpi_pushattempt SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000)"
VACUUM_BACK = (
    "ALTER TABLE ocpi_pushattempt RESET (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold)"
)


class Migration(migrations.Migration):
    dependencies = [
        ("ocpi", "0004_push_crashes"),
        ("tenants", "0003_connection_spread_for"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="pushattempt",
            index=models.Index(
                condition=models.Q(("changed_at__isnull", False), ("outcome", "delivered")),
                fields=["tenant", "changed_at"],
                include=("push", "started_at", "took_ms", "changes"),
                name="pushattempt_clock",
            ),
        ),
        migrations.RunSQL(VACUUM, VACUUM_BACK),
        migrations.CreateModel(
            name="DeliveryDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(db_index=True)),
                (
                    "changes",
                    models.PositiveIntegerField(
                        help_text="With a clock: accepted, rejected, or waiting for over a minute."
                    ),
                ),
                ("accepted", models.PositiveIntegerField()),
                ("within_60s", models.PositiveIntegerField()),
                ("requests", models.PositiveIntegerField(help_text="In which they were accepted.")),
                ("p50_ms", models.PositiveBigIntegerField(null=True)),
                ("p95_ms", models.PositiveBigIntegerField(null=True)),
                ("p99_ms", models.PositiveBigIntegerField(null=True)),
                ("max_ms", models.PositiveBigIntegerField(null=True)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="delivery_days",
                        to="tenants.connection",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="delivery_days",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-day", "connection"],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "connection", "day"), name="delivery_day_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Alarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("opened_at", models.DateTimeField(help_text="Empty: all is well.", null=True)),
                ("logged_at", models.DateTimeField(null=True)),
                ("mailed_at", models.DateTimeField(null=True)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="alarms", to="tenants.connection"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alarms",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "connection"), name="alarm_one_per_connection")
                ],
            },
        ),
    ]
