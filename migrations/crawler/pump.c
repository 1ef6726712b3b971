/* pump.c - rows from one COPY into another, in buffers of a fixed size, unread. */
#include "migrations/crawler/job.h"

enum { FILL_BYTES = 64 * 1024, ROW_MAX_BYTES = 1 << 30 };

/* What class 22 or 23 says is about a row; everything else would say it again for any row. */
static bool about_data(const weir_error *err)
{
    return err->sqlstate[0] == '2' && (err->sqlstate[1] == '2' || err->sqlstate[1] == '3');
}

static weir_rc pass_on(crw_pair *p, crw_chunk *ch, weir_error *err)
{
    for (;;) {
        int64_t rows = 0;
        weir_buf_reset(&p->buf);
        weir_rc rc = weir_pg_copy_out_fill(p->source, &p->buf, FILL_BYTES, &rows, err);
        if (rc != WEIR_OK) {
            return rc == WEIR_E_EOF ? WEIR_OK : rc;
        }
        rc = weir_pg_copy_in_put(p->target, weir_buf_slice(&p->buf), err);
        if (rc != WEIR_OK) {
            return rc;
        }
        ch->rows += rows;
        ch->bytes += (int64_t)p->buf.n;
        ch->live += rows;
        atomic_fetch_add(&p->c->live_rows, rows);
        if (!crw_pace_rows(p->c, rows)) {
            return weir_fail(err, WEIR_E_EOF, 0, "stopping");
        }
        bool paused = atomic_load(&p->c->paused);
        if (ch->r->whole && (paused || atomic_load(&ch->t->gives_way))) {
            return weir_fail(err, WEIR_E_AGAIN, 0, "%s",
                             paused ? "paused" : "somebody waits for the source's table");
        }
    }
}

weir_rc crw_pump(crw_pair *p, crw_chunk *ch, const char *where, weir_error *err)
{
    const crw_tab *t = ch->t;
    const char *format = t->binary ? " WITH (FORMAT binary)" : "";
    const char *into_format = !ch->r->whole ? format
                              : t->binary   ? " WITH (FORMAT binary, FREEZE)"
                                            : " WITH (FREEZE)";
    weir_arena *a = weir_arena_new(0);
    weir_error ignored;
    ch->data_error = false;
    weir_rc rc =
        weir_pg_copy_out_start(p->source,
                               weir_arena_printf(a, "COPY (SELECT %s FROM %s%s) TO STDOUT%s",
                                                 t->list, t->from, where, format),
                               err);
    if (rc == WEIR_OK) {
        rc = weir_pg_copy_in_start(
            p->target,
            weir_arena_printf(a, "COPY %s (%s) FROM STDIN%s", t->target, t->into, into_format),
            err);
        if (rc == WEIR_OK) {
            rc = pass_on(p, ch, err);
            bool whole = rc == WEIR_OK;
            weir_rc end = weir_pg_copy_in_end(p->target, whole ? NULL : "the source failed",
                                              whole ? err : &ignored);
            rc = whole ? end : rc;
        }
    }
    weir_arena_free(a);
    if (rc == WEIR_OK && t->binary) {
        ch->rows--; /* the trailer is a message too */
    }
    ch->data_error = rc != WEIR_OK && about_data(err);
    return rc;
}
