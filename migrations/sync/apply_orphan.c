/* apply_orphan.c - both ways: rows whose parent the other side deleted.
 *
 * DESIGN. What is applied checks no foreign key: the other side has checked it, but not against the
 * children that were added here meanwhile. Deleting those, or bringing the parent back, would be a
 * decision about rows of which the other side knows nothing; so they stay, on both sides, and are
 * told in the conflict history of the side where the child was added. Here every such pair is met:
 * where the parent is deleted by what is applied, the child is there already, or it is refused. The
 * keys that went are kept until the group's end, since its children may go, and parents come, later
 * in the same group.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"

enum { SLICE_ROWS = 20000, KEYS_MAX_BYTES = 256 << 20, NAMES_MAX_BYTES = 1 << 20 };

extern const char weir_sql_foreign_keys[];

/* Some keys of one table that went. */
typedef struct gone {
    struct gone *next;
    const sync_map *m;
    size_t n;
    weir_buf col[]; /* an array literal per key column, not closed yet */
} gone;

struct sync_orphans {
    gone *first;
};

sync_orphans *sync_orphans_new(void)
{
    return weir_xcalloc(1, sizeof(sync_orphans));
}

void sync_orphans_forget(sync_orphans *o)
{
    while (o->first) {
        gone *g = o->first;
        o->first = g->next;
        for (uint16_t i = 0; i < g->m->nkey; i++) {
            weir_buf_fini(&g->col[i]);
        }
        free(g);
    }
}

void sync_orphans_free(sync_orphans *o)
{
    sync_orphans_forget(o);
    free(o);
}

static const char *key_names(sync_apply *s, const sync_map *m)
{
    weir_buf b;
    weir_buf_init(&b, NAMES_MAX_BYTES);
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_val name = {WEIR_VAL_TEXT, weir_slice_z(m->col[m->key[i]].name)};
        weir_buf_u8(&b, i ? ',' : '{');
        sync_put_element(&b, &name);
    }
    weir_buf_put(&b, "}", 2); /* with the NUL */
    const char *z = weir_arena_dupz(s->maps_arena, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

weir_rc sync_orphans_learn(sync_apply *s, sync_map *m, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    if (!s->conf.trace || m->nkey == 0) {
        return WEIR_OK;
    }
    const char *params[] = {m->schema, m->name, key_names(s, m)};
    weir_rc rc = weir_pg_query(s->x.pg, weir_sql_foreign_keys, 3, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    int n = weir_pg_nrows(rows);
    m->orphan_sql = WEIR_ARENA_ARRAY(s->maps_arena, const char *, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        if (weir_pg_isnull(rows, i, 2)) {
            WEIR_WARN("SYNC-ORPHANS-UNSEEN",
                      "flow=%s table=%s foreign_key=%s child=%s refers to other columns than the "
                      "key, or cannot be read: rows whose parent the other side deletes are not "
                      "told",
                      s->conf.flow, m->plain, weir_pg_valuez(rows, i, 0),
                      weir_pg_valuez(rows, i, 1));
        } else {
            m->orphan_sql[m->norphan_sql++] =
                weir_arena_dupz(s->maps_arena, weir_pg_value(rows, i, 2));
        }
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

void sync_orphans_note(sync_apply *s, const sync_map *m, const weir_val *old)
{
    sync_orphans *o = s->orphans;
    gone *g = o->first;
    while (g && (g->m != m || g->n == SLICE_ROWS)) {
        g = g->next;
    }
    if (!g) {
        g = weir_xcalloc(1, sizeof *g + m->nkey * sizeof g->col[0]);
        g->m = m;
        g->next = o->first;
        o->first = g;
        for (uint16_t i = 0; i < m->nkey; i++) {
            weir_buf_init(&g->col[i], KEYS_MAX_BYTES);
        }
    }
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_u8(&g->col[i], g->n ? ',' : '{');
        sync_put_element(&g->col[i], &old[m->key[i]]);
    }
    g->n++;
}

static weir_rc tell(sync_apply *s, const gone *g, size_t at, const char *const *params,
                    weir_error *err)
{
    const sync_map *m = g->m;
    char name[64];
    weir_pg_rows *rows = NULL;
    (void)snprintf(name, sizeof name, "orphan%d_%zu", m->id, at);
    weir_rc rc = sync_exec_send(&s->x, name, m->orphan_sql[at], m->nkey + 1, params, SYNC_ANY,
                                m->plain, err);
    rc = rc == WEIR_OK ? sync_exec_drain(&s->x, &rows, err) : rc;
    int64_t n = rc == WEIR_OK ? weir_pg_affected(rows) : 0;
    weir_pg_rows_free(rows);
    if (n > 0) {
        WEIR_WARN("SYNC-ORPHANS",
                  "flow=%s rows=%lld refer to rows of %s that the other side deleted: see "
                  "weir_sync.conflict, kind orphan",
                  s->conf.flow, (long long)n, m->plain);
        if (s->conf.counts) {
            atomic_fetch_add(&s->conf.counts->conflicts, (unsigned long long)n);
            atomic_fetch_add(&s->conf.counts->orphans, (unsigned long long)n);
        }
    }
    return rc;
}

static weir_rc look(sync_apply *s, gone *g, weir_error *err)
{
    const sync_map *m = g->m;
    const char *params[sizeof m->key / sizeof m->key[0] + 1];
    weir_rc rc = sync_apply_begin_tx(s, err);
    for (uint16_t i = 0; rc == WEIR_OK && i < m->nkey; i++) {
        weir_buf_put(&g->col[i], "}", 2); /* with the NUL */
        params[i] = g->col[i].p;
        rc = g->col[i].failed
                 ? weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too many bytes at once", m->plain)
                 : WEIR_OK;
    }
    params[m->nkey] = s->conf.flow;
    for (size_t i = 0; rc == WEIR_OK && i < m->norphan_sql; i++) {
        rc = tell(s, g, i, params, err);
    }
    return rc;
}

weir_rc sync_orphans_look(sync_apply *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (gone *g = s->orphans->first; rc == WEIR_OK && g; g = g->next) {
        rc = look(s, g, err);
    }
    sync_orphans_forget(s->orphans);
    return rc;
}
