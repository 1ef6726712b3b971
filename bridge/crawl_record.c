/* crawl_record.c - a crawl's records: big-endian integers, texts behind their length. */
#include "bridge/crawl_record.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"

enum { VERSION = 1, KEY_BYTES = 16, RECORD_MAX_BYTES = 16 * 1024 * 1024 };

const char *brg_crawl_state_name(brg_crawl_state state)
{
    static const char *const names[] = {"none", "running", "paused", "done", "failed", "cancelled"};
    return state <= BRG_CRAWL_CANCELLED ? names[state] : "?";
}

const char *brg_crawl_step_name(brg_crawl_step step)
{
    static const char *const names[] = {"waiting", "running", "running", "done", "failed"};
    return step <= BRG_TABLE_FAILED ? names[step] : "?";
}

static void forget_tables(brg_crawl_record *r)
{
    for (size_t i = 0; i < r->n; i++) {
        weir_arena_free(r->tables[i].a);
    }
    free(r->tables);
    r->tables = NULL;
    r->n = 0;
    r->resolved = false;
}

void brg_crawl_record_init(brg_crawl_record *r)
{
    *r = (brg_crawl_record){.a = weir_arena_new(0)};
}

void brg_crawl_record_fini(brg_crawl_record *r)
{
    forget_tables(r);
    weir_arena_free(r->a);
    r->a = NULL;
}

void brg_crawl_record_begin(brg_crawl_record *r, const brg_crawl_order *order)
{
    forget_tables(r);
    weir_arena_reset(r->a);
    *r = (brg_crawl_record){.a = r->a, .state = BRG_CRAWL_RUNNING, .order = *order};
    brg_crawl_order *o = &r->order;
    o->id = weir_arena_strdup(r->a, order->id);
    o->where = order->where ? weir_arena_strdup(r->a, order->where) : NULL;
    o->tables = weir_arena_calloc(r->a, o->ntables, sizeof *o->tables);
    for (size_t i = 0; i < o->ntables; i++) {
        o->tables[i].schema = weir_arena_strdup(r->a, order->tables[i].schema);
        o->tables[i].name = weir_arena_strdup(r->a, order->tables[i].name);
    }
}

void brg_crawl_record_tables(brg_crawl_record *r, size_t n)
{
    forget_tables(r);
    r->tables = weir_xcalloc(n ? n : 1, sizeof *r->tables);
    r->n = n;
    r->resolved = true;
}

void brg_crawl_table_at(brg_crawl_table *t, const weir_tuple *lo)
{
    weir_arena *a = weir_arena_new(0);
    weir_tuple copy = {lo->n, WEIR_ARENA_ARRAY(a, weir_val, lo->n)};
    for (uint16_t i = 0; i < lo->n; i++) {
        copy.v[i] = (weir_val){WEIR_VAL_TEXT, weir_arena_dup(a, lo->v[i].text)};
    }
    weir_arena_free(t->a);
    t->a = a;
    t->lo = copy;
}

/* --- writing
 * -----------------------------------------------------------------------------------------------------
 */

static void put_text(weir_buf *b, const char *z)
{
    weir_buf_u32(b, (uint32_t)strlen(z));
    weir_buf_putz(b, z);
}

static weir_slice key_of(char buf[KEY_BYTES], char kind, size_t table, uint64_t number, size_t n)
{
    buf[0] = kind;
    buf[1] = (char)(table >> 8);
    buf[2] = (char)table;
    for (int i = 0; i < 8; i++) {
        buf[3 + i] = (char)(number >> (56 - 8 * i));
    }
    return (weir_slice){buf, n};
}

static void put_record(weir_buf *batch, weir_slice key, weir_buf *value)
{
    batch->failed = batch->failed || value->failed;
    brg_batch_put(batch, key, weir_buf_slice(value));
    weir_buf_fini(value);
}

void brg_crawl_put_begin(weir_buf *batch, const brg_crawl_record *r)
{
    const brg_crawl_order *o = &r->order;
    weir_buf b;
    weir_buf_init(&b, RECORD_MAX_BYTES);
    weir_buf_u8(&b, VERSION);
    put_text(&b, o->id);
    weir_buf_u8(&b, o->where != NULL);
    put_text(&b, o->where ? o->where : "");
    weir_buf_u64(&b, o->rate);
    weir_buf_u32(&b, o->parallel);
    weir_buf_u32(&b, o->chunk_ms);
    weir_buf_u32(&b, o->load_percent);
    weir_buf_u64(&b, (uint64_t)o->created_us);
    weir_buf_u32(&b, (uint32_t)o->ntables);
    for (size_t i = 0; i < o->ntables; i++) {
        put_text(&b, o->tables[i].schema);
        put_text(&b, o->tables[i].name);
    }
    brg_batch_del(batch, WEIR_SLICE_LIT("a"), WEIR_SLICE_LIT("z"));
    put_record(batch, WEIR_SLICE_LIT("j"), &b);
    brg_crawl_put_want(batch, BRG_CRAWL_RUNNING);
}

void brg_crawl_put_want(weir_buf *batch, brg_crawl_state want)
{
    const char *text = want == BRG_CRAWL_PAUSED ? "p" : want == BRG_CRAWL_CANCELLED ? "c" : "r";
    brg_batch_put(batch, WEIR_SLICE_LIT("w"), weir_slice_z(text));
}

void brg_crawl_put_end(weir_buf *batch, const brg_crawl_record *r)
{
    weir_buf b;
    weir_buf_init(&b, RECORD_MAX_BYTES);
    weir_buf_u8(&b, (uint8_t)r->state);
    weir_buf_u64(&b, (uint64_t)r->ended_us);
    put_text(&b, r->error);
    put_record(batch, WEIR_SLICE_LIT("e"), &b);
}

void brg_crawl_put_table(weir_buf *batch, const brg_crawl_record *r, size_t table)
{
    const brg_crawl_table *t = &r->tables[table];
    char key[KEY_BYTES];
    weir_buf b;
    weir_buf_init(&b, RECORD_MAX_BYTES);
    put_text(&b, t->schema);
    put_text(&b, t->name);
    weir_buf_u8(&b, (uint8_t)t->step);
    weir_buf_u8(&b, t->window);
    weir_buf_u32(&b, t->restarts);
    weir_buf_u32(&b, t->oid);
    weir_buf_u16(&b, t->nkey);
    for (uint16_t i = 0; i < t->nkey; i++) {
        weir_buf_u16(&b, t->key[i]);
    }
    weir_buf_put(&b, t->shape.b, sizeof t->shape.b);
    weir_buf_u64(&b, t->rows);
    weir_buf_u64(&b, t->seen);
    weir_buf_u64(&b, t->estimate);
    put_text(&b, t->error);
    weir_buf_u16(&b, t->lo.n);
    for (uint16_t i = 0; i < t->lo.n; i++) {
        weir_buf_u32(&b, (uint32_t)t->lo.v[i].text.n);
        weir_buf_puts(&b, t->lo.v[i].text);
    }
    put_record(batch, key_of(key, 't', table, 0, 3), &b);
}

void brg_crawl_put_moved(weir_buf *batch, size_t table, uint64_t number, weir_slice key)
{
    char buf[KEY_BYTES];
    brg_batch_put(batch, key_of(buf, 'm', table, number, 11), key);
}

void brg_crawl_del_moved(weir_buf *batch, size_t table, uint64_t below)
{
    char from[KEY_BYTES];
    char to[KEY_BYTES];
    brg_batch_del(batch, key_of(from, 'm', table, 0, 11), key_of(to, 'm', table, below, 11));
}

typedef struct telling {
    weir_buf *batch;
    size_t table;
} telling;

static void tell(void *arg, uint64_t number, weir_slice key)
{
    telling *t = arg;
    brg_crawl_put_moved(t->batch, t->table, number, key);
}

void brg_crawl_moved(brg_windows *ws, weir_buf *batch)
{
    for (int i = 0; i < BRG_WINDOWS_MAX; i++) {
        telling to = {batch, (size_t)ws->crawl_table[i]};
        brg_window_tell_moved(ws->w[i], ws->crawl_table[i] >= 0 ? tell : NULL, &to);
    }
}

/* --- reading
 * -----------------------------------------------------------------------------------------------------
 */

static weir_slice get_slice(weir_rd *rd)
{
    uint32_t n = weir_rd_u32(rd);
    return weir_rd_bytes(rd, n);
}

static const char *get_text(weir_rd *rd, weir_arena *a)
{
    weir_slice s = get_slice(rd);
    return weir_arena_dupz(a, s.p ? s : WEIR_SLICE_LIT(""));
}

static bool get_order(brg_crawl_record *r, weir_slice v)
{
    weir_rd rd = weir_rd_of(v);
    brg_crawl_order *o = &r->order;
    if (weir_rd_u8(&rd) != VERSION) {
        return false;
    }
    o->id = get_text(&rd, r->a);
    bool filtered = weir_rd_u8(&rd) != 0;
    const char *where = get_text(&rd, r->a);
    o->where = filtered ? where : NULL;
    o->rate = weir_rd_u64(&rd);
    o->parallel = weir_rd_u32(&rd);
    o->chunk_ms = weir_rd_u32(&rd);
    o->load_percent = weir_rd_u32(&rd);
    o->created_us = (int64_t)weir_rd_u64(&rd);
    uint32_t n = weir_rd_u32(&rd);
    if (!weir_rd_ok(&rd) || n > BRG_CRAWL_TABLES_MAX) {
        return false;
    }
    o->ntables = n;
    o->tables = weir_arena_calloc(r->a, n, sizeof *o->tables);
    for (uint32_t i = 0; i < n; i++) {
        o->tables[i].schema = get_text(&rd, r->a);
        o->tables[i].name = get_text(&rd, r->a);
    }
    return weir_rd_finish(&rd);
}

static bool get_lo(brg_crawl_table *t, weir_rd *rd)
{
    weir_val v[BRG_KEYS_MAX];
    weir_tuple lo = {weir_rd_u16(rd), v};
    if (!weir_rd_ok(rd) || lo.n > BRG_KEYS_MAX) {
        return false;
    }
    for (uint16_t i = 0; i < lo.n; i++) {
        v[i] = (weir_val){WEIR_VAL_TEXT, get_slice(rd)};
    }
    if (!weir_rd_finish(rd)) {
        return false;
    }
    brg_crawl_table_at(t, &lo);
    return true;
}

static bool get_table(brg_crawl_record *r, brg_crawl_table *t, weir_slice v)
{
    weir_rd rd = weir_rd_of(v);
    t->schema = get_text(&rd, r->a);
    t->name = get_text(&rd, r->a);
    t->step = (brg_crawl_step)weir_rd_u8(&rd);
    t->window = weir_rd_u8(&rd);
    t->restarts = weir_rd_u32(&rd);
    t->oid = weir_rd_u32(&rd);
    t->nkey = weir_rd_u16(&rd);
    if (!weir_rd_ok(&rd) || t->nkey > BRG_KEYS_MAX || t->step > BRG_TABLE_FAILED ||
        t->window >= BRG_WINDOWS_MAX) {
        return false;
    }
    for (uint16_t i = 0; i < t->nkey; i++) {
        t->key[i] = weir_rd_u16(&rd);
    }
    weir_slice shape = weir_rd_bytes(&rd, sizeof t->shape.b);
    if (shape.p) {
        memcpy(t->shape.b, shape.p, shape.n);
    }
    t->rows = weir_rd_u64(&rd);
    t->seen = weir_rd_u64(&rd);
    t->estimate = weir_rd_u64(&rd);
    weir_slice error = get_slice(&rd);
    (void)snprintf(t->error, sizeof t->error, "%.*s", (int)error.n, error.n ? error.p : "");
    return get_lo(t, &rd);
}

static bool get_end(brg_crawl_record *r, weir_slice v)
{
    weir_rd rd = weir_rd_of(v);
    uint8_t state = weir_rd_u8(&rd);
    r->ended_us = (int64_t)weir_rd_u64(&rd);
    weir_slice error = get_slice(&rd);
    (void)snprintf(r->error, sizeof r->error, "%.*s", (int)error.n, error.n ? error.p : "");
    r->state = (brg_crawl_state)state;
    return weir_rd_finish(&rd) && state >= BRG_CRAWL_DONE && state <= BRG_CRAWL_CANCELLED;
}

typedef struct loading {
    brg_crawl_record *r;
    brg_windows *ws;
    size_t tables; /* how many there are */
    bool moved;    /* the pass over moved keys: windows watch */
    bool bad, order, ended;
    brg_crawl_state want;
} loading;

static size_t table_of(weir_slice key)
{
    return (size_t)(unsigned char)key.p[1] << 8 | (unsigned char)key.p[2];
}

static void load_moved(loading *l, weir_slice key, weir_slice value)
{
    weir_rd rd = weir_rd_of((weir_slice){key.p + 3, key.n - 3});
    uint64_t number = weir_rd_u64(&rd);
    size_t table = table_of(key);
    if (table < l->r->n) {
        const brg_crawl_table *t = &l->r->tables[table];
        if (l->ws->crawl_table[t->window] == (int)table) {
            l->bad = !brg_window_put_moved(l->ws->w[t->window], number, value) || l->bad;
        }
    }
}

/* Keys come in order: e, j, m…, t…, w; so moved keys take a second pass, and tables are counted
 * first. */
static void load_one(void *arg, weir_slice key, weir_slice value)
{
    loading *l = arg;
    char kind = key.p[0];
    if (l->moved) {
        if (kind == 'm' && key.n == 11) {
            load_moved(l, key, value);
        }
        return;
    }
    if (kind == 'j') {
        l->order = true;
        l->bad = !get_order(l->r, value) || l->bad;
    } else if (kind == 't' && key.n == 3 && table_of(key) < l->r->n) {
        l->bad = !get_table(l->r, &l->r->tables[table_of(key)], value) || l->bad;
    } else if (kind == 'e') {
        l->ended = true;
        l->bad = !get_end(l->r, value) || l->bad;
    } else if (kind == 'w' && value.n == 1) {
        l->want = value.p[0] == 'p'   ? BRG_CRAWL_PAUSED
                  : value.p[0] == 'c' ? BRG_CRAWL_CANCELLED
                                      : BRG_CRAWL_RUNNING;
    }
}

static void count_tables(void *arg, weir_slice key, weir_slice value)
{
    loading *l = arg;
    (void)value;
    if (key.p[0] == 't' && key.n == 3 && table_of(key) >= l->tables) {
        l->tables = table_of(key) + 1;
    }
}

static void watch_again(brg_crawl_record *r, brg_windows *ws)
{
    for (size_t i = 0; i < r->n; i++) {
        const brg_crawl_table *t = &r->tables[i];
        if (t->step == BRG_TABLE_RUNNING || t->step == BRG_TABLE_READ) {
            brg_window_watch(ws->w[t->window], t->oid, t->key, t->nkey);
            ws->crawl_table[t->window] = (int)i;
        }
    }
}

weir_rc brg_crawl_load(brg_crawl_record *r, brg_store *s, brg_windows *ws, weir_error *err)
{
    loading l = {.r = r, .ws = ws, .want = BRG_CRAWL_RUNNING};
    weir_rc rc = brg_store_each(s, s->crawl, count_tables, &l, err);
    if (rc == WEIR_OK && l.tables > 0) {
        brg_crawl_record_tables(r, l.tables);
    }
    if (rc == WEIR_OK) {
        rc = brg_store_each(s, s->crawl, load_one, &l, err);
    }
    if (rc != WEIR_OK || !l.order) {
        return rc;
    }
    r->state = l.ended ? r->state : l.want;
    if (!l.ended && !l.bad && l.want != BRG_CRAWL_CANCELLED) {
        l.moved = true;
        watch_again(r, ws);
        rc = brg_store_each(s, s->crawl, load_one, &l, err);
    }
    if (l.bad) {
        r->state = BRG_CRAWL_FAILED;
        (void)snprintf(r->error, sizeof r->error,
                       "what the log holds of this crawl makes no sense; start another");
        WEIR_WARN("BRG-CRAWL-BAD", "%s", r->error);
    }
    return rc;
}
