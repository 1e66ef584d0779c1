"""Let a role of its own see the rows of one tenant only, and find objects by a column that its indexes serve.

Under row-level security PostgreSQL uses no index for a condition with a function it does not trust, which lower() is: hence
`ocpi_key`. The functions at the end look past the lock on purpose, and give away no more than their callers may know.
Source: reliability C24.
"""

from django.db import migrations, models
from django.db.models.functions import Lower

ROLE = "gateway_tenant"

_ROLE = f"""
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN  -- who may not make it is given it
            CREATE ROLE {ROLE} NOLOGIN NOBYPASSRLS;
        END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another gateway in this cluster made it
    END $$;
    DO $$ BEGIN
        EXECUTE format('GRANT {ROLE} TO %I', current_user);
    EXCEPTION WHEN OTHERS THEN
        IF NOT pg_has_role(current_user, '{ROLE}', 'MEMBER') THEN RAISE; END IF;
    END $$;
    GRANT USAGE ON SCHEMA public TO {ROLE};
    CREATE FUNCTION ocpi_own_tenant() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT nullif(current_setting('gateway.tenant', true), '')::bigint $$;
"""
# For every table that belongs to a tenant; run again by later migrations that add one.
LOCK = f"""
    DO $$ DECLARE one record; BEGIN
        FOR one IN SELECT c.oid::regclass AS name, a.attname AS key FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND (a.attname = 'tenant_id' OR c.relname = 'tenants_tenant' AND a.attname = 'id')
            WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity
        LOOP
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one.name);
            EXECUTE format('CREATE POLICY own_tenant ON %s USING (%I = (SELECT ocpi_own_tenant()))', one.name, one.key);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO {ROLE}', one.name);
        END LOOP;
    END $$;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLE};
"""
_UNLOCK = """
    DO $$ DECLARE one record; BEGIN
        FOR one IN SELECT polrelid::regclass AS name FROM pg_policy WHERE polname = 'own_tenant' LOOP
            EXECUTE format('DROP POLICY own_tenant ON %s', one.name);
            EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', one.name);
        END LOOP;
    END $$;
    DROP FUNCTION ocpi_own_tenant();
"""
# Of other tenants' Locations the caller (ocpi.problems) uses only that there is one that is shown.
_PAST_THE_LOCK = """
    CREATE FUNCTION ocpi_with_evse_key(wanted text) RETURNS TABLE (id bigint, tenant_id bigint, ocpi_id varchar, is_shown boolean)
        LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS $$ BEGIN
            RETURN QUERY SELECT l.id, l.tenant_id, l.ocpi_id, l.is_shown FROM ocpi_location l
                WHERE l.evse_keys @> ARRAY[wanted] LIMIT 50;
        END $$;
    CREATE FUNCTION ocpi_shared_evse_keys() RETURNS SETOF text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
            SELECT key FROM ocpi_location, unnest(evse_keys) key GROUP BY key HAVING count(*) > 1
        $$;
    CREATE FUNCTION ocpi_naming_tariff(asking bigint, wanted text) RETURNS SETOF varchar
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$ BEGIN
            RETURN QUERY SELECT l.ocpi_id FROM ocpi_location l WHERE l.tariff_ids @> ARRAY[wanted] AND l.tenant_id = asking
                AND asking = coalesce(ocpi_own_tenant(), asking) ORDER BY l.id LIMIT 6;
        END $$;
"""
_GONE = """
    DROP FUNCTION ocpi_with_evse_key(text);
    DROP FUNCTION ocpi_shared_evse_keys();
    DROP FUNCTION ocpi_naming_tariff(bigint, text);
"""


def _key(model: str) -> list:
    key = models.GeneratedField(expression=Lower("ocpi_id"), output_field=models.TextField(), db_persist=True)
    unique = models.UniqueConstraint(fields=["tenant", "ocpi_key"], name=f"{model}_key_per_tenant")
    return [
        migrations.AddField(model, "ocpi_key", key),
        migrations.AddConstraint(model, unique),
        migrations.RemoveConstraint(model, f"{model}_id_per_tenant"),
    ]


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0017_offboarding"), ("tenants", "0006_names_for_people")]

    operations = [
        *_key("location"),
        *_key("tariff"),
        migrations.RunSQL(_ROLE + LOCK, _UNLOCK),
        migrations.RunSQL(_PAST_THE_LOCK, _GONE),
    ]
