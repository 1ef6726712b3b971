/* catalog_pg.c - the compiler's catalog read from PostgreSQL: one query per table, remembered. */
#include <stdlib.h>

#include "projector/sql/catalog.h"
#include "projector/sql/types.h"

extern const char weir_sql_catalog_table[];

typedef struct source {
    weir_pg *pg;
    const char *publication;
    weir_ptrs tables; /* weir_cat_table */
    weir_ptrs names;  /* asked name, same order */
    weir_mem m;
} source;

enum { JSON_OID = 114 };

/* Columns of catalog_table.sql's rows, by kind. */
enum {
    T_SCHEMA = 2,
    T_NAME,
    T_OID,
    T_RELKIND,
    T_IDENTITY,
    T_PUBLISHED,
    T_C_ORDER,
    T_CHILDREN,
    T_PARTLY
};
enum {
    C_ATTNUM = 1,
    C_NAME,
    C_SHOWN,
    C_TYPE,
    C_TYPMOD,
    C_TYPTYPE,
    C_NOT_NULL,
    C_GENERATED,
    C_C_ORDER,
    C_NONDETERMINISTIC,
    C_ELEM,
    C_PUBLISHED,
    C_DOMAIN
};
enum { I_NAME = 2, I_COLS, I_PRIMARY, I_USABLE, I_IDENTITY, I_DEFERRABLE };

static bool flag(const weir_pg_rows *r, int row, int col)
{
    return weir_slice_eqz(weir_pg_value(r, row, col), "1");
}

/* UNKNOWN: nothing that could be kept: json (spelling matters), composites, pseudo types, and what
 * the query says is like them. */
static weir_ty ty_of(uint32_t oid, char typtype)
{
    if (typtype == 'e') {
        return WEIR_TY_ENUM;
    }
    bool odd = typtype == 'c' || typtype == 'p' || oid == JSON_OID;
    return odd ? WEIR_TY_UNKNOWN : weir_ty_of_oid(oid);
}

/* "oid typtype" of an array's elements. */
static weir_ty elem_of(weir_slice s)
{
    char *end = NULL;
    uint32_t oid = (uint32_t)strtoul(s.p, &end, 10);
    return !end || (size_t)(end - s.p) + 2 > s.n ? WEIR_TY_UNKNOWN : ty_of(oid, end[1]);
}

static weir_cat_col column(source *s, const weir_pg_rows *r, int row)
{
    weir_slice elem = weir_pg_value(r, row, C_ELEM);
    char typtype = weir_pg_valuez(r, row, C_TYPTYPE)[0];
    weir_cat_col c = {
        .name = weir_mem_dup(&s->m, weir_pg_value(r, row, C_NAME)),
        .type_name = weir_mem_dup(&s->m, weir_pg_value(r, row, C_SHOWN)),
        .not_null = flag(r, row, C_NOT_NULL),
        .generated = flag(r, row, C_GENERATED),
        .nondeterministic = flag(r, row, C_NONDETERMINISTIC),
        .unpublished = !flag(r, row, C_PUBLISHED),
        .domain = (uint32_t)weir_pg_i64(r, row, C_DOMAIN),
    };
    c.type.oid = (uint32_t)weir_pg_i64(r, row, C_TYPE);
    c.type.typmod = (int32_t)weir_pg_i64(r, row, C_TYPMOD);
    c.type.c_order = flag(r, row, C_C_ORDER);
    c.type.ty = ty_of(c.type.oid, typtype);
    if (elem.n && c.type.ty != WEIR_TY_UNKNOWN) {
        c.type.elem = elem_of(elem);
        c.type.ty = c.type.elem == WEIR_TY_UNKNOWN ? WEIR_TY_UNKNOWN : WEIR_TY_ARRAY;
    }
    return c;
}

static int column_of_attnum(const int *attnums, int n, int64_t attnum)
{
    for (int i = 0; i < n; i++) {
        if (attnums[i] == attnum) {
            return i;
        }
    }
    return -1;
}

static weir_cat_index index_of(source *s, const weir_pg_rows *r, int row, const int *attnums,
                               int ncols)
{
    weir_cat_index x = {
        .name = weir_mem_dup(&s->m, weir_pg_value(r, row, I_NAME)),
        .primary = flag(r, row, I_PRIMARY),
        .usable = flag(r, row, I_USABLE),
        .deferrable = flag(r, row, I_DEFERRABLE),
        .cols = WEIR_MEM_ARRAY(&s->m, int, (size_t)ncols + 1),
    };
    const char *p = weir_pg_valuez(r, row, I_COLS);
    while (*p && x.ncols < ncols) {
        char *end = NULL;
        int col = column_of_attnum(attnums, ncols, strtol(p, &end, 10));
        if (end == p) {
            break;
        }
        x.usable &= col >= 0; /* 0 stands for an expression, negative for a system column */
        if (col >= 0) {
            x.cols[x.ncols++] = col;
        }
        p = end;
    }
    return x;
}

static void set_identity(weir_cat_table *t, const weir_pg_rows *r, int first_index)
{
    t->identity_index = -1;
    for (int i = 0; i < t->nindexes; i++) {
        bool ours = t->identity == 'i' ? flag(r, first_index + i, I_IDENTITY)
                                       : t->identity != 'n' && t->indexes[i].primary;
        if (ours && !t->indexes[i].deferrable) {
            t->identity_index = i;
        }
    }
}

static weir_cat_table *table_of(source *s, const weir_pg_rows *r)
{
    int n = weir_pg_nrows(r);
    weir_cat_table *t = WEIR_MEM_NEW(&s->m, weir_cat_table);
    int *attnums = WEIR_MEM_ARRAY(&s->m, int, (size_t)n + 1);
    int first_index = -1;
    t->cols = WEIR_MEM_ARRAY(&s->m, weir_cat_col, (size_t)n + 1);
    t->indexes = WEIR_MEM_ARRAY(&s->m, weir_cat_index, (size_t)n + 1);
    for (int i = 0; i < n;
         i++) { /* kinds come in the order t, i, c; indexes need the columns first */
        char kind = weir_pg_valuez(r, i, 0)[0];
        if (kind == 't') {
            t->schema = weir_mem_dup(&s->m, weir_pg_value(r, i, T_SCHEMA));
            t->name = weir_mem_dup(&s->m, weir_pg_value(r, i, T_NAME));
            t->oid = (uint32_t)weir_pg_i64(r, i, T_OID);
            t->relkind = weir_pg_valuez(r, i, T_RELKIND)[0];
            t->identity = weir_pg_valuez(r, i, T_IDENTITY)[0];
            t->published = flag(r, i, T_PUBLISHED);
            t->has_children = flag(r, i, T_CHILDREN);
            t->partly = flag(r, i, T_PARTLY);
        } else if (kind == 'c') {
            attnums[t->ncols] = (int)weir_pg_i64(r, i, C_ATTNUM);
            t->cols[t->ncols++] = column(s, r, i);
        }
    }
    for (int i = 0; i < n; i++) {
        if (weir_pg_valuez(r, i, 0)[0] == 'i') {
            first_index = first_index < 0 ? i : first_index;
            t->indexes[t->nindexes++] = index_of(s, r, i, attnums, t->ncols);
        }
    }
    set_identity(t, r, first_index);
    return t;
}

static const char *asked_name(source *s, weir_slice schema, weir_slice name)
{
    const char *n = weir_pg_ident(s->m.a, name);
    const char *q = schema.n ? weir_pg_ident(s->m.a, schema) : "";
    return weir_mem_printf(&s->m, "%s%s%s", q ? q : "", schema.n ? "." : "", n ? n : "");
}

static const weir_cat_table *remember(weir_catalog *c, source *s, const char *asked,
                                      weir_cat_table *t)
{
    for (int i = 0; i < c->ntables; i++) {
        if (c->tables[i]->oid == t->oid) {
            t = c->tables[i]; /* the same table under another spelling */
        }
    }
    weir_ptrs_push(&s->m, &s->names, (void *)asked);
    weir_ptrs_push(&s->m, &s->tables, t);
    c->tables = (weir_cat_table **)s->tables.p;
    c->ntables = s->tables.n;
    return t;
}

static const weir_cat_table *find(weir_catalog *c, weir_slice schema, weir_slice name,
                                  weir_error *err)
{
    source *s = c->env;
    const char *asked = asked_name(s, schema, name);
    for (int i = 0; i < s->names.n; i++) {
        if (strcmp(s->names.p[i], asked) == 0) {
            return s->tables.p[i];
        }
    }
    const char *params[] = {asked, s->publication};
    weir_pg_rows *r = NULL;
    if (weir_pg_query(s->pg, weir_sql_catalog_table, 2, params, &r, err) != WEIR_OK) {
        return NULL;
    }
    const weir_cat_table *t = NULL;
    if (weir_pg_nrows(r) > 0) {
        c->default_c_order = flag(r, 0, T_C_ORDER);
        t = remember(c, s, asked, table_of(s, r));
    } else {
        (void)weir_fail(err, WEIR_E_NOTFOUND, WEIR_EF_CLIENT, "there is no table %s", asked);
    }
    weir_pg_rows_free(r);
    if (s->m.failed) { /* what spilled over is gone, so forget it all */
        weir_mem_fini(&s->m);
        s->names.n = s->tables.n = c->ntables = 0;
        (void)weir_fail(err, WEIR_E_LIMIT, 0, "the catalog does not fit its memory");
        return NULL;
    }
    return t;
}

void weir_catalog_pg_init(weir_catalog *c, weir_pg *pg, const char *publication, weir_arena *a)
{
    *c = (weir_catalog){.find = find, .a = a};
    source *s = weir_arena_zalloc(a, sizeof(*s));
    if (!s) {
        abort(); /* an arena too small for its own head is our bug */
    }
    s->pg = pg;
    s->publication = publication;
    weir_mem_init(&s->m, a);
    c->env = s;
}
