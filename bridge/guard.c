/* guard.c - the slot guardian. */
#include "bridge/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"

static void refuse(brg_decision *out, brg_state state, const char *text)
{
    out->verdict = BRG_GO_NOT;
    out->state = state;
    (void)snprintf(out->text, sizeof out->text, "%s", text);
}

/* No slot of ours is expected yet. */
static void decide_first(const brg_meta *meta, const brg_slot_facts *slot, const char *slot_name,
                         brg_decision *out)
{
    out->verdict = BRG_GO_COPY;
    if (!slot->exists) {
        return;
    }
    if (strcmp(meta->state, "copying") == 0 && strcmp(meta->slot, slot_name) == 0) {
        out->drop_slot = true; /* ours, from a first copy that did not end; its snapshot is gone */
        return;
    }
    char text[400];
    (void)snprintf(text, sizeof text,
                   "slot %s exists, but the log is empty: what was before its position would be "
                   "missing. If no other bridge "
                   "uses it: SELECT pg_drop_replication_slot('%s')",
                   slot_name, slot_name);
    refuse(out, BRG_GAP, text);
}

static void decide_identity(const brg_meta *meta, const weir_pgrepl_system *sys, brg_decision *out)
{
    char text[400];
    if (strcmp(meta->system_id, sys->system_id) != 0) {
        (void)snprintf(
            text, sizeof text,
            "this is another database cluster (system id %s, the log is of %s); " BRG_REMEDY,
            sys->system_id, meta->system_id);
        refuse(out, BRG_GAP, text);
    } else if (meta->timeline != sys->timeline) {
        (void)snprintf(text, sizeof text,
                       "the server is on timeline %" PRId64 ", the log is of timeline %" PRId64
                       ": after a failover the log may hold transactions that do not exist any "
                       "more; " BRG_REMEDY,
                       sys->timeline, meta->timeline);
        refuse(out, BRG_GAP, text);
    } else if (meta->end.lsn > sys->flush_lsn) {
        char a[WEIR_LSN_TEXT_MAX];
        char b[WEIR_LSN_TEXT_MAX];
        (void)snprintf(text, sizeof text,
                       "the log is ahead of the server (%s, server %s): the server was set back to "
                       "an older state; " BRG_REMEDY,
                       weir_lsn_print(meta->end.lsn, a), weir_lsn_print(sys->flush_lsn, b));
        refuse(out, BRG_GAP, text);
    }
}

static void decide_slot(const brg_meta *meta, const brg_slot_facts *slot, const char *slot_name,
                        brg_decision *out)
{
    char text[400];
    if (!slot->exists) {
        (void)snprintf(text, sizeof text, "slot %s is gone; " BRG_REMEDY, slot_name);
        refuse(out, BRG_LOST, text);
    } else if (slot->lost) {
        (void)snprintf(text, sizeof text,
                       "slot %s was invalidated (its WAL was removed, see "
                       "max_slot_wal_keep_size); " BRG_REMEDY,
                       slot_name);
        refuse(out, BRG_LOST, text);
    } else if (!slot->ours_plugin) {
        (void)snprintf(text, sizeof text,
                       "slot %s is not a pgoutput slot of this database; set another bridge.slot",
                       slot_name);
        refuse(out, BRG_GAP, text);
    } else if (slot->confirmed > meta->end.lsn) {
        char a[WEIR_LSN_TEXT_MAX];
        char b[WEIR_LSN_TEXT_MAX];
        (void)snprintf(text, sizeof text,
                       "slot %s was confirmed up to %s, the log ends at %s: changes between are "
                       "missing; " BRG_REMEDY,
                       slot_name, weir_lsn_print(slot->confirmed, a),
                       weir_lsn_print(meta->end.lsn, b));
        refuse(out, BRG_GAP, text);
    }
}

void brg_guard_decide(const brg_meta *meta, const weir_pgrepl_system *sys,
                      const brg_slot_facts *slot, const char *slot_name, const char *own_name,
                      brg_decision *out)
{
    memset(out, 0, sizeof *out);
    out->verdict = BRG_GO_STREAM;
    if (strcmp(meta->state, "streaming") != 0) {
        decide_first(meta, slot, slot_name, out);
    } else if (strcmp(meta->slot, slot_name) != 0) {
        refuse(out, BRG_GAP,
               "the log was filled from another slot; set bridge.slot back, or give this bridge a "
               "new data_dir");
    } else {
        decide_identity(meta, sys, out);
        if (out->verdict == BRG_GO_STREAM) {
            decide_slot(meta, slot, slot_name, out);
        }
    }
    if (out->verdict == BRG_GO_NOT || !slot->active) {
        return;
    }
    /* The name carries the data folder's own id, and the folder is locked: only a stale session can
     * have it. */
    if (strcmp(slot->holder, own_name) == 0) {
        out->terminate = true;
        return;
    }
    char text[400];
    (void)snprintf(text, sizeof text,
                   "slot %s is in use by process %" PRId64 " (%s); only one bridge can read a slot",
                   slot_name, slot->active_pid, slot->holder);
    refuse(out, BRG_WAITING, text);
}

/* One row, one column of text. */
static weir_rc one_text(weir_pg *pg, const char *sql, const char *param, char *out, size_t size,
                        weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {param};
    weir_rc rc = weir_pg_query(pg, sql, param ? 1 : 0, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)snprintf(out, size, "%s", weir_pg_nrows(rows) ? weir_pg_valuez(rows, 0, 0) : "");
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

/* Server settings and the publication. *ok false: the state is set. */
static weir_rc check_server(brg_shared *s, weir_pg *pg, bool *ok, weir_error *err)
{
    *ok = false;
    char text[128];
    if (weir_pg_server_version(pg) < WEIR_PG_OLDEST_VERSION) {
        brg_set_state(s, BRG_WAITING, "PostgreSQL %d or newer is needed",
                      WEIR_PG_OLDEST_VERSION / 10000);
        return WEIR_OK;
    }
    weir_rc rc = one_text(pg, "SELECT current_setting('wal_level')", NULL, text, sizeof text, err);
    if (rc == WEIR_OK && strcmp(text, "logical") != 0) {
        brg_set_state(s, BRG_WAITING,
                      "wal_level is %s: set wal_level = logical and restart PostgreSQL", text);
        return WEIR_OK;
    }
    if (rc == WEIR_OK) {
        rc = one_text(pg,
                      "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = "
                      "current_database()",
                      NULL, text, sizeof text, err);
    }
    if (rc == WEIR_OK && strcmp(text, "SQL_ASCII") == 0) {
        brg_set_state(s, BRG_WAITING,
                      "the database has encoding SQL_ASCII, so its texts have no meaning: a UTF8 "
                      "database is needed");
        return WEIR_OK;
    }
    if (rc == WEIR_OK) {
        rc = one_text(pg, "SELECT pubname FROM pg_publication WHERE pubname = $1",
                      s->settings->bridge_publication, text, sizeof text, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    /* Before the slot: a slot that begins before its publication can never be read. */
    *ok = text[0] != '\0';
    if (!*ok) {
        brg_set_state(s, BRG_WAITING, "publication %s does not exist: run `weir deploy`",
                      s->settings->bridge_publication);
    }
    return WEIR_OK;
}

/* wal_status is null and invalidation_reason set (PostgreSQL 17) or wal_status is lost: the slot
 * cannot be read again. */
static const char slot_sql[] =
    "SELECT s.plugin = 'pgoutput' AND s.database = current_database(), coalesce(s.wal_status = "
    "'lost', false), "
    "s.active_pid, coalesce(a.application_name, ''), s.confirmed_flush_lsn - '0/0'::pg_lsn "
    "FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE "
    "s.slot_name = $1";

static weir_rc slot_facts(weir_pg *pg, const char *slot, brg_slot_facts *out, weir_error *err)
{
    memset(out, 0, sizeof *out);
    weir_pg_rows *rows = NULL;
    const char *params[] = {slot};
    weir_rc rc = weir_pg_query(pg, slot_sql, 1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (weir_pg_nrows(rows) > 0) {
        out->exists = true;
        out->ours_plugin = strcmp(weir_pg_valuez(rows, 0, 0), "t") == 0;
        out->lost = strcmp(weir_pg_valuez(rows, 0, 1), "t") == 0;
        out->active = !weir_pg_isnull(rows, 0, 2);
        out->active_pid = weir_pg_i64(rows, 0, 2);
        (void)snprintf(out->holder, sizeof out->holder, "%s", weir_pg_valuez(rows, 0, 3));
        uint64_t lsn = 0;
        out->confirmed = weir_slice_u64(weir_pg_value(rows, 0, 4), &lsn) ? lsn : 0;
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

static weir_rc terminate(weir_pg *pg, int64_t pid, weir_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, pid);
    const char *params[] = {text};
    WEIR_WARN("BRG-STALE-WALSENDER", "pid=%s", text);
    return weir_pg_query(pg, "SELECT pg_terminate_backend($1::int, 5000)", 1, params, NULL, err);
}

static weir_rc ask_identity(brg_shared *s, weir_pgrepl_system *sys, weir_error *err)
{
    weir_pgrepl *r = NULL;
    weir_rc rc = weir_pgrepl_open(&r, s->settings->postgres_uri, s->application_name, err);
    if (rc == WEIR_OK) {
        rc = weir_pgrepl_identify(r, sys, err);
        weir_pgrepl_close(r);
    }
    return rc;
}

static weir_rc check(brg_shared *s, weir_pg *pg, brg_verdict *verdict, weir_error *err)
{
    bool ok = false;
    weir_pgrepl_system sys;
    brg_slot_facts slot;
    brg_decision d;
    const char *name = s->settings->bridge_slot;
    weir_rc rc = check_server(s, pg, &ok, err);
    if (rc != WEIR_OK || !ok) {
        return rc;
    }
    rc = ask_identity(s, &sys, err);
    if (rc == WEIR_OK) {
        rc = slot_facts(pg, name, &slot, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_monitor_lock(s->m);
    brg_meta meta = s->meta;
    meta.end = s->durable;
    weir_monitor_unlock(s->m);
    brg_guard_decide(&meta, &sys, &slot, name, s->application_name, &d);
    *verdict = d.verdict;
    if (d.verdict == BRG_GO_NOT) {
        brg_set_state(s, d.state, "%s", d.text);
        return WEIR_OK;
    }
    if (d.terminate) {
        rc = terminate(pg, slot.active_pid, err);
    }
    if (rc == WEIR_OK && d.drop_slot) {
        rc = brg_guard_drop_slot(s, pg, err);
    }
    return rc;
}

weir_rc brg_guard_check(brg_shared *s, brg_verdict *verdict, weir_error *err)
{
    *verdict = BRG_GO_NOT;
    weir_pg *pg = NULL;
    weir_pg_conf conf = {.uri = s->settings->postgres_uri,
                         .application_name = "weir-bridge-guard",
                         .wait_max_ms = 20000};
    weir_rc rc = weir_pg_open(&pg, &conf, err);
    if (rc == WEIR_OK) {
        rc = check(s, pg, verdict, err);
    }
    weir_pg_close(pg);
    return rc;
}

weir_rc brg_guard_drop_slot(brg_shared *s, weir_pg *pg, weir_error *err)
{
    const char *params[] = {s->settings->bridge_slot};
    WEIR_INFO("BRG-SLOT-DROP", "slot=%s left by an unfinished first copy",
              s->settings->bridge_slot);
    return weir_pg_query(
        pg,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        1, params, NULL, err);
}
