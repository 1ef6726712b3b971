/* dest_lake.c - a flow's transactions into a data lake. */
#include "migrations/sync/dest_lake.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/base/log.h"
#include "libweir/base/map.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/message.h"
#include "libweir/io/pg.h"
#include "migrations/lake/lake.h"
#include "migrations/sync/source.h"

enum { SUBSCRIBE_MS = 10000, ASK_EVERY_MS = 1000 };

typedef struct wanted {
    weir_slice schema, name;
    bool copied; /* seen, perhaps not committed */
} wanted;

struct sync_lake {
    const sync_conf *conf;
    const char *flow, *feed, *subscription;
    lake_sink *sink;
    weir_arena *a;
    weir_map *by_name; /* schema NUL name -> wanted */
    wanted *tables;
    size_t ntables;
    char system_id[40], copy_id[64];
    int64_t asked_ms;
    weir_frame_head head;
    atomic_ullong rows, files, bytes, commits, waiting_rows, copied;
};

sync_lake *sync_lake_new(const sync_conf *conf, const char *flow, const char *feed,
                         const char *subscription)
{
    sync_lake *l = weir_xcalloc(1, sizeof *l);
    l->conf = conf;
    l->flow = flow;
    l->feed = feed;
    l->subscription = subscription;
    l->a = weir_arena_new(0);
    l->by_name = weir_map_new();
    return l;
}

static int64_t now_us(void)
{
    return weir_wall_us() - WEIR_PG_EPOCH_US;
}

void sync_lake_free(sync_lake *l)
{
    weir_error err;
    if (!l) {
        return;
    }
    if (l->sink && lake_sink_finish(l->sink, now_us(), &err) != WEIR_OK) {
        WEIR_WARN("SYNC-LAKE-END", "flow=%s %s; it comes again at the next start", l->flow,
                  err.msg);
    }
    lake_sink_close(l->sink);
    weir_map_free(l->by_name);
    weir_arena_free(l->a);
    free(l);
}

static void show(sync_lake *l)
{
    lake_sink_state s;
    size_t copied = 0;
    lake_sink_progress(l->sink, &s);
    for (size_t i = 0; i < l->ntables; i++) {
        copied += l->tables[i].copied;
    }
    atomic_store(&l->rows, s.rows);
    atomic_store(&l->files, s.files);
    atomic_store(&l->bytes, s.bytes);
    atomic_store(&l->commits, s.commits);
    atomic_store(&l->waiting_rows, s.waiting_rows);
    atomic_store(&l->copied, copied);
}

void sync_lake_view_get(sync_lake *l, sync_lake_view *out)
{
    *out = (sync_lake_view){.rows = atomic_load(&l->rows),
                            .files = atomic_load(&l->files),
                            .bytes = atomic_load(&l->bytes),
                            .commits = atomic_load(&l->commits),
                            .waiting_rows = atomic_load(&l->waiting_rows),
                            .tables = l->conf->copy ? l->ntables : 0,
                            .copied = atomic_load(&l->copied)};
}

/* --- begin ------------------------------------------------------------------------------------ */

static weir_rc read_system_id(sync_lake *l, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_pg_rows *rows = NULL;
    weir_pg_conf conf = {.uri = l->conf->source.uri, .application_name = "weir-sync"};
    weir_rc rc = weir_pg_open(&pg, &conf, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(pg, "SELECT system_identifier FROM pg_control_system()", 0, NULL, &rows,
                           err);
    }
    if (rc == WEIR_OK) {
        (void)snprintf(l->system_id, sizeof l->system_id, "%s", weir_pg_valuez(rows, 0, 0));
        weir_pg_rows_free(rows);
    }
    weir_pg_close(pg);
    return rc;
}

static weir_slice key_of(weir_buf *b, weir_slice schema, weir_slice name)
{
    weir_buf_reset(b);
    weir_buf_puts(b, schema);
    weir_buf_u8(b, '\0');
    weir_buf_puts(b, name);
    return weir_buf_slice(b);
}

static wanted *find(sync_lake *l, weir_slice schema, weir_slice name)
{
    weir_buf b;
    weir_buf_init(&b, 1024);
    wanted *w = weir_map_get(l->by_name, key_of(&b, schema, name));
    weir_buf_fini(&b);
    return w;
}

static weir_rc read_tables(sync_lake *l, weir_error *err)
{
    sync_name *names = NULL;
    weir_buf b;
    weir_rc rc = sync_conf_resolve(l->conf, l->a, &names, &l->ntables, err);
    if (rc != WEIR_OK) {
        l->ntables = 0;
        return rc;
    }
    weir_buf_init(&b, 1024);
    l->tables = WEIR_ARENA_ARRAY(l->a, wanted, l->ntables);
    for (size_t i = 0; i < l->ntables; i++) {
        wanted *w = &l->tables[i];
        w->schema = weir_slice_z(names[i].schema);
        w->name = weir_slice_z(names[i].name);
        *weir_map_slot(l->by_name, key_of(&b, w->schema, w->name), NULL) = w;
    }
    weir_buf_fini(&b);
    return WEIR_OK;
}

static weir_rc open_sink(sync_lake *l, weir_error *err)
{
    const sync_lake_conf *c = l->conf->lake;
    lake_sink_conf conf = {.dir = c->dir,
                           .flow = l->flow,
                           .source = l->system_id,
                           .roll_ms = c->roll_ms,
                           .roll_bytes = c->roll_bytes,
                           .part_bytes = c->part_bytes};
    return lake_sink_open(&l->sink, &conf, err);
}

/* The first place, durable before the flow runs: a lake that forgot it would begin at a later now.
 */
static weir_rc subscribe(sync_lake *l, weir_error *err)
{
    sync_source *s = NULL;
    weir_cursor at = {0, 0};
    sync_source_conf conf = {.feed = l->feed, .name = l->subscription};
    weir_rc rc = sync_source_open(&s, &conf, err);
    rc = rc == WEIR_OK ? sync_source_start(s, NULL, SUBSCRIBE_MS, &at, err) : rc;
    sync_source_close(s);
    if (rc == WEIR_OK) {
        lake_sink_end(l->sink, at);
        rc = lake_sink_commit(l->sink, now_us(), false, err);
    }
    return rc;
}

static void look_what_is_copied(sync_lake *l)
{
    weir_cursor at;
    weir_buf b;
    bool known = lake_sink_position(l->sink, &at);
    weir_buf_init(&b, 1 << 24);
    weir_buf_printf(&b, "%d %" PRIu64 " %" PRIu32, known, at.lsn, at.sub);
    for (size_t i = 0; i < l->ntables; i++) {
        wanted *w = &l->tables[i];
        w->copied = lake_sink_copied(l->sink, w->schema, w->name);
        if (!w->copied) {
            weir_buf_u8(&b, '\0');
            weir_buf_puts(&b, w->schema);
            weir_buf_u8(&b, '\0');
            weir_buf_puts(&b, w->name);
        }
    }
    /* The same question keeps its id; another lake, or what is left of this one, gets its own. */
    (void)snprintf(l->copy_id, sizeof l->copy_id, "lake-%016" PRIx64,
                   weir_hash64(weir_buf_slice(&b)));
    weir_buf_fini(&b);
}

weir_rc sync_lake_begin(sync_lake *l, weir_error *err)
{
    weir_cursor at;
    weir_rc rc = l->ntables ? WEIR_OK : read_tables(l, err);
    if (rc == WEIR_OK && !l->system_id[0]) {
        rc = read_system_id(l, err);
    }
    if (rc == WEIR_OK && !l->sink) {
        rc = open_sink(l, err);
    }
    if (rc == WEIR_OK && !lake_sink_position(l->sink, &at)) {
        rc = subscribe(l, err);
    }
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the lake %s", l->conf->lake->dir);
    }
    return rc;
}

/* --- the destination -------------------------------------------------------------------------- */

static weir_rc on_resume(void *self, bool *known, weir_cursor *durable, weir_error *err)
{
    sync_lake *l = self;
    weir_rc rc = sync_lake_begin(l, err);
    if (rc == WEIR_OK) {
        lake_sink_rewind(l->sink);
        look_what_is_copied(l);
        *known = lake_sink_position(l->sink, durable);
        show(l);
    }
    return rc;
}

static weir_rc on_begin(void *self, const sync_tx *tx, weir_error *err)
{
    sync_lake *l = self;
    l->head = (weir_frame_head){
        .kind = tx->kind, .xid = tx->xid, .commit_lsn = tx->commit_lsn, .commit_us = tx->commit_us};
    if (tx->origin.n == 0) {
        return WEIR_OK;
    }
    weir_ev ev = {.kind = WEIR_EV_ORIGIN, .lsn = tx->origin_lsn, .a = tx->origin};
    return lake_sink_event(l->sink, &l->head, NULL, &ev, err);
}

/* One line for each of its tables that are ours. */
static weir_rc on_truncate(sync_lake *l, const sync_tx *tx, const weir_ev *ev, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (uint32_t i = 0; i < ev->nrels && rc == WEIR_OK; i++) {
        const weir_relation *rel = sync_source_relation(tx->source, ev->rels[i]);
        if (!rel) {
            rc = weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY,
                           "the feed truncates relation %u it never described", ev->rels[i]);
        } else if (find(l, rel->schema, rel->name)) {
            rc = lake_sink_event(l->sink, &l->head, rel, ev, err);
        }
    }
    return rc;
}

static weir_rc on_event(void *self, const sync_tx *tx, const weir_relation *rel, const weir_ev *ev,
                        weir_error *err)
{
    sync_lake *l = self;
    if (ev->kind == WEIR_EV_TRUNCATE) {
        return on_truncate(l, tx, ev, err);
    }
    if (ev->kind == WEIR_EV_COPIED) {
        weir_relation bare = {.schema = ev->a, .name = ev->b};
        wanted *w = find(l, ev->a, ev->b);
        if (!w) {
            return WEIR_OK;
        }
        w->copied = true;
        return lake_sink_event(l->sink, &l->head, rel ? rel : &bare, ev, err);
    }
    if (rel && !find(l, rel->schema, rel->name)) {
        return WEIR_OK;
    }
    return lake_sink_event(l->sink, &l->head, rel, ev, err);
}

static weir_rc on_commit(void *self, const sync_tx *tx, weir_error *err)
{
    sync_lake *l = self;
    (void)err;
    lake_sink_end(l->sink, tx->after);
    return WEIR_OK;
}

/* Asks the bridge for the rows of tables that were not copied; the answer comes in the stream. A
 * bridge that was restarted has forgotten the question: it is asked again and again. */
static void ask_for_rows(sync_lake *l)
{
    weir_error err = {.code = WEIR_OK};
    size_t n = 0;
    weir_arena *a = weir_arena_new(1 << 24);
    weir_feed_table *tables = WEIR_ARENA_ARRAY(a, weir_feed_table, l->ntables);
    for (size_t i = 0; i < l->ntables; i++) {
        if (!lake_sink_copied(l->sink, l->tables[i].schema, l->tables[i].name)) {
            tables[n++] = (weir_feed_table){l->tables[i].schema, l->tables[i].name};
        }
    }
    if (sync_source_copy(l->feed, l->copy_id, tables, n, &err) != WEIR_OK) {
        WEIR_WARN("SYNC-LAKE-COPY", "flow=%s the bridge does not copy yet: %s", l->flow, err.msg);
    }
    weir_arena_free(a);
}

static void copy_what_is_missing(sync_lake *l)
{
    int64_t now = weir_mono_ms();
    bool missing = false;
    for (size_t i = 0; i < l->ntables && l->conf->copy; i++) {
        missing = missing || !l->tables[i].copied;
    }
    if (missing && now - l->asked_ms >= ASK_EVERY_MS) {
        l->asked_ms = now;
        ask_for_rows(l);
    }
}

static weir_rc on_flush(void *self, bool caught_up, weir_cursor *durable, weir_error *err)
{
    sync_lake *l = self;
    weir_cursor at;
    weir_rc rc = WEIR_OK;
    copy_what_is_missing(l);
    if (lake_sink_due(l->sink, now_us(), caught_up)) {
        rc = lake_sink_commit(l->sink, now_us(), caught_up, err);
    }
    if (lake_sink_position(l->sink, &at)) {
        *durable = at;
    }
    show(l);
    return rc;
}

sync_dest sync_lake_dest(sync_lake *l)
{
    return (sync_dest){.self = l,
                       .resume = on_resume,
                       .begin = on_begin,
                       .event = on_event,
                       .commit = on_commit,
                       .skip = on_commit,
                       .flush = on_flush};
}
