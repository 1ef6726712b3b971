/* sqltext.c - the pieces of SQL that copying, applying and verifying share. */
#include "migrations/migrate/apply.h"

enum { LIST_MAX_BYTES = 16 << 20 };

static const char *taken(weir_buf *b, weir_arena *a)
{
    const char *z = weir_arena_dupz(a, weir_buf_slice(b));
    weir_buf_fini(b);
    return z;
}

const char *mig_source_key(const mig_ptable *t, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    for (int i = 0; i < t->src.nkey; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", mig_ident(a, t->src.cols[t->src.key[i]].name));
    }
    return taken(&b, a);
}

const char *mig_target_key(const mig_ptable *t, const char *prefix, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(&b, "%s%s%s", i ? ", " : "", prefix, t->cols[t->key[i]].quoted);
    }
    return taken(&b, a);
}

const char *mig_columns(const mig_ptable *t, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    for (int i = 0; i < t->ncols; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", t->cols[i].quoted);
    }
    return taken(&b, a);
}

const char *mig_exprs(const mig_ptable *t, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    for (int i = 0; i < t->ncols; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", t->cols[i].expr);
    }
    return taken(&b, a);
}

void mig_key_values(const mig_touched *t, int from, int to, weir_arena *a, weir_buf *out)
{
    for (int i = from; i < to; i++) {
        weir_buf_putz(out, i > from ? ", (" : "(");
        for (int k = 0; k < t->t->src.nkey; k++) {
            weir_buf_printf(out, "%s%s::%s", k ? ", " : "", weir_pg_literal(a, t->keys[i].v[k]),
                            t->t->src.cols[t->t->src.key[k]].type);
        }
        weir_buf_putz(out, ")");
    }
}

const char *mig_crawl_id(const mig_ptable *t, weir_arena *a)
{
    return weir_arena_printf(a, "%s.%s > %s", t->src.schema, t->src.name, t->label);
}
