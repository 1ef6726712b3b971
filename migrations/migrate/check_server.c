/* check_server.c - what both servers must allow before a table is looked at. */
#include <stdlib.h>

#include "migrations/migrate/plan.h"

static const mig_place WHOLE = {0, 0, 0};

typedef struct ask {
    const char *sql;
    const char *expect; /* what the answer must be */
    const char *text, *hint;
} ask;

static const ask SOURCE[] = {
    {"SELECT current_setting('server_version_num')::int >= 150000", "t",
     "the source is older than PostgreSQL 15", NULL},
    {"SELECT current_setting('wal_level')", "logical",
     "the source does not write its changes in a form that can be followed",
     "ALTER SYSTEM SET wal_level = 'logical', then restart it"},
    {"SELECT current_setting('server_encoding')", "UTF8", "the source's database is not in UTF8",
     NULL},
    {"SELECT NOT pg_is_in_recovery()", "t", "the source is a standby", "name its primary"},
    {"SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user", "t",
     "the source's user may not read the change stream", "ALTER ROLE … REPLICATION"},
};

/* Only for a migration that has not begun: afterwards they are taken by itself. */
static const ask SOURCE_FIRST[] = {
    {"SELECT current_setting('max_replication_slots')::int > (SELECT count(*) FROM "
     "pg_replication_slots)",
     "t", "the source has no replication slot left",
     "raise max_replication_slots, or drop a slot nobody uses"},
    {"SELECT current_setting('max_wal_senders')::int > (SELECT count(*) FROM pg_stat_replication)",
     "t", "the source has no walsender left", "raise max_wal_senders"},
    {"SELECT has_database_privilege(current_database(), 'CREATE')", "t",
     "the source's user may not create a publication", "GRANT CREATE ON DATABASE … TO …"},
};

static const ask TARGET[] = {
    {"SELECT current_setting('server_version_num')::int >= 150000", "t",
     "the target is older than PostgreSQL 15", NULL},
    {"SELECT current_setting('server_encoding')", "UTF8", "the target's database is not in UTF8",
     NULL},
    {"SELECT NOT pg_is_in_recovery()", "t", "the target is a standby", "name its primary"},
    {"SELECT has_database_privilege(current_database(), 'CREATE') OR "
     "coalesce(has_schema_privilege(to_regnamespace('weir_sync'), 'CREATE'), false)",
     "t", "the target's user may not create the schema weir_sync, which holds the progress",
     "GRANT CREATE ON DATABASE … TO …"},
    {"SELECT has_database_privilege(current_database(), 'TEMPORARY')", "t",
     "the target's user may not create temporary tables", "GRANT TEMPORARY ON DATABASE … TO …"},
};

static weir_rc ask_all(mig_checker *c, weir_pg *pg, mig_place at, const ask *asks, size_t n,
                       weir_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = "";
        weir_rc rc = mig_value(pg, c->a, asks[i].sql, NULL, &got, err);
        if (rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT) {
            return rc;
        }
        if (rc == WEIR_OK && strcmp(got, asks[i].expect) != 0) {
            mig_problem_add(c->m, at, false, asks[i].hint, "%s", asks[i].text);
        }
    }
    return WEIR_OK;
}

/* The same database on both sides: a table would feed itself. */
static weir_rc check_apart(mig_checker *c, weir_error *err)
{
    static const char sql[] =
        "SELECT system_identifier::text || ' ' || (SELECT oid FROM pg_database "
        "WHERE datname = current_database()) FROM pg_control_system()";
    const char *s = "", *t = "";
    weir_rc rc = mig_value(c->source, c->a, sql, NULL, &s, err);
    rc = rc == WEIR_OK ? mig_value(c->target, c->a, sql, NULL, &t, err) : rc;
    if (rc == WEIR_OK && s[0] && strcmp(s, t) == 0) {
        mig_problem_add(c->m, c->m->target_uri.at, false, NULL,
                        "source and target are the same database");
    }
    return rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT ? rc : WEIR_OK; /* not every role may ask */
}

static weir_rc check_replica_role(mig_checker *c, weir_error *err)
{
    const char *may = "";
    weir_rc rc = mig_value(
        c->target, c->a,
        "SELECT rolsuper OR has_parameter_privilege('session_replication_role', 'SET') FROM "
        "pg_roles WHERE rolname = current_user",
        NULL, &may, err);
    c->plan->replica_role = may[0] == 't';
    return rc;
}

#define COUNT(x) (sizeof(x) / sizeof *(x))

weir_rc mig_check_servers(mig_checker *c, weir_error *err)
{
    mig_place src = c->m->source_uri.at, dst = c->m->target_uri.at;
    bool first = !c->opts->running && !c->m->source_feed.z;
    weir_rc rc = ask_all(c, c->source, src.line ? src : WHOLE, SOURCE, COUNT(SOURCE), err);
    if (rc == WEIR_OK && first) {
        rc = ask_all(c, c->source, src, SOURCE_FIRST, COUNT(SOURCE_FIRST), err);
    }
    rc = rc == WEIR_OK ? ask_all(c, c->target, dst, TARGET, COUNT(TARGET), err) : rc;
    rc = rc == WEIR_OK ? check_apart(c, err) : rc;
    return rc == WEIR_OK ? check_replica_role(c, err) : rc;
}
