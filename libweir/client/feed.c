/* feed.c - the change feed: subscribe, fetch, one event after the other, acknowledge.
 *
 * A reply holds frames; a frame holds events. What is acknowledged is the cursor behind a reply
 * whose every event was given out and that ends between two transactions.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/map.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/client/priv.h"
#include "libweir/codec/frame.h"
#include "libweir/codec/message.h"

enum { FETCH_BYTES = 1 << 20, FETCH_SLACK_MS = 10000, REPLY_ARENA_BYTES = 1200 << 20 };

#define EPOCH_2000_US INT64_C(946684800000000)

struct weir_client_feed {
    weir_client *c;
    char name[WEIR_FEED_NAME_MAX + 1];
    weir_arena *rels; /* relation descriptions, for as long as it is open */
    weir_map *by_version;
    uint32_t known;
    bool has_after; /* false: from where it was acknowledged, which the bridge knows */
    weir_feed_pos after;
    weir_cursor done; /* whole transactions before it were given out */
    bool has_done;
    /* the reply being given out */
    weir_buf bytes;
    weir_arena *a;  /* its decoding */
    weir_arena *ea; /* one event */
    weir_feed_reply reply;
    size_t frame;
    weir_frame_head head;
    weir_frame_dec dec;
    bool in_frame;
    weir_ev truncate; /* being given out table by table */
    uint32_t truncated;
};

/* --- asking --- */

typedef struct asked {
    bool over;
    int rc;
    weir_buf *bytes;
    weir_client_error *err;
} asked;

static void on_answer(const weir_cl_call *k, weir_slice body, const weir_client_error *err)
{
    asked *w = k->arg;
    w->over = true;
    if (err) {
        w->rc = err->code;
        *w->err = *err;
    } else {
        weir_buf_reset(w->bytes);
        weir_buf_puts(w->bytes, body);
    }
}

/* The reply's bytes into *bytes, decoded into *out in a. */
static int ask(weir_client *c, const weir_feed_req *req, int64_t timeout_ms, weir_buf *bytes,
               weir_arena *a, weir_feed_reply *out, weir_client_error *err)
{
    asked w = {false, WEIR_CLIENT_OK, bytes, err};
    weir_error why = {0};
    weir_cl_call *k = weir_cl_call_new(c, WEIR_CL_FEED, timeout_ms, err);
    if (!k) {
        return err->code;
    }
    weir_feed_req_encode(&k->message, req);
    k->done = on_answer;
    k->arg = &w;
    k->resend = true;
    weir_cl_call_go(c, k);
    while (!w.over) {
        (void)weir_client_run(c, 60000);
    }
    if (w.rc != WEIR_CLIENT_OK) {
        return w.rc;
    }
    if (bytes->failed || weir_feed_reply_decode(weir_buf_slice(bytes), a, out, &why) != WEIR_OK) {
        return weir_cl_error(err, WEIR_CLIENT_PROTOCOL, "the bridge's answer cannot be read");
    }
    if (!out->ok) {
        (void)weir_cl_error(err, WEIR_CLIENT_REFUSED, WEIR_SLICE_FMT, WEIR_SLICE_ARG(out->error));
        (void)snprintf(err->type, sizeof err->type, "urn:weir:feed:" WEIR_SLICE_FMT,
                       WEIR_SLICE_ARG(out->code));
        return WEIR_CLIENT_REFUSED;
    }
    return WEIR_CLIENT_OK;
}

/* A request whose reply says no more than that it was done. */
static int tell(weir_client *c, const weir_feed_req *req, weir_feed_reply *reply,
                weir_client_error *err)
{
    weir_buf bytes;
    weir_arena *a = weir_arena_new(1 << 20);
    weir_client_error mine;
    weir_buf_init(&bytes, 1 << 20);
    int rc = ask(c, req, 0, &bytes, a, reply, err ? err : &mine);
    weir_buf_fini(&bytes);
    weir_arena_free(a);
    return rc;
}

static int take_name(const char *name, weir_slice *out, weir_client_error *err)
{
    *out = weir_slice_z(name);
    return out->n >= 1 && out->n <= WEIR_FEED_NAME_MAX
               ? WEIR_CLIENT_OK
               : weir_cl_error(err, WEIR_CLIENT_INPUT, "a subscriber's name has 1 to %d bytes",
                               WEIR_FEED_NAME_MAX);
}

static int subscribe(weir_client_feed *f, const char *start, weir_client_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_SUBSCRIBE, .name = weir_slice_z(f->name)};
    weir_feed_reply reply;
    bool now = start && strcmp(start, "now") == 0;
    if (start && !now && strcmp(start, "earliest") != 0) {
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "start is \"earliest\" or \"now\"");
    }
    req.start = now ? WEIR_START_NOW : WEIR_START_EARLIEST;
    int rc = tell(f->c, &req, &reply, err);
    if (rc == WEIR_CLIENT_OK) {
        f->has_after = true;
        f->after = (weir_feed_pos){reply.position, 0};
    }
    return rc;
}

/* To subscribe again would forget the position: so first, is the name there? */
static int known(weir_client_feed *f, bool *is, weir_client_error *err)
{
    weir_buf bytes;
    weir_feed_reply reply;
    const weir_feed_req req = {.op = WEIR_FEED_LIST};
    weir_buf_init(&bytes, WEIR_CL_REPLY_MAX_BYTES);
    int rc = ask(f->c, &req, 0, &bytes, f->a, &reply, err);
    for (size_t i = 0; rc == WEIR_CLIENT_OK && i < reply.nsubs; i++) {
        *is = *is || weir_slice_eqz(reply.subs[i].name, f->name);
    }
    weir_buf_fini(&bytes);
    return rc;
}

int weir_client_feed_open(weir_client *c, const char *name, const char *start,
                          weir_client_feed **out, weir_client_error *err)
{
    weir_slice text;
    weir_client_error mine;
    err = err ? err : &mine;
    *out = NULL;
    int rc = take_name(name, &text, err);
    if (rc != WEIR_CLIENT_OK) {
        return rc;
    }
    weir_client_feed *f = weir_xcalloc(1, sizeof *f);
    f->c = c;
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->rels = weir_arena_new(0);
    f->by_version = weir_map_new();
    f->a = weir_arena_new(REPLY_ARENA_BYTES);
    f->ea = weir_arena_new(REPLY_ARENA_BYTES);
    weir_buf_init(&f->bytes, WEIR_CL_REPLY_MAX_BYTES);
    bool there = false;
    rc = known(f, &there, err);
    if (rc == WEIR_CLIENT_OK && !there) {
        rc = subscribe(f, start, err);
    }
    if (rc != WEIR_CLIENT_OK) {
        weir_client_feed_close(f);
        return rc;
    }
    *out = f;
    return WEIR_CLIENT_OK;
}

void weir_client_feed_close(weir_client_feed *f)
{
    if (f) {
        weir_arena_free(f->rels);
        weir_map_free(f->by_version);
        weir_arena_free(f->a);
        weir_arena_free(f->ea);
        weir_buf_fini(&f->bytes);
        free(f);
    }
}

int weir_client_unsubscribe(weir_client *c, const char *name, weir_client_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_UNSUBSCRIBE};
    weir_feed_reply reply;
    int rc = take_name(name, &req.name, err);
    return rc == WEIR_CLIENT_OK ? tell(c, &req, &reply, err) : rc;
}

/* --- fetching --- */

static bool learn(weir_client_feed *f, weir_slice encoded)
{
    weir_error ignored;
    weir_relation *rel = weir_arena_zalloc(f->rels, sizeof *rel);
    if (weir_relation_decode(weir_arena_dup(f->rels, encoded), f->rels, rel, &ignored) != WEIR_OK) {
        return false;
    }
    weir_slice key = weir_slice_of((const char *)&rel->version, sizeof rel->version);
    *weir_map_slot(f->by_version, key, NULL) = rel;
    f->known = rel->version > f->known ? rel->version : f->known;
    return true;
}

static int fetch(weir_client_feed *f, int64_t wait_ms, weir_client_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_FETCH,
                         .name = weir_slice_z(f->name),
                         .has_after = f->has_after,
                         .after = f->after,
                         .max_bytes = FETCH_BYTES,
                         .wait_ms = (uint32_t)(wait_ms < 0       ? 0
                                               : wait_ms > 60000 ? 60000
                                                                 : wait_ms),
                         .known = f->known};
    weir_arena_reset(f->a);
    memset(&f->reply, 0, sizeof f->reply);
    f->frame = 0;
    int rc = ask(f->c, &req, wait_ms + FETCH_SLACK_MS, &f->bytes, f->a, &f->reply, err);
    for (size_t i = 0; i < f->reply.nrelations && rc == WEIR_CLIENT_OK; i++) {
        if (!learn(f, f->reply.relations[i])) {
            rc = weir_cl_error(err, WEIR_CLIENT_PROTOCOL, "a table's description cannot be read");
        }
    }
    if (rc != WEIR_CLIENT_OK) {
        f->reply.nframes = 0;
    }
    return rc;
}

/* --- events --- */

static weir_client_text text_of(weir_slice s)
{
    return (weir_client_text){s.p, s.n};
}

static const weir_client_value *values(weir_client_feed *f, const weir_relation *rel,
                                       const weir_tuple *row, size_t *n)
{
    static const int states[] = {[WEIR_VAL_NULL] = WEIR_CLIENT_NULL,
                                 [WEIR_VAL_TEXT] = WEIR_CLIENT_TEXT,
                                 [WEIR_VAL_UNCHANGED] = WEIR_CLIENT_UNCHANGED};
    weir_client_value *v = WEIR_ARENA_ARRAY(f->ea, weir_client_value, row->n);
    *n = v ? row->n : 0;
    for (size_t i = 0; i < *n; i++) {
        v[i].state = (weir_client_value_state)states[row->v[i].kind];
        v[i].text = text_of(row->v[i].text);
        if (i < rel->n) {
            v[i].column = text_of(rel->cols[i].name);
            v[i].key = rel->cols[i].key;
        }
    }
    return v;
}

static bool name_table(weir_client_feed *f, uint32_t version, weir_client_event *out,
                       const weir_relation **rel)
{
    *rel = weir_map_get(f->by_version, weir_slice_of((const char *)&version, sizeof version));
    if (*rel) {
        out->schema = text_of((*rel)->schema);
        out->table = text_of((*rel)->name);
    }
    return *rel != NULL;
}

static int kind_of(weir_ev_kind kind)
{
    switch (kind) {
    case WEIR_EV_INSERT: return WEIR_CLIENT_INSERT;
    case WEIR_EV_UPDATE: return WEIR_CLIENT_UPDATE;
    case WEIR_EV_DELETE: return WEIR_CLIENT_DELETE;
    case WEIR_EV_TRUNCATE: return WEIR_CLIENT_TRUNCATE;
    case WEIR_EV_MESSAGE: return WEIR_CLIENT_MESSAGE;
    case WEIR_EV_READ: return WEIR_CLIENT_READ;
    default: return 0;
    }
}

/* false: a kind of event that callers are not told, or - *lost - of a table nobody described. */
static bool show(weir_client_feed *f, const weir_ev *ev, weir_client_event *out, bool *lost)
{
    const weir_relation *rel = NULL;
    memset(out, 0, sizeof *out);
    out->kind = kind_of(ev->kind);
    (void)weir_lsn_print(f->head.commit_lsn, out->position);
    out->xid = f->head.xid;
    out->commit_us = f->head.commit_us + EPOCH_2000_US;
    if (out->kind == WEIR_CLIENT_MESSAGE) {
        out->prefix = text_of(ev->a);
        out->content = text_of(ev->b);
        return true;
    }
    if (out->kind == 0 || out->kind == WEIR_CLIENT_TRUNCATE) {
        return false;
    }
    *lost = !name_table(f, ev->rel, out, &rel);
    if (*lost) {
        return false;
    }
    if (ev->new_row.n > 0) {
        out->row = values(f, rel, &ev->new_row, &out->columns);
    }
    if (ev->old_row.n > 0) {
        out->old = values(f, rel, &ev->old_row, &out->old_columns);
    }
    return true;
}

static bool next_truncated(weir_client_feed *f, weir_client_event *out, bool *lost)
{
    const weir_relation *rel;
    while (f->truncated < f->truncate.nrels) {
        weir_ev one = {.kind = WEIR_EV_TRUNCATE};
        (void)show(f, &one, out, lost);
        *lost = !name_table(f, f->truncate.rels[f->truncated++], out, &rel);
        return !*lost;
    }
    f->truncate.nrels = 0;
    return false;
}

/* The next event of this reply: OK, NOTHING when it has no more, PROTOCOL. */
static int next_here(weir_client_feed *f, weir_client_event *out, weir_client_error *err)
{
    weir_error why = {0};
    weir_rc rc = WEIR_OK;
    bool lost = false;
    if (next_truncated(f, out, &lost)) {
        return WEIR_CLIENT_OK;
    }
    while (!lost) {
        weir_ev ev;
        if (!f->in_frame && f->frame == f->reply.nframes) {
            return WEIR_CLIENT_NOTHING;
        }
        if (!f->in_frame) {
            rc = weir_frame_open(&f->dec, f->reply.frames[f->frame++], &f->head, &why);
            f->in_frame = rc == WEIR_OK;
        }
        if (rc == WEIR_OK) {
            weir_arena_reset(f->ea);
            rc = weir_frame_next(&f->dec, f->ea, &ev, &why);
        }
        if (rc == WEIR_E_EOF) {
            f->in_frame = false;
            rc = WEIR_OK;
        } else if (rc != WEIR_OK) {
            return weir_cl_error(err, WEIR_CLIENT_PROTOCOL, "a frame cannot be read: %s", why.msg);
        } else if (ev.kind == WEIR_EV_TRUNCATE) {
            f->truncate = ev;
            f->truncated = 0;
            if (next_truncated(f, out, &lost)) {
                return WEIR_CLIENT_OK;
            }
        } else if (show(f, &ev, out, &lost)) {
            return WEIR_CLIENT_OK;
        }
    }
    return weir_cl_error(err, WEIR_CLIENT_PROTOCOL, "an event of a table nobody described");
}

int weir_client_feed_next(weir_client_feed *f, int64_t wait_ms, weir_client_event *event,
                          weir_client_error *err)
{
    weir_client_error mine;
    err = err ? err : &mine;
    int64_t until_ms = weir_mono_ms() + (wait_ms > 0 ? wait_ms : 0);
    for (bool empty = false;;) {
        int rc = next_here(f, event, err);
        if (rc != WEIR_CLIENT_NOTHING) {
            return rc;
        }
        if (f->reply.ok) { /* every event of it was given out, and the caller came again */
            f->after = f->reply.next;
            f->has_after = true;
            f->has_done = f->has_done || f->after.part == 0;
            f->done = f->after.part == 0 ? f->after.at : f->done;
            f->reply.ok = false;
        }
        /* A reply without frames may come early: the stream went on over what is not subscribed. */
        int64_t left_ms = until_ms - weir_mono_ms();
        if (empty && left_ms <= 0) {
            return weir_cl_error(err, WEIR_CLIENT_NOTHING, "no event in time");
        }
        rc = fetch(f, left_ms > 0 ? left_ms : 0, err);
        if (rc != WEIR_CLIENT_OK) {
            return rc;
        }
        empty = f->reply.nframes == 0;
    }
}

int weir_client_feed_ack(weir_client_feed *f, weir_client_error *err)
{
    weir_feed_reply reply;
    if (!f->has_done) {
        return WEIR_CLIENT_OK;
    }
    const weir_feed_req req = {.op = WEIR_FEED_ACK,
                               .name = weir_slice_z(f->name),
                               .has_after = true,
                               .after = {f->done, 0}};
    return tell(f->c, &req, &reply, err);
}
