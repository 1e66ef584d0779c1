"""Count what NDW sees of each tenant as it changes, in triggers: exact whoever writes, and no writer waits for another."""

import django.db.models.deletion
from django.db import migrations, models

# A statement adds one row for each tenant it touches. An update is looked at row by row, and only where it shows or hides.
_TRIGGERS = """
    CREATE FUNCTION ocpi_count_{kind}s() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO ocpi_showncount (tenant_id, kind, change)
            VALUES (NEW.tenant_id, '{kind}', CASE WHEN {new} THEN 1 ELSE -1 END);
        ELSE
            INSERT INTO ocpi_showncount (tenant_id, kind, change)
            SELECT tenant_id, '{kind}', CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END
            FROM touched WHERE {visible} GROUP BY tenant_id;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_shown_insert AFTER INSERT ON ocpi_{kind} REFERENCING NEW TABLE AS touched
        FOR EACH STATEMENT EXECUTE FUNCTION ocpi_count_{kind}s();
    CREATE TRIGGER count_shown_delete AFTER DELETE ON ocpi_{kind} REFERENCING OLD TABLE AS touched
        FOR EACH STATEMENT EXECUTE FUNCTION ocpi_count_{kind}s();
    CREATE TRIGGER count_shown_update AFTER UPDATE ON ocpi_{kind} FOR EACH ROW WHEN (({old}) IS DISTINCT FROM ({new}))
        EXECUTE FUNCTION ocpi_count_{kind}s();
    INSERT INTO ocpi_showncount (tenant_id, kind, change)
        SELECT tenant_id, '{kind}', count(*) FROM ocpi_{kind} WHERE {visible} GROUP BY tenant_id;
"""
_BACK = """
    DROP TRIGGER count_shown_insert ON ocpi_{kind};
    DROP TRIGGER count_shown_delete ON ocpi_{kind};
    DROP TRIGGER count_shown_update ON ocpi_{kind};
    DROP FUNCTION ocpi_count_{kind}s();
"""
_KINDS = {
    "location": {"visible": "is_shown", "old": "OLD.is_shown", "new": "NEW.is_shown"},
    "tariff": {
        "visible": "deleted_at IS NULL",
        "old": "OLD.deleted_at IS NULL",
        "new": "NEW.deleted_at IS NULL",
    },
}


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0007_push_doubt"), ("tenants", "0003_connection_spread_for")]

    operations = [
        migrations.CreateModel(
            name="ShownCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=8)),
                ("change", models.IntegerField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shown_counts",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "kind"], include=["change"], name="shown_count")],
            },
        ),
        *(
            migrations.RunSQL(_TRIGGERS.format(kind=kind, **words), _BACK.format(kind=kind))
            for kind, words in _KINDS.items()
        ),
    ]
