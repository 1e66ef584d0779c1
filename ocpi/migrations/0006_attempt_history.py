"""The last requests of one Push by an index, however many it has had."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ocpi", "0005_clock"),
        ("tenants", "0003_connection_spread_for"),
    ]

    operations = [
        migrations.AlterField(
            model_name="pushattempt",
            name="push",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="push_attempts",
                to="ocpi.push",
            ),
        ),
        migrations.AddIndex(
            model_name="pushattempt",
            index=models.Index(fields=["push", "-started_at"], name="pushattempt_history"),
        ),
    ]
