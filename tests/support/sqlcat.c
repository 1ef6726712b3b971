/* sqlcat.c - a catalog for the compiler's tests, written as text. */
#include "tests/support/sqlcat.h"

#include <stdio.h>
#include <stdlib.h>

#include "projector/sql/types.h"

enum { COLS_MAX = 32, TABLES_MAX = 64, INDEXES_MAX = 8 };

const char weir_sqlcat_shop[] =
    "customers id:int8! name:text! email:text! region_id:int4 country:bpchar vip:bool! "
    "code:text:C! "
    "nick:text:ci meta:jsonb payload:json tags:text[] | pk id | unique email | unique code\n"
    "regions id:int4! name:text! | pk id\n"
    "orders id:int8! customer_id:int8! status:text! placed_at:timestamptz! total:numeric(12,2) "
    "weight:float8 billing_id:int8 shipping_id:int8 mood:enum:mood raw:numeric note:varchar "
    "day:date "
    "num:int4 cents:int8=gen | pk id | partial status\n"
    "order_lines order_id:int8! line_no:int4! sku:text! qty:int4! price:numeric(12,2)! "
    "product_id:int4 "
    "deleted:bool! | pk order_id,line_no\n"
    "products id:int4! sku:text! name:text! category_id:int4 price:numeric(12,2)! | pk id | unique "
    "sku\n"
    "categories id:int4! name:text! parent_id:int4 | pk id\n"
    "order_tags order_id:int8! tag_id:int4! pos:int4! | pk order_id,tag_id\n"
    "tags id:int4! label:text! slug:text:C! | pk id | unique slug\n"
    "addresses id:int8! street:text! city:text! | pk id\n"
    "payments id:uuid! order_id:int8! amount:numeric(12,2)! method:text | pk id\n"
    "tenants_orders tenant_id:int4! id:int4! customer_id:int4! | pk tenant_id,id\n"
    "tenants_customers tenant_id:int4! id:int4! name:text! | pk tenant_id,id\n"
    "employees id:int4! name:text! manager_id:int4 | pk id\n"
    "odd_keys a:float8! b:int4! | pk b\n"
    "no_key a:int4! | unpublishedx\n"
    "hidden id:int4! | pk id | unpublished\n"
    "parted id:int4! | pk id | unpublished | partitioned\n"
    "nothing id:int4! | pk id | identity n\n"
    "full_nokey a:int4 | identity f\n"
    "full_pk id:int4! v:text | pk id | identity f\n"
    "by_index id:int4! code:text! v:int4 | pk id | unique code | identity i\n"
    "a_view id:int4 | view\n"
    "a_matview id:int4 | matview\n"
    "nullable_key id:int4 v:int4! | unique id | pk v\n"
    "places id:int4! at:point | pk id\n"
    "moods mood:enum:mood! no:int4! order_id:int8! cash:numeric(8,2):dom | pk mood,no\n";

typedef struct word {
    const char *p;
    size_t n;
} word;

static bool next_word(const char **at, word *w)
{
    while (**at == ' ') {
        (*at)++;
    }
    w->p = *at;
    while (**at && **at != ' ' && **at != '\n') {
        (*at)++;
    }
    w->n = (size_t)(*at - w->p);
    return w->n > 0;
}

static void die(const char *what, word w)
{
    fprintf(stderr, "sqlcat: %s: %.*s\n", what, (int)w.n, w.p);
    abort();
}

static bool is(word w, const char *z)
{
    return w.n == strlen(z) && memcmp(w.p, z, w.n) == 0;
}

static void set_type(weir_cat_col *c, const char *t, word w)
{
    char base[32];
    size_t n = strcspn(t, "=:[(");
    snprintf(base, sizeof(base), "%.*s", (int)n, t);
    const char *more = t + n;
    c->type_name = weir_slice_of(t, n);
    if (strcmp(base, "enum") == 0) {
        c->type = (weir_type){.ty = WEIR_TY_ENUM, .oid = 90000, .typmod = -1};
    } else if (strcmp(base, "json") == 0) {
        c->type = (weir_type){.ty = WEIR_TY_UNKNOWN, .oid = 114, .typmod = -1};
    } else if (!weir_type_named(weir_slice_z(base), &c->type)) {
        c->type = (weir_type){.ty = WEIR_TY_OTHER, .oid = 600, .typmod = -1};
    }
    if (*more == '[') {
        c->type = (weir_type){.ty = WEIR_TY_ARRAY, .elem = c->type.ty, .oid = 91000, .typmod = -1};
    } else if (*more == '(') {
        int p = 0;
        int s = 0;
        if (sscanf(more, "(%d,%d)", &p, &s) != 2) {
            die("modifier", w);
        }
        c->type.typmod = weir_numeric_typmod(p, s);
    } else if (*more == '=') {
        c->generated = true;
    }
    c->domain = strstr(more, ":dom") ? 95000 : 0;
    c->type.c_order = strcmp(more, ":C") == 0;
    c->nondeterministic = strcmp(more, ":ci") == 0;
}

static void add_col(weir_cat_table *t, word w)
{
    if (t->ncols == COLS_MAX) {
        die("too many columns", w);
    }
    weir_cat_col *c = &t->cols[t->ncols++];
    const char *colon = memchr(w.p, ':', w.n);
    if (!colon) {
        die("name:type", w);
    }
    char type[64];
    size_t n = w.n - (size_t)(colon + 1 - w.p);
    c->not_null = w.p[w.n - 1] == '!';
    snprintf(type, sizeof(type), "%.*s", (int)(n - c->not_null), colon + 1);
    c->name = weir_slice_of(w.p, (size_t)(colon - w.p));
    set_type(c, type, w);
    c->type_name = weir_slice_of(colon + 1, strcspn(type, "=:[("));
}

static void add_index(weir_cat_table *t, word list, bool primary, bool usable, weir_arena *a)
{
    weir_cat_index *x = &t->indexes[t->nindexes++];
    x->name = weir_slice_of(list.p, list.n);
    x->primary = primary;
    x->usable = usable;
    x->cols = WEIR_ARENA_ARRAY(a, int, COLS_MAX);
    const char *p = list.p;
    const char *end = list.p + list.n;
    while (p < end) {
        size_t n = strcspn(p, ", |\n");
        for (int i = 0; i < t->ncols; i++) {
            if (weir_slice_eq(t->cols[i].name, weir_slice_of(p, n))) {
                x->cols[x->ncols++] = i;
            }
        }
        p += n + 1;
    }
    if (primary) {
        t->identity_index = t->nindexes - 1;
    }
}

static void set_option(weir_cat_table *t, word w, const char **at, weir_arena *a)
{
    word arg;
    if (is(w, "pk") || is(w, "unique") || is(w, "partial")) {
        if (!next_word(at, &arg)) {
            die("columns", w);
        }
        add_index(t, arg, is(w, "pk"), !is(w, "partial"), a);
    } else if (is(w, "identity") && next_word(at, &arg)) {
        t->identity = arg.p[0];
        t->identity_index = arg.p[0] == 'i' ? t->nindexes - 1 : t->identity_index;
    } else if (is(w, "schema") && next_word(at, &arg)) {
        t->schema = weir_slice_of(arg.p, arg.n);
    } else if (is(w, "unpublished")) {
        t->published = false;
    } else if (is(w, "partitioned")) {
        t->relkind = 'p';
    } else if (is(w, "view")) {
        t->relkind = 'v';
    } else if (is(w, "matview")) {
        t->relkind = 'm';
    }
}

static weir_cat_table *read_table(const char **at, uint32_t oid, weir_arena *a)
{
    weir_cat_table *t = weir_arena_zalloc(a, sizeof(*t));
    word w;
    if (!next_word(at, &w)) {
        return NULL;
    }
    *t = (weir_cat_table){.schema = WEIR_SLICE_LIT("public"),
                          .name = weir_slice_of(w.p, w.n),
                          .oid = oid,
                          .relkind = 'r',
                          .identity = 'd',
                          .identity_index = -1,
                          .published = true,
                          .cols = WEIR_ARENA_ARRAY(a, weir_cat_col, COLS_MAX),
                          .indexes = WEIR_ARENA_ARRAY(a, weir_cat_index, INDEXES_MAX)};
    bool options = false;
    while (next_word(at, &w)) {
        if (is(w, "|")) {
            options = true;
        } else if (options) {
            set_option(t, w, at, a);
        } else {
            add_col(t, w);
        }
    }
    return t;
}

static const weir_cat_table *find(weir_catalog *c, weir_slice schema, weir_slice name,
                                  weir_error *err)
{
    for (int i = 0; i < c->ntables; i++) {
        const weir_cat_table *t = c->tables[i];
        if (weir_slice_eq(t->name, name) && (!schema.n || weir_slice_eq(t->schema, schema))) {
            return t;
        }
    }
    (void)weir_fail(err, WEIR_E_NOTFOUND, 0, "no such table");
    return NULL;
}

void weir_sqlcat_init(weir_catalog *c, const char *text, weir_arena *a)
{
    *c = (weir_catalog){.find = find, .a = a};
    c->tables = WEIR_ARENA_ARRAY(a, weir_cat_table *, TABLES_MAX);
    const char *at = weir_arena_strdup(a, text);
    while (*at && c->ntables < TABLES_MAX) {
        weir_cat_table *t = read_table(&at, (uint32_t)(10000 + c->ntables), a);
        if (t) {
            c->tables[c->ntables++] = t;
        }
        at += *at == '\n';
    }
}
