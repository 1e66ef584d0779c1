"""Count the leases in a row that ran out unanswered: an object that ends its worker rests in between."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ocpi", "0003_findings"),
    ]

    operations = [
        migrations.AddField(
            model_name="push",
            name="crashes",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="Leases in a row that ran out unanswered."
            ),
        ),
    ]
