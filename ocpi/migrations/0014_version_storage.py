"""Write earlier versions at no cost for others: no lock on the tenant's row, no compressing of what is compressed."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

STORAGE = """
ALTER TABLE ocpi_version ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE ocpi_version SET (autovacuum_vacuum_scale_factor = 0.02);
"""
STORAGE_BACK = """
ALTER TABLE ocpi_version ALTER COLUMN body SET STORAGE EXTENDED;
ALTER TABLE ocpi_version RESET (autovacuum_vacuum_scale_factor);
"""


def _unchecked(to: str, on_delete: Any, related_name: str, **more: Any) -> models.ForeignKey:
    return models.ForeignKey(
        to, on_delete=on_delete, related_name=related_name, db_index=False, db_constraint=False, **more
    )


_CASCADE, _PROTECT = django.db.models.deletion.CASCADE, django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    """Foreign keys that are not checked; storage parameters."""

    dependencies = [("ocpi", "0013_lookout"), ("tenants", "0005_console")]

    operations = [
        migrations.AlterField("version", "location", _unchecked("ocpi.location", _CASCADE, "versions", null=True)),
        migrations.AlterField("version", "tariff", _unchecked("ocpi.tariff", _CASCADE, "versions", null=True)),
        migrations.AlterField("version", "tenant", _unchecked("tenants.tenant", _PROTECT, "+")),
        migrations.RunSQL(STORAGE, STORAGE_BACK),
    ]
