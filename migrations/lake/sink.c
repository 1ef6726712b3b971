/* sink.c - the lake as a destination: which change goes into which file, and when they are
 * committed.
 *
 * The parts of a commit are numbered in the order they were begun; the temporary file of the i-th
 * is _tmp/<commit>-<i>. So the manifest's last line alone tells which renames it needs (place.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/map.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/json.h"
#include "migrations/lake/disk.h"
#include "migrations/lake/lake.h"
#include "migrations/lake/line.h"
#include "migrations/lake/manifest.h"
#include "migrations/lake/part.h"
#include "migrations/lake/path.h"
#include "migrations/lake/place.h"

enum {
    FDS_MAX = 64,
    PARTS_MAX = 100000, /* of one commit: bounds the manifest's line */
    MANIFEST_FILE_BYTES = 16 << 20,
    LINE_KEEP_BYTES = 1 << 20,
    COMMAND_MAX_BYTES = 1 << 16,
};
#define LINE_MAX_BYTES ((size_t)1 << 31)

typedef struct table {
    char *folder, *label;
    lake_part *part; /* being written, or NULL */
    uint64_t
        first;   /* of the last part begun here: parts that begin at the same place are numbered */
    bool copied; /* seen since the last commit */
} table;

struct lake_sink {
    lake_sink_conf conf;
    lake_manifest *manifest;
    lake_place *place;
    weir_map *tables; /* "schema" NUL "table" */
    lake_part **parts;
    size_t nparts, cap, nfds;
    uint64_t counter;

    bool has_durable;
    weir_cursor durable, end; /* end: behind what was taken, not necessarily committed */
    weir_cursor chunk;        /* behind the last chunk taken, by our own count: its lines' sub */
    uint64_t commits;         /* the last one's number */
    int64_t open_day;
    int64_t last_commit_us; /* the newest commit time taken */
    int64_t waiting_since_ms;
    bool waiting, in_tx;
    bool placing; /* the last commit's renames are not all done */

    lake_stamp stamp; /* of the transaction being taken; its texts are in `command` */
    weir_arena *command;
    weir_buf line;
    lake_sink_state state;
};

static void step(lake_sink *s, const char *name)
{
    if (s->conf.step) {
        s->conf.step(s->conf.step_arg, name);
    }
}

static void forget_parts(lake_sink *s, bool unlink_tmp)
{
    weir_map_iter it = {0};
    for (size_t i = 0; i < s->nparts; i++) {
        lake_part_free(s->parts[i], unlink_tmp);
    }
    s->nparts = 0;
    s->nfds = 0;
    s->state.waiting_rows = 0;
    s->state.waiting_bytes = 0;
    s->waiting = false;
    while (weir_map_next(s->tables, &it)) {
        table *t = it.value;
        t->part = NULL;
        t->copied = false;
    }
}

/* Back to the last commit: after a failure nothing half is kept. */
static weir_rc rewound(lake_sink *s, weir_rc rc)
{
    forget_parts(s, true);
    s->end = s->chunk = s->durable;
    s->in_tx = false;
    return rc;
}

void lake_sink_rewind(lake_sink *s)
{
    weir_rc ignored = rewound(s, WEIR_OK);
    (void)ignored;
}

/* --- open, close ------------------------------------------------------------------------------ */

static void take_last(lake_sink *s, const lake_commit *last)
{
    s->has_durable = last->no > 0;
    s->durable = s->end = s->chunk = last->position;
    s->commits = last->no;
    s->open_day = last->open_day;
}

weir_rc lake_sink_open(lake_sink **out, const lake_sink_conf *conf, weir_error *err)
{
    lake_sink *s = weir_xcalloc(1, sizeof *s);
    weir_arena *a = weir_arena_new(0);
    lake_commit last;
    s->conf = *conf;
    s->conf.roll_ms = conf->roll_ms ? conf->roll_ms : 60000;
    s->conf.roll_bytes = conf->roll_bytes ? conf->roll_bytes : INT64_C(256) << 20;
    s->conf.part_bytes = conf->part_bytes ? conf->part_bytes : INT64_C(128) << 20;
    s->conf.day_grace_ms = conf->day_grace_ms ? conf->day_grace_ms : 300000;
    s->tables = weir_map_new();
    s->command = weir_arena_new(2 * COMMAND_MAX_BYTES);
    weir_buf_init(&s->line, LINE_MAX_BYTES);
    weir_rc rc =
        lake_manifest_open(&s->manifest, conf->dir, conf->flow, conf->source, a, &last, err);
    if (rc == WEIR_OK) {
        rc = lake_place_open(&s->place, conf->dir, err);
    }
    if (rc == WEIR_OK) {
        take_last(s, &last);
        rc = lake_place_recover(s->place, &last, err);
    }
    weir_arena_free(a);
    if (rc != WEIR_OK) {
        lake_sink_close(s);
        return rc;
    }
    *out = s;
    return WEIR_OK;
}

void lake_sink_close(lake_sink *s)
{
    weir_map_iter it = {0};
    if (!s) {
        return;
    }
    forget_parts(s, true);
    while (weir_map_next(s->tables, &it)) {
        table *t = it.value;
        free(t->folder);
        free(t->label);
        free(t);
    }
    weir_map_free(s->tables);
    free(s->parts);
    weir_buf_fini(&s->line);
    weir_arena_free(s->command);
    lake_place_close(s->place);
    lake_manifest_close(s->manifest);
    free(s);
}

bool lake_sink_position(const lake_sink *s, weir_cursor *out)
{
    *out = s->durable;
    return s->has_durable;
}

bool lake_sink_copied(const lake_sink *s, weir_slice schema, weir_slice name)
{
    weir_buf b;
    weir_buf_init(&b, LAKE_FOLDER_MAX + 64);
    lake_folder_name(&b, schema, name);
    weir_buf_u8(&b, '\0');
    bool there = !b.failed && lake_place_is_copied(s->place, b.p);
    weir_buf_fini(&b);
    return there;
}

void lake_sink_progress(const lake_sink *s, lake_sink_state *out)
{
    *out = s->state;
}

/* --- events ----------------------------------------------------------------------------------- */

static table *table_of(lake_sink *s, weir_slice schema, weir_slice name)
{
    weir_buf key, b;
    bool created;
    weir_buf_init(&key, 4096);
    weir_buf_puts(&key, schema);
    weir_buf_u8(&key, '\0');
    weir_buf_puts(&key, name);
    void **slot = weir_map_slot(s->tables, weir_buf_slice(&key), &created);
    if (created) {
        table *t = weir_xcalloc(1, sizeof *t);
        weir_buf_init(&b, 4096);
        lake_folder_name(&b, schema, name);
        weir_buf_u8(&b, '\0');
        t->folder = weir_xstrdup(b.p);
        weir_buf_reset(&b);
        weir_buf_puts(&b, schema);
        weir_buf_u8(&b, '.');
        weir_buf_puts(&b, name);
        weir_buf_u8(&b, '\0');
        t->label = weir_xstrdup(b.p);
        weir_buf_fini(&b);
        *slot = t;
    }
    weir_buf_fini(&key);
    return *slot;
}

/* Closes the descriptor that was not used for the longest time. */
static weir_rc rest_one(lake_sink *s, weir_error *err)
{
    lake_part *oldest = NULL;
    for (size_t i = 0; i < s->nparts; i++) {
        lake_part *p = s->parts[i];
        if (p->fd >= 0 && (!oldest || p->used < oldest->used)) {
            oldest = p;
        }
    }
    if (!oldest) {
        return WEIR_OK;
    }
    s->nfds--;
    return lake_part_rest(oldest, err);
}

static void tmp_path(const lake_sink *s, uint64_t commit, size_t i, char out[4096])
{
    (void)snprintf(out, 4096, "%s/_tmp/%" PRIu64 "-%zu", s->conf.dir, commit, i);
}

static weir_rc begin_part(lake_sink *s, table *t, int64_t day, weir_error *err)
{
    char tmp[4096];
    if (s->nparts == PARTS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0,
                         "one transaction needs more than %d files; raise part_bytes", PARTS_MAX);
    }
    if (s->nparts == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->parts = weir_xrealloc(s->parts, s->cap * sizeof(lake_part *));
    }
    tmp_path(s, s->commits + 1, s->nparts, tmp);
    weir_rc rc = s->nfds >= FDS_MAX ? rest_one(s, err) : WEIR_OK;
    if (rc == WEIR_OK) {
        rc = lake_part_open(&t->part, tmp, t->folder, t->label, err);
    }
    if (rc != WEIR_OK) {
        t->part = NULL;
        return rc;
    }
    s->parts[s->nparts++] = t->part;
    s->nfds++;
    t->part->first = s->stamp.lsn;
    t->part->day = day;
    return WEIR_OK;
}

static weir_rc seal_part(lake_sink *s, table *t, weir_error *err)
{
    if (t->part->fd >= 0) {
        s->nfds--;
    }
    weir_rc rc = lake_part_seal(t->part, err);
    t->part = NULL;
    return rc;
}

static weir_rc put_line(lake_sink *s, table *t, weir_error *err)
{
    int64_t day = lake_day_of(s->stamp.at_us);
    weir_rc rc = WEIR_OK;
    /* A finished day gets nothing more, even when the source's clock went back. */
    day = day < s->open_day ? s->open_day : day;
    if (t->part &&
        (t->part->day != day || t->part->bytes + t->part->buf.n >= (uint64_t)s->conf.part_bytes)) {
        rc = seal_part(s, t, err);
    }
    if (rc == WEIR_OK && !t->part) {
        rc = begin_part(s, t, day, err);
    }
    if (rc == WEIR_OK && t->part->fd < 0) {
        rc = s->nfds >= FDS_MAX ? rest_one(s, err) : WEIR_OK;
        s->nfds++; /* put opens it */
        if (rc == WEIR_OK) {
            rc = lake_part_wake(t->part, err);
        }
    }
    if (rc == WEIR_OK) {
        rc = lake_part_put(t->part, weir_buf_slice(&s->line), err);
    }
    if (rc == WEIR_OK) {
        t->part->last = s->stamp.lsn;
        t->part->used = ++s->counter;
        s->state.waiting_rows++;
        s->state.waiting_bytes += s->line.n;
    }
    return rc;
}

static void start_waiting(lake_sink *s)
{
    if (!s->waiting) {
        s->waiting = true;
        s->waiting_since_ms = weir_mono_ms();
    }
}

static void begin_tx(lake_sink *s, const weir_frame_head *h)
{
    bool copied = h->kind == WEIR_FRAME_CHUNK;
    weir_arena_reset(s->command);
    s->stamp = (lake_stamp){.lsn = h->commit_lsn,
                            .copied = copied,
                            .sub = WEIR_SUB_TX,
                            .xid = h->xid,
                            .at_us = h->commit_us};
    if (copied) {
        /* The cursor behind the chunk before it says which one this is (lsn.h); within a batch
         * the feed does not tell it for each. */
        weir_cursor last = weir_cursor_cmp(s->chunk, s->end) > 0 ? s->chunk : s->end;
        s->stamp.sub = last.lsn == h->commit_lsn ? last.sub : 0;
        s->chunk = (weir_cursor){h->commit_lsn, s->stamp.sub + 1};
    }
    if (h->commit_us > s->last_commit_us) {
        s->last_commit_us = h->commit_us;
    }
    s->in_tx = true;
    start_waiting(s);
}

static weir_slice keep(lake_sink *s, const weir_json *j, const char *key)
{
    weir_slice v;
    return weir_json_str(j, key, &v) ? weir_arena_dup(s->command, v) : (weir_slice){NULL, 0};
}

/* Anybody may write such a message: what is not as we write it says nothing. */
static void on_message(lake_sink *s, const weir_ev *ev)
{
    weir_json *j = NULL;
    weir_error ignored;
    if (!ev->transactional || !weir_slice_eqz(ev->a, "weir.command") ||
        ev->b.n > COMMAND_MAX_BYTES / 4 || weir_json_parse(&j, ev->b, &ignored) != WEIR_OK) {
        return;
    }
    weir_slice origin = s->stamp.origin;
    weir_buf b; /* the origin outlives the command it was told before */
    weir_buf_init(&b, COMMAND_MAX_BYTES);
    weir_buf_puts(&b, origin);
    weir_arena_reset(s->command);
    s->stamp.origin = weir_arena_dup(s->command, weir_buf_slice(&b));
    weir_buf_fini(&b);
    s->stamp.command = keep(s, j, "name");
    s->stamp.command_id = keep(s, j, "id");
    s->stamp.correlation_id = keep(s, j, "correlation_id");
    weir_json_free(j);
}

static weir_rc on_change(lake_sink *s, const weir_relation *rel, const weir_ev *ev, weir_error *err)
{
    table *t = table_of(s, rel->schema, rel->name);
    s->stamp.seq++;
    if (s->line.cap > LINE_KEEP_BYTES) {
        weir_buf_fini(&s->line);
        weir_buf_init(&s->line, LINE_MAX_BYTES);
    }
    weir_buf_reset(&s->line);
    lake_line(&s->line, &s->stamp, rel, ev);
    if (s->line.failed) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "a row of %s is longer than 2 GiB as JSON",
                         t->label);
    }
    t->copied = t->copied || ev->kind == WEIR_EV_COPIED;
    return put_line(s, t, err);
}

weir_rc lake_sink_event(lake_sink *s, const weir_frame_head *head, const weir_relation *rel,
                        const weir_ev *ev, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (!s->in_tx) {
        begin_tx(s, head);
    }
    switch (ev->kind) {
    case WEIR_EV_MESSAGE: on_message(s, ev); break;
    case WEIR_EV_ORIGIN: s->stamp.origin = weir_arena_dup(s->command, ev->a); break;
    case WEIR_EV_TYPE: break;
    default:
        rc = rel ? on_change(s, rel, ev, err)
                 : weir_fail(err, WEIR_E_PROTO, WEIR_EF_FATAL,
                             "a change of a table that was never described");
    }
    return rc == WEIR_OK ? rc : rewound(s, rc);
}

void lake_sink_end(lake_sink *s, weir_cursor after)
{
    if (weir_cursor_cmp(after, s->end) > 0) {
        s->end = after;
        start_waiting(s);
    }
    s->in_tx = false;
}

/* --- commit ----------------------------------------------------------------------------------- */

/* The first day that is not finished. A clock that runs ahead on either side alone ends no day. */
static int64_t open_day_now(const lake_sink *s, int64_t now_us, bool caught_up)
{
    int64_t grace_us = s->conf.day_grace_ms * 1000;
    int64_t wall = lake_day_of(now_us - grace_us);
    int64_t seen = s->last_commit_us ? lake_day_of(s->last_commit_us - grace_us) : s->open_day;
    int64_t day = caught_up || seen > wall ? wall : seen;
    return day > s->open_day ? day : s->open_day;
}

bool lake_sink_due(const lake_sink *s, int64_t now_us, bool caught_up)
{
    if (s->in_tx) {
        return false;
    }
    if (s->placing || s->state.waiting_bytes >= (uint64_t)s->conf.roll_bytes ||
        s->nparts >= PARTS_MAX / 2 ||
        (s->has_durable && open_day_now(s, now_us, caught_up) > s->open_day)) {
        return true;
    }
    return s->waiting && weir_mono_ms() - s->waiting_since_ms >= s->conf.roll_ms;
}

static weir_rc seal_all(lake_sink *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < s->nparts && rc == WEIR_OK; i++) {
        rc = lake_part_seal(s->parts[i], err);
    }
    return rc == WEIR_OK && s->nparts ? lake_place_sync_tmp(s->place, err) : rc;
}

static void describe(lake_sink *s, weir_arena *a, lake_commit *c)
{
    char day[LAKE_DAY_TEXT], name[LAKE_PART_TEXT];
    weir_map_iter it = {0};
    c->files = WEIR_ARENA_ARRAY(a, lake_file, s->nparts + 1);
    c->copied = WEIR_ARENA_ARRAY(a, const char *, weir_map_len(s->tables) + 1);
    for (size_t i = 0; i < s->nparts; i++) {
        const lake_part *p = s->parts[i];
        lake_file *f = &c->files[c->nfiles++];
        f->path = weir_arena_printf(a, "%s/%s/%s", p->folder, lake_day_print(p->day, day),
                                    lake_part_name(p->first, c->no, i, name));
        f->table = p->table;
        f->day = p->day;
        f->rows = p->rows;
        f->bytes = p->bytes;
        f->first = p->first;
        f->last = p->last;
        weir_hash128_hex(weir_hasher_get(p->hasher), f->hash);
    }
    while (weir_map_next(s->tables, &it)) {
        table *t = it.value;
        if (t->copied) {
            c->copied[c->ncopied++] = t->folder;
        }
    }
}

static void committed(lake_sink *s, const lake_commit *c)
{
    for (size_t i = 0; i < c->nfiles; i++) {
        s->state.bytes += c->files[i].bytes;
    }
    s->state.rows += s->state.waiting_rows;
    s->state.files += c->nfiles;
    s->state.commits++;
    s->commits = c->no;
    s->durable = c->position;
    s->has_durable = true;
    s->open_day = c->open_day;
    s->placing = true;
    forget_parts(s, false);
}

weir_rc lake_sink_commit(lake_sink *s, int64_t now_us, bool caught_up, weir_error *err)
{
    weir_rc rc = s->placing ? lake_place_again(s->place, err) : WEIR_OK;
    if (rc != WEIR_OK) {
        return rewound(s, rc);
    }
    s->placing = false;
    weir_arena *a = weir_arena_new(0);
    lake_commit c = {.no = s->commits + 1,
                     .position = s->end,
                     .at_us = now_us,
                     .open_day = open_day_now(s, now_us, caught_up)};
    rc = seal_all(s, err);
    step(s, "sealed");
    if (rc == WEIR_OK) {
        describe(s, a, &c);
        rc = lake_manifest_append(s->manifest, &c, MANIFEST_FILE_BYTES, err);
    }
    if (rc != WEIR_OK) {
        weir_arena_free(a);
        return rewound(s, rc);
    }
    step(s, "committed");
    committed(s, &c);
    rc = lake_place_commit(s->place, &c, err);
    if (rc == WEIR_OK) {
        s->placing = false;
        step(s, "placed");
    }
    weir_arena_free(a);
    return rc;
}

/* Lines of a transaction that is open lie in the same parts as those before it: then all of it
 * comes again. */
weir_rc lake_sink_finish(lake_sink *s, int64_t now_us, weir_error *err)
{
    bool moved = s->nparts > 0 || weir_cursor_cmp(s->end, s->durable) > 0;
    return s->in_tx || !(moved || s->placing) ? WEIR_OK : lake_sink_commit(s, now_us, false, err);
}
