/* apply_tell.c - two ways: what a group tells the other flow, and what that one told us.
 *
 * DESIGN. Of the two flows of a sync one decides (into the database called source), the other
 * defers. A change that meets a row whose last change it did not know of is, at the deferring side,
 * not applied: what is there stays. The same two changes meet at the deciding side too; there the
 * policy is asked, and the row as it is afterwards goes, in the deciding transaction, to the other
 * side, which takes it over unless the row was changed there again: then that change meets the
 * decision. So the sides end equal whatever the policy, the function or the clocks say.
 *
 * A change that did not know of a decision about its row is a conflict too: decisions are kept in
 * weir_sync.decision until the other flow confirms that it passed them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"

enum { TEXT_MAX_BYTES = 256 << 20 };

/* A row this group decided on. */
typedef struct decided {
    const sync_map *m;
    const char *key; /* JSON */
    const char **values;
} decided;

/* What came in the running transaction, in order. */
typedef struct heard {
    sync_told told;
    struct heard *next;
} heard;

struct sync_telling {
    int64_t *us; /* transactions of the group */
    size_t nus, cap;
    weir_buf text, name;
    weir_arena *keep;  /* of the group */
    weir_map *decided; /* table NUL key -> decided */
    weir_map *pending; /* the same -> id; committed, not confirmed */
    uint64_t id;       /* the last one given */
    uint64_t confirmed;
    bool confirmed_moved;
    uint64_t taken; /* the other flow's decision this group took over; 0 none */
    weir_arena *heard_arena;
    heard *first, **last;
};

sync_telling *sync_telling_new(void)
{
    sync_telling *t = weir_xcalloc(1, sizeof *t);
    t->keep = weir_arena_new(0);
    t->heard_arena = weir_arena_new(0);
    t->decided = weir_map_new();
    t->pending = weir_map_new();
    t->last = &t->first;
    weir_buf_init(&t->text, TEXT_MAX_BYTES);
    weir_buf_init(&t->name, TEXT_MAX_BYTES);
    return t;
}

void sync_telling_free(sync_telling *t)
{
    weir_arena_free(t->keep);
    weir_arena_free(t->heard_arena);
    weir_map_free(t->decided);
    weir_map_free(t->pending);
    weir_buf_fini(&t->text);
    weir_buf_fini(&t->name);
    free(t->us);
    free(t);
}

static void forget_heard(sync_telling *t)
{
    t->first = NULL;
    t->last = &t->first;
    weir_arena_reset(t->heard_arena);
}

static void forget_group(sync_telling *t)
{
    t->nus = 0;
    t->taken = 0;
    weir_map_clear(t->decided);
    weir_arena_reset(t->keep);
}

static weir_slice slot_name(sync_telling *t, weir_slice table, weir_slice key)
{
    weir_buf_reset(&t->name);
    weir_buf_puts(&t->name, table);
    weir_buf_u8(&t->name, '\0');
    weir_buf_puts(&t->name, key);
    return weir_buf_slice(&t->name);
}

static void set_pending(sync_telling *t, weir_slice name, uint64_t id)
{
    *weir_map_slot(t->pending, name, NULL) = (void *)(uintptr_t)id;
}

const char *sync_tell_key(sync_apply *s, const sync_map *m, const weir_val *v)
{
    weir_buf b;
    weir_buf_init(&b, TEXT_MAX_BYTES);
    for (uint16_t i = 0; i < m->nkey; i++) {
        const weir_val *k = &v[m->key[i]];
        weir_buf_putz(&b, i ? ", " : "[");
        if (k->kind == WEIR_VAL_TEXT) {
            weir_json_quote(&b, k->text);
        } else {
            weir_buf_putz(&b, "null");
        }
    }
    weir_buf_putz(&b, "]");
    const char *z = b.failed ? NULL : weir_arena_dupz(s->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

weir_rc sync_tell_resume(sync_apply *s, weir_error *err)
{
    sync_telling *t = s->tell;
    weir_pg_rows *rows = NULL;
    const char *params[] = {s->conf.flow};
    forget_group(t);
    forget_heard(t);
    weir_map_clear(t->pending);
    t->confirmed = 0;
    t->confirmed_moved = false;
    if (!s->conf.decides) {
        return WEIR_OK;
    }
    weir_rc rc =
        weir_pg_query(s->x.pg, "SELECT tab, key, id FROM weir_sync.decision WHERE flow = $1", 1,
                      params, &rows, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(rows); i++) {
        uint64_t id = (uint64_t)weir_pg_i64(rows, i, 2);
        set_pending(t, slot_name(t, weir_pg_value(rows, i, 0), weir_pg_value(rows, i, 1)), id);
        t->id = id > t->id ? id : t->id;
    }
    weir_pg_rows_free(rows);
    return rc;
}

/* --- what this group says -------------------------------------------------------------------- */

void sync_tell_note(sync_apply *s, int64_t commit_us)
{
    sync_telling *t = s->tell;
    if (t->nus == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->us = weir_xrealloc(t->us, t->cap * sizeof *t->us);
    }
    t->us[t->nus++] = commit_us;
}

void sync_tell_decide(sync_apply *s, const sync_map *m, const weir_val *v)
{
    sync_telling *t = s->tell;
    const char *key = sync_tell_key(s, m, v);
    if (!key) {
        return; /* larger than anything an index holds */
    }
    void **slot =
        weir_map_slot(t->decided, slot_name(t, weir_slice_z(m->table), weir_slice_z(key)), NULL);
    decided *d = *slot ? *slot : WEIR_ARENA_ARRAY(t->keep, decided, 1);
    d->m = m;
    d->key = weir_arena_strdup(t->keep, key);
    d->values = WEIR_ARENA_ARRAY(t->keep, const char *, m->nkey);
    for (uint16_t i = 0; i < m->nkey; i++) {
        d->values[i] = weir_arena_dupz(t->keep, v[m->key[i]].text);
    }
    *slot = d;
}

bool sync_tell_undecided(sync_apply *s, const sync_map *m, const weir_val *v)
{
    sync_telling *t = s->tell;
    if (weir_map_len(t->decided) == 0 && weir_map_len(t->pending) == 0) {
        return false;
    }
    const char *key = sync_tell_key(s, m, v);
    weir_slice name = slot_name(t, weir_slice_z(m->table), weir_slice_z(key ? key : ""));
    uint64_t id = (uint64_t)(uintptr_t)weir_map_get(t->pending, name);
    return weir_map_has(t->decided, name) || id > t->confirmed;
}

bool sync_tell_due(const sync_apply *s)
{
    const sync_telling *t = s->tell;
    return t->nus > 0 || t->taken > 0 || t->confirmed_moved;
}

/* The statement that says how a row is: read in the group's transaction, so it is what is
 * committed. Parameters: id, the key's values. */
static const char *decision_sql(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, 4 << 20);
    weir_buf_printf(&b,
                    "SELECT pg_logical_emit_message(true, 'weir.sync', json_build_object('id', "
                    "$1::text, 'schema', %s, 'name', %s, 'cols', to_json(ARRAY[",
                    weir_pg_literal(a, weir_slice_z(m->schema)),
                    weir_pg_literal(a, weir_slice_z(m->name)));
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "",
                        weir_pg_literal(a, weir_slice_z(m->col[i].name)));
    }
    weir_buf_putz(&b, "]::text[]), 'key', to_json(ARRAY[");
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "",
                        weir_pg_literal(a, weir_slice_z(m->col[m->key[i]].name)));
    }
    weir_buf_putz(&b, "]::text[]), 'k', to_json(ARRAY[");
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(&b, "%s$%d::text", i ? ", " : "", i + 2);
    }
    weir_buf_putz(&b, "]), 'row', (SELECT to_json(ARRAY[");
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(&b, "%st.%s::text", i ? ", " : "", m->col[i].ident);
    }
    weir_buf_printf(&b, "]) FROM %s AS t WHERE ", m->from);
    for (uint16_t i = 0; i < m->nkey; i++) {
        const sync_column *c = &m->col[m->key[i]];
        weir_buf_printf(&b, "%st.%s = ($%d::text)::%s", i ? " AND " : "", c->ident, i + 2, c->type);
    }
    weir_buf_putz(&b, "))::text)");
    const char *z = b.failed ? NULL : weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static weir_rc send_decision(sync_apply *s, const decided *d, const char *id, weir_error *err)
{
    char name[64];
    const sync_map *m = d->m;
    const char **params = WEIR_ARENA_ARRAY(s->tell->keep, const char *, m->nkey + 1);
    (void)snprintf(name, sizeof name, "Q%d", m->id);
    void **slot = weir_map_slot(s->sql, weir_slice_z(name), NULL);
    if (!*slot) {
        *slot = (void *)(uintptr_t)decision_sql(m, s->maps_arena);
    }
    if (!*slot) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too wide to tell of it", m->plain);
    }
    params[0] = id;
    for (uint16_t i = 0; i < m->nkey; i++) {
        params[i + 1] = d->values[i];
    }
    weir_rc rc = sync_exec_send(&s->x, name, *slot, m->nkey + 1, params, SYNC_ANY, m->plain, err);
    const char *row[] = {s->conf.flow, m->table, d->key, id};
    return rc == WEIR_OK
               ? sync_exec_send(&s->x, "decision",
                                "INSERT INTO weir_sync.decision (flow, tab, key, id) VALUES ($1, "
                                "$2, $3, $4::bigint) ON CONFLICT (flow, tab, key) DO UPDATE SET id "
                                "= excluded.id",
                                4, row, 1, "weir_sync.decision", err)
               : rc;
}

static weir_rc send_decisions(sync_apply *s, weir_error *err)
{
    sync_telling *t = s->tell;
    weir_map_iter it = {0};
    weir_rc rc = WEIR_OK;
    uint64_t now = (uint64_t)(weir_wall_us() - WEIR_PG_EPOCH_US);
    t->id = now > t->id ? now : t->id + 1; /* upwards, also when the clock goes back */
    const char *id = weir_arena_printf(t->keep, "%" PRIu64, t->id);
    while (rc == WEIR_OK && weir_map_next(t->decided, &it)) {
        rc = send_decision(s, it.value, id, err);
    }
    return rc;
}

static weir_rc send_message(sync_apply *s, const char *text, weir_error *err)
{
    return sync_exec_send(&s->x, "tell", "SELECT pg_logical_emit_message(true, 'weir.sync', $1)", 1,
                          &text, SYNC_ANY, NULL, err);
}

weir_rc sync_tell_send(sync_apply *s, weir_error *err)
{
    sync_telling *t = s->tell;
    weir_rc rc = WEIR_OK;
    if (weir_map_len(t->decided) > 0) {
        rc = send_decisions(s, err);
    }
    if (rc == WEIR_OK && t->nus > 0) {
        weir_buf_reset(&t->text);
        sync_tell_seen(&t->text, t->us, t->nus);
        weir_buf_u8(&t->text, '\0');
        rc = t->text.failed ? weir_fail(err, WEIR_E_LIMIT, 0, "too many transactions at once")
                            : send_message(s, t->text.p, err);
    }
    if (rc == WEIR_OK && t->taken > 0) {
        rc = send_message(s, weir_arena_printf(t->keep, "A %" PRIu64, t->taken), err);
    }
    if (rc == WEIR_OK && t->confirmed_moved) {
        const char *params[] = {s->conf.flow, weir_arena_printf(t->keep, "%" PRIu64, t->confirmed)};
        rc = sync_exec_send(&s->x, "confirmed",
                            "DELETE FROM weir_sync.decision WHERE flow = $1 AND id <= $2::bigint",
                            2, params, SYNC_ANY, NULL, err);
    }
    return rc;
}

static void drop_confirmed(sync_telling *t)
{
    weir_map *left = weir_map_new();
    weir_map_iter it = {0};
    while (weir_map_next(t->pending, &it)) {
        if ((uint64_t)(uintptr_t)it.value > t->confirmed) {
            *weir_map_slot(left, it.key, NULL) = it.value;
        }
    }
    weir_map_free(t->pending);
    t->pending = left;
    t->confirmed_moved = false;
}

void sync_tell_sent(sync_apply *s)
{
    sync_telling *t = s->tell;
    weir_map_iter it = {0};
    while (weir_map_next(t->decided, &it)) {
        set_pending(t, it.key, t->id);
    }
    if (t->confirmed_moved) {
        drop_confirmed(t);
    }
    forget_group(t);
}

/* --- what the other flow says ---------------------------------------------------------------- */

weir_rc sync_tell_hear(sync_apply *s, weir_slice content, weir_error *err)
{
    sync_telling *t = s->tell;
    heard *h = weir_arena_zalloc(t->heard_arena, sizeof *h);
    weir_rc rc = sync_told_read(content, t->heard_arena, &h->told, err);
    if (rc == WEIR_OK) {
        *t->last = h;
        t->last = &h->next;
    }
    return rc;
}

/* The relation must outlive the message. */
static weir_relation *keep_relation(weir_arena *a, const weir_relation *rel)
{
    weir_relation *r = WEIR_ARENA_ARRAY(a, weir_relation, 1);
    *r = *rel;
    r->schema = weir_arena_dup(a, rel->schema);
    r->name = weir_arena_dup(a, rel->name);
    r->cols = WEIR_ARENA_ARRAY(a, weir_column, rel->n);
    for (uint16_t i = 0; i < rel->n; i++) {
        r->cols[i] = rel->cols[i];
        r->cols[i].name = weir_arena_dup(a, rel->cols[i].name);
    }
    return r;
}

static weir_slice relation_slot(sync_telling *t, const weir_relation *rel)
{
    weir_buf_reset(&t->name);
    weir_buf_putz(&t->name, "decision");
    weir_buf_puts(&t->name, rel->schema);
    weir_buf_u8(&t->name, '\0');
    weir_buf_puts(&t->name, rel->name);
    for (uint16_t i = 0; i < rel->n; i++) {
        weir_buf_u8(&t->name, rel->cols[i].key ? 1 : 0);
        weir_buf_puts(&t->name, rel->cols[i].name);
    }
    return weir_buf_slice(&t->name);
}

static weir_rc take_decision(sync_apply *s, const sync_tx *tx, const sync_decision *d,
                             weir_error *err)
{
    sync_map *m = NULL;
    weir_slice slot = relation_slot(s->tell, &d->rel);
    const weir_relation *rel =
        weir_map_has(s->maps, slot) ? &d->rel : keep_relation(s->maps_arena, &d->rel);
    weir_rc rc = sync_apply_route(s, slot, rel, &m, err);
    if (rc != WEIR_OK || m->kind != SYNC_ROUTE_DIRECT) {
        return rc;
    }
    weir_tuple row = {d->rel.n, d->v};
    const weir_val *v = sync_apply_values(s, m, &row, NULL);
    rc = sync_apply_decided(s, tx, m, v, d->gone, err);
    s->tell->taken = d->id > s->tell->taken ? d->id : s->tell->taken;
    return rc;
}

weir_rc sync_tell_heard(sync_apply *s, const sync_tx *tx, weir_error *err)
{
    sync_telling *t = s->tell;
    weir_rc rc = WEIR_OK;
    for (const heard *h = t->first; h; h = h->next) {
        for (size_t i = 0; i < h->told.nseen; i++) {
            sync_seen_add(&s->seen, h->told.seen_us[i]);
        }
        if (h->told.ack && h->told.ack_id > t->confirmed) {
            t->confirmed = h->told.ack_id;
            t->confirmed_moved = weir_map_len(t->pending) > 0;
        }
    }
    for (const heard *h = t->first; rc == WEIR_OK && h; h = h->next) {
        rc = h->told.decision && s->conf.defers ? take_decision(s, tx, h->told.decision, err) : rc;
    }
    forget_heard(t);
    return rc;
}
