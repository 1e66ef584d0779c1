"""How much a full set may remove before an operator is asked."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """One column."""

    dependencies = [
        ("tenants", "0003_connection_spread_for"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="brake_percent",
            field=models.PositiveSmallIntegerField(
                db_default=10,
                default=10,
                help_text="A full set that would remove more than so many per cent of the EVSEs (or tariffs), and at least 5, is held until an operator accepts it.",
                validators=[django.core.validators.MaxValueValidator(100)],
                verbose_name="brake",
            ),
        ),
    ]
