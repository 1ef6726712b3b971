/* chunk.c - one range: read in one snapshot of the source, written and recorded in one transaction
 * of the target. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/crawler/job.h"

extern const char weir_sql_shape[];

/* The lock comes before the snapshot: TRUNCATE ignores snapshots, so one that commits between the
 * snapshot and the rows would show an empty table whose truncation is older than nothing. It also
 * keeps the table's shape until the chunk is read. */
static weir_rc begin_source(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_pg_rows *r = NULL;
    const char *params[] = {ch->t->source};
    weir_rc rc = weir_pg_script(p->source,
                                weir_arena_printf(a,
                                                  "BEGIN ISOLATION LEVEL REPEATABLE READ READ "
                                                  "ONLY; LOCK TABLE %s IN ACCESS SHARE MODE",
                                                  ch->t->from),
                                err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(p->source, weir_sql_shape, 1, params, &r, err);
    }
    if (rc == WEIR_OK) {
        (void)snprintf(ch->snapshot, sizeof ch->snapshot, "%s", weir_pg_valuez(r, 0, 0));
        (void)snprintf(ch->lsn, sizeof ch->lsn, "%s", weir_pg_valuez(r, 0, 1));
        ch->changed = strcmp(weir_pg_valuez(r, 0, 3), ch->t->storage) != 0;
        if (ch->changed) {
            ch->storage = weir_xstrdup(weir_pg_valuez(r, 0, 3));
        }
        if (strcmp(weir_pg_valuez(r, 0, 2), ch->t->shape) != 0) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "the columns of %s changed in the source while it was being copied: "
                           "change the target alike, and begin the copy anew",
                           ch->t->source);
        }
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    return rc;
}

/* Two locks that end with the transaction: one tells a later run that chunks of ours are still
 * committing, the other makes an attempt whose end we did not see come first. */
static weir_rc begin_target(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    char no[24];
    (void)snprintf(no, sizeof no, "%" PRId64, ch->r->no);
    const char *params[] = {p->c->own.job, ch->t->id, no};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_script(p->target, "BEGIN", err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(
            p->target,
            "SELECT pg_advisory_xact_lock_shared(hashtextextended('weir crawl ' || $1, 1)),"
            " pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'weir chunk', $1::text, "
            "$2::text, $3::text), 0))",
            3, params, NULL, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(
            p->target,
            "SELECT FROM weir_sync.chunk WHERE job = $1 AND tab = $2 AND no = $3::bigint", 3,
            params, &r, err);
    }
    if (rc == WEIR_OK) {
        ch->there = weir_pg_nrows(r) > 0;
        weir_pg_rows_free(r);
    }
    if (rc == WEIR_OK && ch->r->whole && !ch->there) {
        weir_arena *a = weir_arena_new(0);
        /* The table is empty: this is what FREEZE asks for. */
        rc =
            weir_pg_script(p->target, weir_arena_printf(a, "TRUNCATE ONLY %s", ch->t->target), err);
        weir_arena_free(a);
    }
    return rc;
}

static weir_rc record(crw_pair *p, const crw_chunk *ch, weir_error *err)
{
    char no[24];
    char rows[24];
    char bytes[24];
    (void)snprintf(no, sizeof no, "%" PRId64, ch->r->no);
    (void)snprintf(rows, sizeof rows, "%" PRId64, ch->rows);
    (void)snprintf(bytes, sizeof bytes, "%" PRId64, ch->bytes);
    const char *params[] = {p->c->own.job, ch->t->id, no,           ch->r->lo, ch->r->hi,
                            rows,          bytes,     ch->snapshot, ch->lsn};
    return weir_pg_query(p->target,
                         "INSERT INTO weir_sync.chunk (job, tab, no, lo, hi, rows, bytes, "
                         "snapshot, lsn) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                         9, params, NULL, err);
}

static void roll_back(weir_pg *pg)
{
    weir_error ignored;
    if (pg && weir_pg_ok(pg)) {
        weir_rc rc = weir_pg_script(pg, "ROLLBACK", &ignored);
        (void)rc; /* a connection lost here is seen by its next user */
    }
}

static weir_rc attempt(crw_pair *p, crw_chunk *ch, bool careful, weir_error *err)
{
    ch->rows = ch->bytes = ch->rejects = 0;
    ch->data_error = false;
    int64_t began = weir_mono_ms();
    weir_rc rc = begin_source(p, ch, err);
    if (rc != WEIR_OK || ch->changed) {
        return rc;
    }
    rc = begin_target(p, ch, err);
    if (rc != WEIR_OK || ch->there) {
        return rc;
    }
    if (careful) {
        rc = crw_bisect(p, ch, err);
    } else {
        weir_arena *a = weir_arena_new(0);
        rc = crw_pump(p, ch, crw_where(a, ch->t, ch->r->lo, ch->r->hi, true), err);
        weir_arena_free(a);
    }
    ch->read_ms = weir_mono_ms() - began;
    if (rc == WEIR_OK) {
        rc = record(p, ch, err);
    }
    return rc == WEIR_OK ? weir_pg_script(p->target, "COMMIT", err) : rc;
}

/* What goes wrong, if it is not the size, shows again with the chunks. */
static weir_rc copy_whole(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    weir_rc rc = attempt(p, ch, false, err);
    roll_back(p->source);
    if (rc != WEIR_OK || ch->there || ch->changed) {
        roll_back(p->target);
    }
    if (rc != WEIR_OK && weir_pg_ok(p->source) && weir_pg_ok(p->target) && !crw_ended(p->c)) {
        WEIR_INFO("CRW-CHUNKS", "table=\"%s\" why=\"%s\"", ch->t->id, err->msg);
        ch->in_chunks = true;
        rc = WEIR_OK;
    }
    return rc;
}

weir_rc crw_chunk_copy(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    weir_rc rc = crw_pair_open(p, err);
    if (rc == WEIR_OK && ch->r->whole) {
        return copy_whole(p, ch, err);
    }
    for (int careful = 0; rc == WEIR_OK; careful++) {
        rc = attempt(p, ch, careful, err);
        roll_back(p->source);
        if (rc != WEIR_OK || ch->there || ch->changed) {
            roll_back(p->target);
        }
        if (rc == WEIR_OK || careful || !ch->data_error) {
            break;
        }
        rc = WEIR_OK; /* some row does not fit: again, row by row where it must be */
    }
    return rc;
}

weir_rc crw_chunk_look(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    free(ch->storage);
    ch->storage = NULL;
    weir_rc rc = begin_source(p, ch, err);
    roll_back(p->source);
    return rc;
}
