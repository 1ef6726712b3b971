/* server.c - what the server must be set to, with the remedy for each. */
#include "migrations/deploy/run.h"

typedef struct server_facts {
    const char *wal_level, *encoding, *database, *role; /* these two quoted */
    int64_t slots_max, slots_used, senders_max;
    bool slot_there, replication, create, recovery;
} server_facts;

static const char facts_sql[] =
    "SELECT current_setting('wal_level'), current_setting('server_encoding'), "
    "quote_ident(current_database()),"
    " current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),"
    " current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_replication_slots WHERE "
    "slot_name = $1),"
    " (SELECT (rolreplication OR rolsuper OR EXISTS (SELECT FROM pg_roles m WHERE m.rolname = "
    "'rds_replication'"
    "   AND pg_has_role(current_user, m.oid, 'member')))::int FROM pg_roles WHERE rolname = "
    "current_user),"
    " has_database_privilege(current_database(), 'CREATE')::int, pg_is_in_recovery()::int, "
    "quote_ident(current_user)";

static void check_replication(dep_run *d, const server_facts *f)
{
    if (strcmp(f->wal_level, "logical") != 0) {
        dep_add(d->r, DEP_PROBLEM, "wal_level",
                "ALTER SYSTEM SET wal_level = logical; then restart PostgreSQL.",
                "is \"%s\"; the change stream needs \"logical\"", f->wal_level);
    }
    if (f->senders_max < 1) {
        dep_add(d->r, DEP_PROBLEM, "max_wal_senders",
                "ALTER SYSTEM SET max_wal_senders = 10; then restart PostgreSQL.",
                "is 0; the change stream needs one");
    }
    if (!f->slot_there && f->slots_used >= f->slots_max) {
        dep_add(d->r, DEP_PROBLEM, "max_replication_slots",
                "ALTER SYSTEM SET max_replication_slots to more and restart, or drop a slot nobody "
                "uses (pg_replication_slots).",
                "all %lld are in use; the slot %s needs one", (long long)f->slots_max,
                d->s->bridge_slot);
    }
    if (!f->replication) {
        dep_add(d->r, DEP_PROBLEM, "role",
                weir_arena_printf(
                    d->a, "ALTER ROLE %s REPLICATION; (on RDS: GRANT rds_replication TO %s;)",
                    f->role, f->role),
                "%s, of postgres.uri, may not replicate", f->role);
    }
}

static void check_database(dep_run *d, const server_facts *f)
{
    int version = weir_pg_server_version(d->pg);
    if (version < WEIR_PG_OLDEST_VERSION) {
        dep_add(
            d->r, DEP_PROBLEM, "server version",
            weir_arena_printf(d->a, "Use PostgreSQL %d or newer.", WEIR_PG_OLDEST_VERSION / 10000),
            "is %d", version / 10000);
    }
    if (strcmp(f->encoding, "UTF8") != 0) {
        dep_add(d->r, DEP_PROBLEM, "encoding",
                "Create the database with ENCODING 'UTF8' TEMPLATE template0.",
                "of database %s is %s; only UTF8 is supported", f->database, f->encoding);
    }
    if (!f->create) {
        dep_add(d->r, DEP_PROBLEM, "privilege",
                weir_arena_printf(d->a, "GRANT CREATE ON DATABASE %s TO %s;", f->database, f->role),
                "%s, of postgres.uri, may not create schemas in %s", f->role, f->database);
    }
    if (f->recovery) {
        dep_add(d->r, DEP_PROBLEM, "server", "Point postgres.uri at the primary.",
                "is a standby, and cannot be written to");
    }
}

weir_rc dep_server_check(dep_run *d, weir_error *err)
{
    const char *slot = d->s->bridge_slot;
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(d->pg, facts_sql, 1, &slot, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    server_facts f = {
        .wal_level = weir_pg_valuez(r, 0, 0),
        .encoding = weir_pg_valuez(r, 0, 1),
        .database = weir_pg_valuez(r, 0, 2),
        .slots_max = weir_pg_i64(r, 0, 3),
        .slots_used = weir_pg_i64(r, 0, 4),
        .senders_max = weir_pg_i64(r, 0, 5),
        .slot_there = weir_pg_i64(r, 0, 6) != 0,
        .replication = weir_pg_i64(r, 0, 7) != 0,
        .create = weir_pg_i64(r, 0, 8) != 0,
        .recovery = weir_pg_i64(r, 0, 9) != 0,
        .role = weir_pg_valuez(r, 0, 10),
    };
    int before = d->r->count[DEP_PROBLEM];
    check_replication(d, &f);
    check_database(d, &f);
    weir_pg_rows_free(r);
    int n = d->r->count[DEP_PROBLEM] - before;
    if (n == 0) {
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_STATE, 0,
                     "PostgreSQL is not set up for Weir: %d thing%s to change", n,
                     n == 1 ? "" : "s");
}
