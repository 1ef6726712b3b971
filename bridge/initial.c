/* initial.c - the first copy. */
#include "bridge/initial.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/copytext.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/codec/frame.h"
#include "libweir/io/pg_writers.h"

enum { SLOT_STEP_MS = 1000, REPORT_AFTER = 3, COPY_SILENCE_MS = 600000, PROGRESS_MS = 2000 };

typedef struct slot_wait {
    brg_reader *rd;
    int steps;
} slot_wait;

/* Who keeps the slot from being created: transactions that are older than it. */
static void report_blockers(brg_shared *s)
{
    weir_pg *pg = NULL;
    weir_error err;
    char who[WEIR_PG_WRITERS_BYTES];
    weir_pg_conf conf = {.uri = s->settings->postgres_uri,
                         .application_name = "weir-bridge-guard",
                         .wait_max_ms = 5000};
    if (weir_pg_open(&pg, &conf, &err) == WEIR_OK &&
        weir_pg_writers(pg, NULL, who, &err) == WEIR_OK) {
        brg_set_state(s, BRG_COPYING, "the slot waits for transactions to end: %s", who);
    }
    weir_pg_close(pg);
}

static bool still_waiting(void *arg)
{
    slot_wait *w = arg;
    if (++w->steps % REPORT_AFTER == 0) {
        report_blockers(w->rd->s);
    }
    return !brg_stopping(w->rd->s);
}

static void show_progress(brg_shared *s, const brg_table *t, uint64_t tables, uint64_t done,
                          uint64_t rows)
{
    weir_monitor_lock(s->m);
    s->copy.tables = tables;
    s->copy.tables_done = done;
    s->copy.rows = rows;
    (void)snprintf(s->copy.table, sizeof s->copy.table, "%.*s.%.*s", WEIR_SLICE_ARG(t->rel.schema),
                   WEIR_SLICE_ARG(t->rel.name));
    weir_monitor_unlock(s->m);
}

typedef struct copy {
    brg_reader *rd;
    weir_pg *pg;
    brg_table *tables;
    size_t n, at;
    uint64_t rows;
    int64_t told_ms;
} copy;

static weir_rc copy_rows(copy *c, const brg_table *t, uint32_t version, weir_error *err)
{
    weir_val v[WEIR_COLUMNS_MAX];
    weir_tuple row = {0, v};
    weir_slice line;
    weir_rc rc = WEIR_OK;
    while (!brg_stopping(c->rd->s)) {
        rc = weir_pg_copy_out_next(c->pg, &line, err);
        if (rc != WEIR_OK) {
            return rc == WEIR_E_EOF ? WEIR_OK : rc;
        }
        rc = brg_copytext((char *)(uintptr_t)line.p, line.n, t->rel.n, &row, err);
        weir_ev ev = {.kind = WEIR_EV_READ, .rel = version, .new_row = row};
        if (rc == WEIR_OK) {
            rc = brg_assembler_chunk_put(c->rd->as, &ev, err);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
        if (++c->rows % 4096 == 0 && weir_mono_ms() - c->told_ms > PROGRESS_MS) {
            c->told_ms = weir_mono_ms();
            show_progress(c->rd->s, t, c->n, c->at, c->rows);
            WEIR_INFO("BRG-COPY", "table=%.*s.%.*s tables_done=%zu tables=%zu rows=%" PRIu64,
                      WEIR_SLICE_ARG(t->rel.schema), WEIR_SLICE_ARG(t->rel.name), c->at, c->n,
                      c->rows);
        }
    }
    return weir_fail(err, WEIR_E_EOF, 0, "stopping");
}

static weir_rc copy_table(copy *c, const brg_table *t, weir_error *err)
{
    uint32_t version = 0;
    show_progress(c->rd->s, t, c->n, c->at, c->rows);
    weir_rc rc = brg_assembler_version(c->rd->as, &t->rel, &version, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_arena *a = weir_arena_new(0);
    rc = weir_pg_copy_out_start(c->pg, brg_catalog_copy_sql(t, a), err);
    weir_arena_free(a);
    if (rc == WEIR_OK) {
        rc = copy_rows(c, t, version, err);
    }
    if (rc == WEIR_OK) {
        brg_chunk marks = {
            .table = t, .copy_id = WEIR_SLICE_LIT("initial"), .range = true, .final = true};
        rc = brg_chunk_marks(&marks, version, c->rd->as, err);
    }
    return rc;
}

static weir_rc copy_all(brg_reader *rd, const char *snapshot, weir_error *err)
{
    copy c = {.rd = rd, .told_ms = weir_mono_ms()};
    weir_arena *a = weir_arena_new(0);
    char sql[160];
    weir_pg_conf conf = {.uri = rd->s->settings->postgres_uri,
                         .application_name = "weir-bridge-copy",
                         .wait_max_ms = COPY_SILENCE_MS,
                         .options = "-c row_security=off"};
    weir_rc rc = weir_pg_open(&c.pg, &conf, err);
    if (rc == WEIR_OK) {
        (void)snprintf(
            sql, sizeof sql,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT %s",
            weir_pg_literal(a, weir_slice_z(snapshot)));
        rc = weir_pg_script(c.pg, sql, err);
    }
    if (rc == WEIR_OK) {
        rc = brg_catalog_tables(c.pg, rd->s->settings->bridge_publication, NULL, NULL, a, &c.tables,
                                &c.n, err);
    }
    for (c.at = 0; rc == WEIR_OK && c.at < c.n; c.at++) {
        rc = copy_table(&c, &c.tables[c.at], err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_script(c.pg, "COMMIT", err);
        weir_monitor_lock(rd->s->m);
        rd->s->copy.tables = rd->s->copy.tables_done = c.n;
        rd->s->copy.rows = c.rows;
        weir_monitor_unlock(rd->s->m);
        WEIR_INFO("BRG-COPIED", "tables=%zu rows=%" PRIu64, c.n, c.rows);
    }
    weir_pg_close(c.pg);
    weir_arena_free(a);
    return rc;
}

/* From here on a crash finds `copying` and this slot's name, and knows that the slot is its own. */
static weir_rc mark_begin(brg_reader *rd, const weir_pgrepl_system *sys, weir_error *err)
{
    brg_shared *s = rd->s;
    char timeline[24];
    (void)snprintf(timeline, sizeof timeline, "%" PRId64, sys->timeline);
    const struct {
        const char *name, *text;
    } metas[] = {{"system_id", sys->system_id},
                 {"timeline", timeline},
                 {"slot", s->settings->bridge_slot},
                 {"publication", s->settings->bridge_publication},
                 {"state", "copying"}};
    brg_item wipe = {.kind = BRG_ITEM_WIPE};
    weir_rc rc = brg_reader_push(rd, &wipe, err);
    for (size_t i = 0; rc == WEIR_OK && i < sizeof metas / sizeof metas[0]; i++) {
        rc = brg_reader_push_meta(rd, metas[i].name, metas[i].text, err);
    }
    return rc == WEIR_OK ? brg_reader_drain(rd, err) : rc;
}

/* The state goes last: it makes everything before it valid. */
static weir_rc mark_end(brg_reader *rd, uint64_t consistent, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    brg_item head = {.kind = BRG_ITEM_HEAD, .cursor = brg_assembler_head(rd->as)};
    weir_rc rc = brg_reader_push(rd, &head, err);
    if (rc == WEIR_OK) {
        rc = brg_reader_push_meta(rd, "consistent_lsn", weir_lsn_print(consistent, lsn), err);
    }
    if (rc == WEIR_OK) {
        rc = brg_reader_push_meta(rd, "state", "streaming", err);
    }
    if (rc == WEIR_OK) {
        rc = brg_reader_drain(rd, err);
    }
    if (rc == WEIR_OK) {
        weir_monitor_lock(rd->s->m);
        rc = brg_store_meta(&rd->s->store, &rd->s->meta, err);
        weir_monitor_unlock(rd->s->m);
    }
    return rc;
}

weir_rc brg_initial_copy(brg_reader *rd, weir_error *err)
{
    brg_shared *s = rd->s;
    weir_pgrepl *r = NULL;
    weir_pgrepl_system sys;
    uint64_t consistent = 0;
    char snapshot[64] = "";
    slot_wait wait = {.rd = rd};
    brg_set_state(s, BRG_COPYING, NULL);
    weir_rc rc = weir_pgrepl_open(&r, s->settings->postgres_uri, s->application_name, err);
    if (rc == WEIR_OK) {
        rc = weir_pgrepl_identify(r, &sys, err);
    }
    if (rc == WEIR_OK) {
        rc = mark_begin(rd, &sys, err);
    }
    if (rc == WEIR_OK) {
        weir_monitor_lock(s->m);
        rc = brg_store_meta(&s->store, &s->meta, err);
        weir_monitor_unlock(s->m);
    }
    if (rc == WEIR_OK) {
        rc = weir_pgrepl_create_slot(r, s->settings->bridge_slot, SLOT_STEP_MS, still_waiting,
                                     &wait, &consistent, snapshot, err);
    }
    if (rc == WEIR_OK) {
        char lsn[WEIR_LSN_TEXT_MAX];
        WEIR_INFO("BRG-SLOT-NEW", "slot=%s consistent=%s", s->settings->bridge_slot,
                  weir_lsn_print(consistent, lsn));
        brg_set_state(s, BRG_COPYING, NULL);
        brg_reader_start_at(rd, (weir_cursor){consistent, 0});
        rc = s->settings->bridge_first_copy ? copy_all(rd, snapshot, err) : WEIR_OK;
    }
    if (rc == WEIR_OK) {
        rc = mark_end(rd, consistent, err);
    }
    weir_pgrepl_close(
        r); /* only now: the exported snapshot lives as long as this connection is idle */
    return rc;
}
