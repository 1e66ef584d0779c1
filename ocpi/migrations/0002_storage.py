"""Keep documents uncompressed and beside their keys, and the hot Push rows roomy.

A page of documents is read much faster inline than out of the TOAST table; a Push row is updated at every claim and
completion, and with free room on its page that stays a cheap (HOT) update.
"""

from django.db import migrations

DOCUMENTS = """
ALTER TABLE ocpi_{0} ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE ocpi_{0} SET (toast_tuple_target = 8160, fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
"""
DOCUMENTS_BACK = """
ALTER TABLE ocpi_{0} ALTER COLUMN body SET STORAGE EXTENDED;
ALTER TABLE ocpi_{0} RESET (toast_tuple_target, fillfactor, autovacuum_vacuum_scale_factor);
"""
PUSHES = """
ALTER TABLE ocpi_push
    SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
"""
PUSHES_BACK = "ALTER TABLE ocpi_push RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);"


class Migration(migrations.Migration):
    """Storage parameters only."""

    dependencies = [("ocpi", "0001_initial")]

    operations = [
        migrations.RunSQL(DOCUMENTS.format("location"), DOCUMENTS_BACK.format("location")),
        migrations.RunSQL(DOCUMENTS.format("tariff"), DOCUMENTS_BACK.format("tariff")),
        migrations.RunSQL(PUSHES, PUSHES_BACK),
    ]
