/* rules.c - which rows a command locks, as far as its collisions have told. */
#include "write-service/rules.h"

#include <jansson.h>

#include "libweir/base/hash.h"

/* Longer bodies are not walked each time: what they collide with is found out by PostgreSQL. */
enum { BODY_MAX_BYTES = 64 << 10 };

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ (b + 0x9e3779b97f4a7c15U + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccdU;
    h ^= h >> 29;
    return h == WSVC_KEY_WHOLE || h == UINT64_MAX ? 1 : h;
}

static uint64_t domain(char kind, weir_slice name)
{
    return mix((uint64_t)(unsigned char)kind, weir_hash64(name));
}

uint64_t wsvc_domain_of_command(weir_slice name)
{
    return domain('c', name);
}

wsvc_key wsvc_key_of_idempotency(weir_slice key)
{
    return (wsvc_key){domain('i', WEIR_SLICE_LIT("")), mix('i', weir_hash64(key))};
}

wsvc_key wsvc_key_of_quarrel(void)
{
    return (wsvc_key){domain('q', WEIR_SLICE_LIT("")), 1};
}

static uint64_t value_of(uint64_t column, weir_slice value)
{
    return mix(column, weir_hash64(value));
}

/* --- keys of a body ------------------------------------------------------------------------------
 */

bool wsvc_rules_any(const wsvc_rules *r, int64_t now_ms)
{
    return r->npaths > 0 || (r->always.n > 0 && now_ms < r->always_until_ms) ||
           wsvc_heat_hot(&r->whole, now_ms);
}

typedef struct gather {
    const wsvc_rules *r;
    int64_t now_ms;
    wsvc_keys *out;
} gather;

static bool gather_value(void *arg, weir_slice path, weir_slice value)
{
    gather *g = arg;
    for (size_t i = 0; i < g->r->npaths; i++) {
        const wsvc_rule *u = &g->r->path[i];
        if (u->path_n == path.n && g->now_ms < u->until_ms &&
            memcmp(u->path, path.p, path.n) == 0) {
            wsvc_keys_add(g->out, (wsvc_key){u->domain, value_of(u->column, value)});
        }
    }
    return true;
}

void wsvc_rules_keys(const wsvc_rules *r, weir_slice body, int64_t now_ms, wsvc_keys *out)
{
    out->n = 0;
    if (wsvc_heat_hot(&r->whole, now_ms)) {
        wsvc_keys_add(out, (wsvc_key){r->self, WSVC_KEY_WHOLE});
    }
    if (now_ms < r->always_until_ms) {
        for (size_t i = 0; i < r->always.n; i++) {
            wsvc_keys_add(out, r->always.k[i]);
        }
    }
    if (r->npaths > 0 && body.n <= BODY_MAX_BYTES) {
        gather g = {r, now_ms, out};
        wsvc_walk(body, gather_value, &g);
    }
}

bool wsvc_rules_watched(wsvc_rules *r, int64_t now_ms)
{
    if (now_ms >= r->watch_from_ms) {
        r->watch_from_ms = INT64_MAX; /* until a lesson runs out */
        r->watch_until_ms = now_ms + WSVC_RULES_WATCH_MS;
    }
    return now_ms < r->watch_until_ms;
}

/* --- learning ------------------------------------------------------------------------------------
 */

static void drop_old(wsvc_rules *r, int64_t now_ms)
{
    for (size_t i = r->npaths; i-- > 0;) {
        if (now_ms >= r->path[i].until_ms) {
            r->path[i] = r->path[--r->npaths];
        }
    }
    if (now_ms >= r->always_until_ms) {
        r->always.n = 0;
    }
}

/* true: it was not known. */
static bool add_path(wsvc_rules *r, weir_slice path, uint64_t domain, uint64_t column,
                     int64_t until_ms)
{
    for (size_t i = 0; i < r->npaths; i++) {
        wsvc_rule *u = &r->path[i];
        if (u->path_n == path.n && memcmp(u->path, path.p, path.n) == 0 && u->domain == domain &&
            u->column == column) {
            return false; /* and as old as it is: what is wrong must not live for ever */
        }
    }
    if (r->npaths < WSVC_RULE_PATHS_MAX) {
        wsvc_rule *u = &r->path[r->npaths++];
        *u =
            (wsvc_rule){.path_n = path.n, .domain = domain, .column = column, .until_ms = until_ms};
        memcpy(u->path, path.p, path.n);
        return true;
    }
    return false;
}

void wsvc_rules_declare(wsvc_rules *r, weir_slice arg)
{
    for (size_t i = r->npaths; i-- > 0;) {
        if (r->path[i].until_ms == INT64_MAX) {
            r->path[i] = r->path[--r->npaths];
        }
    }
    if (arg.n == 0 || arg.n + 2 > WSVC_PATH_BYTES) {
        return;
    }
    char elements[WSVC_PATH_BYTES];
    memcpy(elements, arg.p, arg.n);
    memcpy(elements + arg.n, "[]", 2);
    (void)add_path(r, arg, domain('a', arg), 0, INT64_MAX);
    (void)add_path(r, weir_slice_of(elements, arg.n + 2), domain('a', arg), 0, INT64_MAX);
}

typedef struct match {
    wsvc_rules *r;
    weir_slice value;
    uint64_t domain, column;
    int64_t until_ms;
    bool found, added;
} match;

static bool match_value(void *arg, weir_slice path, weir_slice value)
{
    match *m = arg;
    if (weir_slice_eq(value, m->value)) {
        m->found = true;
        m->added |= add_path(m->r, path, m->domain, m->column, m->until_ms);
    }
    return true;
}

/* The first column of the row whose value stands in the body. false: none does. */
static bool learn_paths(wsvc_rules *r, weir_slice body, uint64_t table, const wsvc_collision *row,
                        int64_t until_ms, wsvc_key *key, bool *added)
{
    for (size_t i = 0; i < row->ncolumns; i++) {
        weir_slice value = wsvc_collision_value(row, i);
        match m = {r,        value, table, weir_hash64(wsvc_collision_column(row, i)),
                   until_ms, false, false};
        if (value.n > 0) {
            wsvc_walk(body, match_value, &m);
        }
        if (m.found) {
            *added = m.added;
            *key = (wsvc_key){table, value_of(m.column, value)};
            return true;
        }
    }
    return false;
}

/* One row that no field names is remembered as that row, several as their table. */
static bool learn_always(wsvc_rules *r, wsvc_key *key, int64_t now_ms)
{
    if (wsvc_keys_cover(&r->always, *key)) {
        return false;
    }
    for (size_t i = 0; i < r->always.n; i++) {
        if (r->always.k[i].domain == key->domain && r->always.k[i].value != key->value) {
            key->value = WSVC_KEY_WHOLE;
        }
    }
    wsvc_keys_add(&r->always, *key);
    r->always_until_ms = now_ms + WSVC_RULES_LIFE_MS;
    return true;
}

static wsvc_lesson learn_whole(wsvc_rules *r, const wsvc_keys *had, int64_t now_ms, wsvc_key *key)
{
    *key = (wsvc_key){r->self, WSVC_KEY_WHOLE};
    if (wsvc_keys_cover(had, *key)) {
        return WSVC_LESSON_KNOWN;
    }
    bool hot = wsvc_heat_hot(&r->whole, now_ms);
    wsvc_heat_collided(&r->whole, now_ms);
    return hot ? WSVC_LESSON_SETTLING : WSVC_LESSON_NEW;
}

wsvc_lesson wsvc_rules_learn(wsvc_rules *r, weir_slice body, const wsvc_collision *collision,
                             const wsvc_keys *had, int64_t now_ms, wsvc_key *key)
{
    wsvc_lesson lesson;
    drop_old(r, now_ms);
    if (!collision || collision->ncolumns == 0) {
        lesson = learn_whole(r, had, now_ms, key);
    } else {
        uint64_t table = domain('t', weir_slice_z(collision->table));
        int64_t until_ms = now_ms + WSVC_RULES_LIFE_MS;
        *key = (wsvc_key){table, value_of(weir_hash64(wsvc_collision_column(collision, 0)),
                                          wsvc_collision_value(collision, 0))};
        bool added = false;
        bool named = learn_paths(r, body, table, collision, until_ms, key, &added);
        lesson = WSVC_LESSON_KNOWN;
        if (!wsvc_keys_cover(had, *key)) {
            added = named ? added : learn_always(r, key, now_ms);
            lesson = added ? WSVC_LESSON_NEW : WSVC_LESSON_SETTLING;
        }
    }
    if (lesson == WSVC_LESSON_NEW) {
        r->learned_ms = now_ms;
        if (r->watch_from_ms == INT64_MAX || r->watch_from_ms <= now_ms) {
            r->watch_from_ms = now_ms + WSVC_RULES_LIFE_MS; /* of those known, the first runs out */
        }
        r->watch_until_ms = now_ms + WSVC_RULES_WATCH_MS;
    } else if (lesson == WSVC_LESSON_KNOWN && r->learned_ms > 0 &&
               now_ms - r->learned_ms < WSVC_RULES_SETTLE_MS) {
        lesson = WSVC_LESSON_SETTLING;
    }
    return lesson;
}
