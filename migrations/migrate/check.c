/* check.c - resolves a mapping against both databases and reports every problem it finds.
 *
 * Nothing stops at the first problem: a table that cannot be resolved is left out of what follows,
 * everything else is looked at. Only a lost connection ends the check.
 */
#include <stdio.h>

#include "libweir/base/str.h"
#include "migrations/migrate/plan.h"

/* An error of a statement that shows a problem is a problem; a lost connection is an error. */
static bool lost(weir_rc rc)
{
    return rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT;
}

static bool find_source(mig_checker *c, mig_ptable *t, weir_error *err, weir_rc *rc)
{
    const mig_text *from = &t->map->from;
    const char *schema = NULL, *name = NULL;
    if (!from->z) {
        return false;
    }
    if (!mig_name_split(c->a, from->z, &schema, &name)) {
        mig_problem_add(c->m, from->at, false, "from = schema.table",
                        "%s is no name of a table; rows come from one table, and columns from "
                        "expressions over its row",
                        from->z);
        return false;
    }
    schema = schema ? schema : "public";
    *rc = mig_rel_read(c->source, c->a, schema, name, true, &t->src, err);
    if (*rc != WEIR_OK) {
        return false;
    }
    if (!t->src.found) {
        const char *near = mig_rel_near(c->source, c->a, schema, name);
        mig_problem_add(c->m, from->at, false,
                        near ? weir_arena_printf(c->a, "did you mean %s?", near) : NULL,
                        "the source has no table %s", from->z);
    }
    return t->src.found;
}

static void source_problems(mig_checker *c, const mig_ptable *t)
{
    const mig_rel *r = &t->src;
    mig_place at = t->map->from.at;
    if (r->kind != 'r' && r->kind != 'p') {
        mig_problem_add(c->m, at, false, NULL,
                        "%s is no ordinary table: its changes are not in the stream", r->quoted);
        return;
    }
    if (r->partition) {
        mig_problem_add(c->m, at, false,
                        "name the partitioned table, and its rows by where if only some are meant",
                        "%s is a partition: its changes are told under the name of the whole",
                        r->quoted);
    }
    if (r->odd_partition[0]) {
        mig_problem_add(c->m, at, false,
                        "every partition needs to be an ordinary logged table, and whole and "
                        "partitions the replica identity DEFAULT (or FULL)",
                        "changes of the partition %s cannot be followed under the name %s",
                        r->odd_partition, r->quoted);
    }
    if (r->persistence != 'p') {
        mig_problem_add(c->m, at, false, "ALTER TABLE … SET LOGGED",
                        "%s is unlogged or temporary: its changes are not in the stream",
                        r->quoted);
    }
    if (!r->can_select) {
        mig_problem_add(c->m, at, false,
                        weir_arena_printf(c->a, "GRANT SELECT ON %s TO …", r->quoted),
                        "the source's user may not read %s", r->quoted);
    }
    if (!r->owned && !c->m->source_feed.z && !c->opts->running) {
        mig_problem_add(c->m, at, false, "GRANT its owner's role to the source's user",
                        "only the owner of %s may publish its changes", r->quoted);
    }
    if (r->row_security) {
        mig_problem_add(c->m, at, false, "use a role with BYPASSRLS, or the table's owner",
                        "row level security hides rows of %s from the source's user", r->quoted);
    }
    if (r->nkey == 0) {
        const char *why = r->identity == 'd'   ? "it has no primary key"
                          : r->identity == 'n' ? "its replica identity is NOTHING"
                          : r->identity == 'f' ? "it has no unique key without NULLs"
                                               : "its replica identity index is gone";
        mig_problem_add(c->m, at, false,
                        weir_arena_printf(c->a,
                                          "ALTER TABLE %s ADD PRIMARY KEY (…), or REPLICA IDENTITY "
                                          "USING INDEX a unique one",
                                          r->quoted),
                        "the rows of %s cannot be told apart: %s", r->quoted, why);
    }
}

static weir_rc find_target(mig_checker *c, mig_ptable *t, weir_error *err)
{
    const mig_table *map = t->map;
    weir_rc rc = mig_rel_read(c->target, c->a, map->schema.z, map->name.z, false, &t->dst, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    t->dst_sql = mig_qualified(c->a, map->schema.z, map->name.z);
    t->dst_from = t->dst.kind == 'p' ? t->dst_sql : weir_arena_printf(c->a, "ONLY %s", t->dst_sql);
    if (!t->dst.found) {
        if (!map->create) {
            const char *near = mig_rel_near(c->target, c->a, map->schema.z, map->name.z);
            mig_problem_add(c->m, map->at, false,
                            near
                                ? weir_arena_printf(c->a, "did you mean %s? or: create = yes", near)
                                : "create = yes lets the tool make it",
                            "the target has no table %s", t->dst_sql);
        }
        return WEIR_OK;
    }
    if (c->opts->running) {
        return WEIR_OK;
    }
    if (map->create) {
        mig_problem_add(c->m, map->at, false, "create = no, or drop it",
                        "create = yes, but the target has a table %s already", t->dst_sql);
    }
    if (t->dst.kind != 'r' && t->dst.kind != 'p') {
        mig_problem_add(c->m, map->at, false, NULL, "%s is no table", t->dst_sql);
    }
    if (!t->dst.can_write || !t->dst.can_select) {
        mig_problem_add(
            c->m, map->at, false,
            weir_arena_printf(c->a, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO …", t->dst_sql),
            "the target's user may not read and write %s", t->dst_sql);
    } else if (!t->dst.empty) {
        mig_problem_add(c->m, map->at, false,
                        weir_arena_printf(c->a, "TRUNCATE %s, if its rows may go", t->dst_sql),
                        "%s has rows already: what the source does not have would be left over",
                        t->dst_sql);
    }
    return WEIR_OK;
}

static bool skipped(mig_checker *c, const mig_table *map, const char *name)
{
    const char *p = map->skip.z, *word = NULL;
    bool bad = false;
    while (p && (word = mig_list_next(c->a, &p, &bad))) {
        if (strcmp(word, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_skip(mig_checker *c, const mig_ptable *t)
{
    const char *p = t->map->skip.z, *word = NULL;
    bool bad = false;
    while (p && (word = mig_list_next(c->a, &p, &bad))) {
        if (mig_attr_find(&t->src, word) < 0) {
            const char *near = mig_attr_near(&t->src, word);
            mig_problem_add(c->m, t->map->skip.at, false,
                            near ? weir_arena_printf(c->a, "did you mean %s?", near) : NULL,
                            "skip: %s has no column %s", t->src.quoted, word);
        }
    }
    if (bad) {
        mig_problem_add(c->m, t->map->skip.at, false, "skip = column, column", "this is no list");
    }
}

/* Explicit columns first, then what `columns = *` adds. */
static weir_rc take_columns(mig_checker *c, mig_ptable *t, weir_error *err)
{
    const mig_table *map = t->map;
    t->cols = WEIR_ARENA_ARRAY(c->a, mig_pcol, (size_t)(map->ncolumns + t->src.n + 1));
    for (int i = 0; i < map->ncolumns; i++) {
        mig_pcol col = {0};
        weir_rc rc = mig_check_column(c, t, &map->columns[i], &col, err);
        if (rc == WEIR_OK) {
            t->cols[t->ncols++] = col;
        } else if (rc != WEIR_E_INPUT) {
            return rc;
        }
    }
    for (int i = 0; map->star && i < t->src.n; i++) {
        const mig_attr *s = &t->src.cols[i];
        bool given = skipped(c, map, s->name);
        for (int k = 0; !given && k < map->ncolumns; k++) {
            given = strcmp(map->columns[k].name.z, s->name) == 0;
        }
        int d = t->dst.found ? mig_attr_find(&t->dst, s->name) : -1;
        if (given || (d >= 0 && t->dst.cols[d].generated)) {
            continue;
        }
        mig_column implied = {.name = {s->name, map->star_at},
                              .expr = {mig_ident(c->a, s->name), map->star_at},
                              .implied = true};
        mig_pcol col = {0};
        weir_rc rc = mig_check_column(c, t, &implied, &col, err);
        if (rc == WEIR_OK) {
            t->cols[t->ncols++] = col;
        } else if (rc != WEIR_E_INPUT) {
            return rc;
        }
    }
    return WEIR_OK;
}

/* Columns of the target nobody fills must be able to stay empty. */
static void check_left_out(mig_checker *c, const mig_ptable *t)
{
    for (int i = 0; t->dst.found && i < t->dst.n; i++) {
        const mig_attr *d = &t->dst.cols[i];
        bool filled = !d->not_null || d->has_default || d->generated || d->identity;
        for (int k = 0; !filled && k < t->ncols; k++) {
            filled = strcmp(t->cols[k].name, d->name) == 0;
        }
        for (int k = 0; !filled && k < t->map->ncolumns; k++) { /* given, but wrong: said already */
            filled = strcmp(t->map->columns[k].name.z, d->name) == 0;
        }
        if (!filled) {
            mig_problem_add(c->m, t->map->at, false,
                            weir_arena_printf(c->a, "column %s = …, or give it a default", d->name),
                            "%s.%s is NOT NULL without a default, and the mapping does not fill it",
                            t->dst_sql, d->name);
        }
    }
}

static weir_rc check_where(mig_checker *c, mig_ptable *t, weir_error *err)
{
    t->where = "TRUE";
    if (!t->map->where.z) {
        return WEIR_OK;
    }
    uint32_t type = 0;
    weir_rc rc = mig_check_expr(c, t, &t->map->where, "where", &type, err);
    if (rc == WEIR_OK && type != 16) {
        mig_problem_add(c->m, t->map->where.at, false, NULL, "where must be a condition");
    }
    t->where = weir_arena_printf(c->a, "(%s\n)", t->map->where.z);
    return rc == WEIR_E_INPUT ? WEIR_OK : rc;
}

static weir_rc check_table(mig_checker *c, mig_ptable *t, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    t->label = weir_arena_printf(c->a, "%s.%s", t->map->schema.z, t->map->name.z);
    bool have_source = find_source(c, t, err, &rc);
    rc = rc == WEIR_OK ? find_target(c, t, err) : rc;
    if (rc != WEIR_OK || !have_source) {
        return rc;
    }
    t->src_sql = t->src.quoted;
    t->src_from = t->src.kind == 'p' ? t->src_sql : weir_arena_printf(c->a, "ONLY %s", t->src_sql);
    source_problems(c, t);
    if (!t->src.can_select || (!t->dst.found && !t->map->create)) {
        return WEIR_OK;
    }
    check_skip(c, t);
    rc = take_columns(c, t, err);
    if (rc == WEIR_OK) {
        check_left_out(c, t);
        rc = check_where(c, t, err);
    }
    rc = rc == WEIR_OK ? mig_check_key(c, t, err) : rc;
    return rc == WEIR_OK ? mig_check_extras(c, t, err) : rc;
}

weir_rc mig_check(mig_mapping *m, weir_pg *source, weir_pg *target, const mig_check_opts *opts,
                  mig_plan **out, weir_error *err)
{
    mig_checker c = {.m = m, .source = source, .target = target, .a = m->a, .opts = opts};
    c.plan = weir_arena_zalloc(m->a, sizeof *c.plan);
    c.plan->m = m;
    c.plan->ntables = m->ntables;
    c.plan->tables = WEIR_ARENA_ARRAY(m->a, mig_ptable, (size_t)m->ntables + 1);
    c.plan->publication = weir_arena_printf(m->a, "weir_%s", m->name.z);
    weir_rc rc = mig_check_servers(&c, err);
    for (int i = 0; rc == WEIR_OK && i < m->ntables; i++) {
        c.plan->tables[i].map = &m->tables[i];
        rc = check_table(&c, &c.plan->tables[i], err);
        if (rc != WEIR_OK && !lost(rc)) {
            mig_problem_add(m, m->tables[i].at, false, NULL, "%s", err->msg);
            rc = WEIR_OK;
        }
    }
    rc = rc == WEIR_OK ? mig_check_sequences(&c, err) : rc;
    *out = c.plan;
    return rc;
}
