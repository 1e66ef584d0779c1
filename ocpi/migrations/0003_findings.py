"""Findings are kept by rule name, with the rules among them; keys no two EVSEs may share; when a Tariff is valid."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ocpi", "0002_storage"),
        ("tenants", "0003_connection_spread_for"),
    ]

    operations = [
        migrations.AddField(
            model_name="location",
            name="edition",
            field=models.CharField(
                db_default="", default="", help_text="Of the rule book the verdict was made with.", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="location",
            name="evse_keys",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                db_default=[],
                default=list,
                help_text="Of the same EVSEs, what no other may have: <tenant>/<uid>, and the evse_id without separators.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="location",
            name="warnings",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                db_default=[],
                default=list,
                help_text="Rules of those that are no gaps.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="tariff",
            name="edition",
            field=models.CharField(
                db_default="", default="", help_text="Of the rule book the verdict was made with.", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="tariff",
            name="type",
            field=models.CharField(max_length=16, null=True),
        ),
        migrations.AddField(
            model_name="tariff",
            name="valid_from",
            field=models.DateTimeField(help_text="start_date_time in the body.", null=True),
        ),
        migrations.AddField(
            model_name="tariff",
            name="valid_until",
            field=models.DateTimeField(help_text="end_date_time in the body.", null=True),
        ),
        migrations.AddField(
            model_name="tariff",
            name="warnings",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                db_default=[],
                default=list,
                help_text="Rules of those that are no gaps.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="location",
            name="findings",
            field=models.JSONField(
                default=list, help_text="Gaps and warnings of the last verdict; repairs are not kept."
            ),
        ),
        migrations.AlterField(
            model_name="tariff",
            name="findings",
            field=models.JSONField(
                default=list, help_text="Gaps and warnings of the last verdict; repairs are not kept."
            ),
        ),
        migrations.AddIndex(
            model_name="location",
            index=django.contrib.postgres.indexes.GinIndex(
                models.F("evse_keys"), fastupdate=False, name="location_evse_keys"
            ),
        ),
        migrations.AddIndex(
            model_name="location",
            index=models.Index(models.F("edition"), name="location_edition"),
        ),
        migrations.AddIndex(
            model_name="tariff",
            index=models.Index(models.F("edition"), name="tariff_edition"),
        ),
    ]
