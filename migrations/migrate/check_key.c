/* check_key.c - by which columns a target row is found again, and the constraints and sequences of
 * the mapping. */
#include <stdio.h>

#include "libweir/base/str.h"
#include "migrations/migrate/plan.h"

static bool lost(weir_rc rc)
{
    return rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT;
}

static int col_find(const mig_ptable *t, const char *name)
{
    for (int i = 0; i < t->ncols; i++) {
        if (strcmp(t->cols[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* false: a problem was added. */
static bool key_add(mig_checker *c, mig_ptable *t, const char *name, mig_place at)
{
    int k = col_find(t, name);
    if (k < 0) {
        for (int i = 0; i < t->map->ncolumns; i++) {
            if (strcmp(t->map->columns[i].name.z, name) == 0) {
                return false; /* it is wrong, and has been told */
            }
        }
        mig_problem_add(c->m, at, false, weir_arena_printf(c->a, "column %s = …", name),
                        "the key column %s of %s is not filled", name, t->dst_sql);
        return false;
    }
    if (t->nkey == MIG_KEY_MAX) {
        mig_problem_add(c->m, at, false, NULL, "a key has at most %d columns", MIG_KEY_MAX);
        return false;
    }
    t->key[t->nkey++] = k;
    return true;
}

static bool key_given(mig_checker *c, mig_ptable *t)
{
    const char *p = t->map->key.z, *word = NULL;
    bool bad = false, ok = true;
    while ((word = mig_list_next(c->a, &p, &bad))) {
        ok = key_add(c, t, word, t->map->key.at) && ok;
    }
    if (bad) {
        mig_problem_add(c->m, t->map->key.at, false, "key = column, column", "this is no list");
    }
    return ok && !bad && t->nkey > 0;
}

/* The target's primary key; for a table the tool makes, the columns that are the source's key. */
static bool key_found(mig_checker *c, mig_ptable *t)
{
    /* A table the tool made has its primary key only once it is full. */
    if (t->dst.found && !t->map->create) {
        bool ok = t->dst.nkey > 0;
        for (int i = 0; i < t->dst.nkey; i++) {
            ok = key_add(c, t, t->dst.cols[t->dst.key[i]].name, t->map->at) && ok;
        }
        if (t->dst.nkey == 0) {
            mig_problem_add(c->m, t->map->at, false, "key = columns of a unique index",
                            "%s has no primary key to find a row again", t->dst_sql);
        }
        return ok;
    }
    for (int i = 0; i < t->src.nkey; i++) {
        int found = -1;
        for (int k = 0; found < 0 && k < t->ncols; k++) {
            found = t->cols[k].source_col == t->src.key[i] ? k : -1;
        }
        if (found < 0) {
            mig_problem_add(c->m, t->map->at, false, "key = …",
                            "%s needs a key: the source's key column %s is in no column as it is",
                            t->dst_sql, t->src.cols[t->src.key[i]].name);
            return false;
        }
        t->key[t->nkey++] = found;
    }
    return t->nkey > 0;
}

static weir_rc key_is_unique(mig_checker *c, const mig_ptable *t, weir_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1::oid AND i.indisunique AND "
        "i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND (SELECT "
        "array_agg(a.attname::text ORDER BY a.attname::text) FROM unnest(i.indkey::int2[]) "
        "WITH ORDINALITY k (n, place) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum "
        "= "
        "k.n WHERE k.place <= i.indnkeyatts) = (SELECT array_agg(x ORDER BY x) FROM "
        "unnest($2::text[]) x))";
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    weir_buf_putz(&b, "{");
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_putz(&b, i ? "," : "");
        weir_json_quote(&b, weir_slice_z(t->cols[t->key[i]].name)); /* also right in an array */
    }
    weir_buf_putz(&b, "}");
    const char *params[] = {weir_arena_printf(c->a, "%u", t->dst.oid),
                            weir_arena_dupz(c->a, weir_buf_slice(&b))};
    weir_buf_fini(&b);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->target, sql, 2, params, &r, err);
    if (rc == WEIR_OK && weir_pg_valuez(r, 0, 0)[0] != 't') {
        mig_problem_add(c->m, t->map->key.z ? t->map->key.at : t->map->at, false,
                        weir_arena_printf(c->a, "CREATE UNIQUE INDEX ON %s (…)", t->dst_sql),
                        "%s has no unique index on exactly its key: a change could not be put in "
                        "the row's place",
                        t->dst_sql);
    }
    weir_pg_rows_free(r);
    return rc;
}

/* A row that is gone from the source must be found in the target: the key may use the source's key
 * and nothing else. */
static weir_rc key_from_key(mig_checker *c, mig_ptable *t, weir_error *err)
{
    weir_buf b, names;
    weir_buf_init(&b, 1 << 20);
    weir_buf_init(&names, 1 << 16);
    weir_buf_putz(&b, "");
    for (int i = 0; i < t->src.nkey; i++) {
        const mig_attr *s = &t->src.cols[t->src.key[i]];
        weir_buf_printf(&b, "%sNULL::%s", i ? ", " : "", s->type);
        weir_buf_printf(&names, "%s%s", i ? ", " : "", mig_ident(c->a, s->name));
    }
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < t->nkey; i++) {
        const mig_pcol *col = &t->cols[t->key[i]];
        const char *sql = weir_arena_printf(
            c->a,
            "SELECT %s FROM (VALUES (" WEIR_SLICE_FMT ")) AS %s (" WEIR_SLICE_FMT ") WHERE false",
            col->expr, WEIR_SLICE_ARG(weir_buf_slice(&b)), mig_ident(c->a, t->src.name),
            WEIR_SLICE_ARG(weir_buf_slice(&names)));
        rc = weir_pg_query(c->source, sql, 0, NULL, NULL, err);
        if (rc != WEIR_OK && !lost(rc)) {
            mig_place at = t->map->at;
            for (int k = 0; k < t->map->ncolumns; k++) {
                if (strcmp(t->map->columns[k].name.z, col->name) == 0) {
                    int off = weir_pg_error_position(c->source) - 8; /* "SELECT (" */
                    at = off >= 0 ? mig_place_in(c->m, &t->map->columns[k].expr, off)
                                  : t->map->columns[k].expr.at;
                }
            }
            mig_problem_add(c->m, at, false,
                            weir_arena_printf(c->a, "a key is made of " WEIR_SLICE_FMT " only",
                                              WEIR_SLICE_ARG(weir_buf_slice(&names))),
                            "the key column %s is not made of the source's key alone, so a deleted "
                            "row could not be found: %s",
                            col->name, err->msg);
            rc = WEIR_OK;
        }
    }
    weir_buf_fini(&b);
    weir_buf_fini(&names);
    return rc;
}

static bool same_order(const mig_ptable *t)
{
    bool same = t->nkey == t->src.nkey;
    for (int i = 0; same && i < t->nkey; i++) {
        const mig_pcol *col = &t->cols[t->key[i]];
        same = col->source_col == t->src.key[i];
    }
    return same;
}

weir_rc mig_check_key(mig_checker *c, mig_ptable *t, weir_error *err)
{
    if (t->src.nkey == 0) {
        return WEIR_OK;
    }
    bool ok = t->map->key.z ? key_given(c, t) : key_found(c, t);
    if (!ok) {
        return WEIR_OK;
    }
    t->range = same_order(t);
    weir_rc rc = t->dst.found && !t->map->create ? key_is_unique(c, t, err) : WEIR_OK;
    return rc == WEIR_OK ? key_from_key(c, t, err) : rc;
}

/* "(columns) REFERENCES schema.table (columns)": the table named after REFERENCES, or NULL. */
static const char *referenced(mig_checker *c, const char *z)
{
    const char *p = z;
    while (*p && strncasecmp(p, "references", 10) != 0) {
        p++;
    }
    if (!*p) {
        return NULL;
    }
    p += 10;
    while (*p == ' ' || *p == '\t' || *p == '\n') {
        p++;
    }
    return weir_arena_dupz(c->a, weir_slice_of(p, strcspn(p, " \t\n(")));
}

static weir_rc check_foreign(mig_checker *c, const mig_ptable *t, const mig_extra *x,
                             weir_error *err)
{
    const char *name = referenced(c, x->text.z), *schema = NULL, *rel = NULL;
    if (!name || !mig_name_split(c->a, name, &schema, &rel)) {
        mig_problem_add(c->m, x->text.at, false,
                        "foreign_key = (column) REFERENCES schema.table (column)",
                        "this is no foreign key");
        return WEIR_OK;
    }
    schema = schema ? schema : "public";
    for (int i = 0; i < c->m->ntables; i++) {
        if (strcmp(c->m->tables[i].schema.z, schema) == 0 &&
            strcmp(c->m->tables[i].name.z, rel) == 0) {
            return WEIR_OK;
        }
    }
    mig_rel r;
    weir_rc rc = mig_rel_read(c->target, c->a, schema, rel, false, &r, err);
    if (rc == WEIR_OK && !r.found) {
        mig_problem_add(c->m, x->text.at, false, NULL,
                        "%s refers to %s.%s, which the target does not have and no section makes",
                        t->dst_sql, schema, rel);
    } else if (rc == WEIR_OK) {
        mig_problem_add(c->m, x->text.at, true, "fill it before the foreign keys are made",
                        "%s refers to %s, which this migration does not fill", t->dst_sql,
                        r.quoted);
    }
    return rc;
}

static bool has_column(const mig_ptable *t, const char *name)
{
    bool found = t->dst.found && mig_attr_find(&t->dst, name) >= 0;
    for (int i = 0; i < t->ncols && !found; i++) {
        found = strcmp(t->cols[i].name, name) == 0;
    }
    return found;
}

/* "(column, column)": built when the table is full, which is too late to find a slip of the pen.
 * Expressions are left to the target. */
static void check_listed(mig_checker *c, const mig_ptable *t, const mig_extra *x)
{
    const char *list = x->text.z + 1;
    size_t n = strcspn(list, "()");
    if (list[n] != ')') {
        return;
    }
    char *words = weir_arena_dupz(c->a, weir_slice_of(list, n));
    for (char *save = NULL, *w = strtok_r(words, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        weir_slice word = weir_slice_trim(weir_slice_z(w));
        const char *schema = NULL, *name = NULL;
        if (word.n && word.p[0] != '"') {
            size_t end = strcspn(word.p, " \t"); /* before DESC and the like */
            word.n = end < word.n ? end : word.n;
        }
        if (mig_name_split(c->a, weir_arena_dupz(c->a, word), &schema, &name) && !schema &&
            !has_column(t, name)) {
            mig_problem_add(c->m, x->text.at, false, NULL, "%s gets no column %s", t->dst_sql,
                            name);
        }
    }
}

weir_rc mig_check_extras(mig_checker *c, mig_ptable *t, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (const mig_extra *x = t->map->extras; rc == WEIR_OK && x; x = x->next) {
        if (x->kind == MIG_FOREIGN_KEY) {
            rc = check_foreign(c, t, x, err);
        } else if (x->text.z[0] != '(') {
            mig_problem_add(c->m, x->text.at, false,
                            x->kind == MIG_UNIQUE ? "unique = (column, column)"
                                                  : "index = (column, column)",
                            "columns in parentheses are expected here");
        } else {
            check_listed(c, t, x);
        }
    }
    bool triggers = t->dst.found && t->dst.has_triggers && !c->opts->running;
    for (const mig_extra *x = t->map->extras; !triggers && x; x = x->next) {
        triggers = x->kind == MIG_FOREIGN_KEY;
    }
    if (rc == WEIR_OK && triggers && !c->plan->replica_role) {
        mig_problem_add(c->m, t->map->at, false,
                        "GRANT SET ON PARAMETER session_replication_role TO … in the target",
                        "%s has triggers or foreign keys; rows come in another order than the "
                        "source wrote them, so they must rest until the cut-over, and the "
                        "target's user may not set session_replication_role",
                        t->dst_sql);
    }
    return rc;
}

static weir_rc check_sequence(mig_checker *c, weir_pg *pg, const mig_text *t, const char *side,
                              weir_error *err)
{
    const char *kind = "";
    weir_rc rc = mig_value(pg, c->a, "SELECT relkind FROM pg_class WHERE oid = to_regclass($1)",
                           t->z, &kind, err);
    if (rc == WEIR_OK && kind[0] != 'S') {
        mig_problem_add(c->m, t->at, false, NULL, "the %s has no sequence %s", side, t->z);
    }
    return rc == WEIR_OK || lost(rc) ? rc : WEIR_OK;
}

weir_rc mig_check_sequences(mig_checker *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < c->m->nsequences; i++) {
        rc = check_sequence(c, c->source, &c->m->sequences[i].source, "source", err);
        rc = rc == WEIR_OK ? check_sequence(c, c->target, &c->m->sequences[i].target, "target", err)
                           : rc;
    }
    return rc;
}
