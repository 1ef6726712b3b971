/* genschema.c - random small schemas: keys of every kind, references with and without constraints.
 */
#include "tests/support/genschema.h"

#include "libweir/base/buf.h"

enum { MAX_TABLES = 6, MAX_KEY = 3 };

struct column {
    const char *name, *type;
};

struct table {
    const char *name; /* as written */
    int nkey;
    struct column key[MAX_KEY]; /* in the key's order */
    bool has_primary;
};

struct gs {
    uint64_t rng;
    weir_arena *a;
    weir_buf b;
    int n;
    struct table t[MAX_TABLES];
};

static uint64_t below(struct gs *g, uint64_t n)
{
    g->rng ^= g->rng << 13;
    g->rng ^= g->rng >> 7;
    g->rng ^= g->rng << 17;
    return (g->rng >> 11) % n;
}

static bool chance(struct gs *g, unsigned percent)
{
    return below(g, 100) < percent;
}

#define PICK(g, pool) pool[below((g), sizeof(pool) / sizeof *(pool))]

static const struct table kinds[] = {
    {NULL, 1, {{"id", "int"}}, true},
    {NULL, 1, {{"id", "int"}}, true},
    {NULL, 1, {{"id", "bigint"}}, true},
    {NULL, 1, {{"id", "smallint"}}, true},
    {NULL, 1, {{"code", "text"}}, true},
    {NULL, 1, {{"code", "varchar(20)"}}, true},
    {NULL, 2, {{"a", "int"}, {"b", "text"}}, true},
    {NULL, 3, {{"b", "bigint"}, {"a", "smallint"}, {"c", "varchar(20)"}}, true},
    {NULL, 2, {{"day", "date"}, {"no", "int"}}, true},
    {NULL, 2, {{"\"Mixed Id\"", "int"}, {"at", "timestamptz"}}, true},
    {NULL, 1, {{"amount_key", "numeric(6,2)"}}, true},
    {NULL, 2, {{"u", "uuid"}, {"n", "int"}}, true},
    {NULL, 2, {{"m", "mood"}, {"n", "smallint"}}, true},
    {NULL, 2, {{"f", "boolean"}, {"id", "int"}}, true},
    {NULL, 2, {{"x", "int"}, {"y", "bigint"}}, false},
    {NULL, 2, {{"ch", "char(4)"}, {"id", "int"}}, true},
};

static const char *const payload[] = {
    "int",           "int",           "bigint",
    "smallint",      "text",          "text",
    "varchar(12)",   "char(6)",       "numeric",
    "numeric(8,3)",  "numeric(6,2)",  "boolean",
    "boolean",       "date",          "timestamp",
    "timestamptz",   "time",          "interval",
    "uuid",          "jsonb",         "bytea",
    "mood",          "small",         "int[]",
    "text[]",        "real",          "double precision",
    "timestamptz",   "numeric(12,4)", "int",
    "inet",          "name",          "timestamp(3)",
    "timetz",        "numeric(10,0)", "dtext",
    "dnum",          "bool[]",        "numeric[]",
    "timestamptz[]", "date[]",        "time(0)",
    "varchar",       "text",          "dsmall",
};

/* Columns that point to a key, perhaps under a constraint. */
static void reference(struct gs *g, const struct table *to, int no)
{
    static const char *const actions[] = {"", " ON UPDATE CASCADE ON DELETE CASCADE",
                                          " ON UPDATE CASCADE ON DELETE SET NULL",
                                          " DEFERRABLE INITIALLY DEFERRED"};
    bool constrained = chance(g, 40) && to->has_primary;
    bool not_null = chance(g, 30);
    const char *mine = "", *theirs = "";
    for (int k = 0; k < to->nkey; k++) {
        const char *type = to->key[k].type;
        static const char *const ints[] = {"int", "bigint", "smallint"};
        bool integer = strcmp(type, "int") == 0 || strcmp(type, "bigint") == 0 ||
                       strcmp(type, "smallint") == 0;
        if (integer && !constrained) {
            type = PICK(g, ints);
        }
        const char *name = weir_arena_printf(g->a, "ref%d_%d", no, k);
        weir_buf_printf(&g->b, ",\n    %s %s%s", name, type, not_null ? " NOT NULL" : "");
        mine = weir_arena_printf(g->a, "%s%s%s", mine, k ? ", " : "", name);
        theirs = weir_arena_printf(g->a, "%s%s%s", theirs, k ? ", " : "", to->key[k].name);
    }
    if (constrained) {
        weir_buf_printf(&g->b, ",\n    FOREIGN KEY (%s) REFERENCES %s (%s)%s", mine, to->name,
                        theirs, PICK(g, actions));
    }
}

/* A table whose key is made of two references. */
static void link_table(struct gs *g, struct table *t)
{
    const struct table *l = &g->t[below(g, (uint64_t)g->n)], *r = &g->t[below(g, (uint64_t)g->n)];
    t->nkey = 2;
    t->key[0] = (struct column){"left_id", l->key[l->nkey - 1].type};
    t->key[1] = (struct column){"right_id", r->key[0].type};
    t->has_primary = true;
}

/* true: with a unique key besides the primary one. */
static bool columns(struct gs *g, const struct table *t)
{
    bool unique = chance(g, 30);
    /* the table's own order of columns is another than the key's */
    for (int k = t->nkey - 1; k >= 0; k--) {
        weir_buf_printf(&g->b, "%s\n    %s %s NOT NULL", k == t->nkey - 1 ? "" : ",",
                        t->key[k].name, t->key[k].type);
    }
    for (int i = 0, n = (int)below(g, 3) + (g->n > 0); i < n; i++) {
        reference(g, g->n && chance(g, 85) ? &g->t[below(g, (uint64_t)g->n)] : t, i);
    }
    for (int i = 0, n = 3 + (int)below(g, 6); i < n; i++) {
        weir_buf_printf(&g->b, ",\n    v%d %s%s", i, PICK(g, payload),
                        chance(g, 20) ? " NOT NULL" : "");
    }
    if (chance(g, 15)) {
        weir_buf_printf(&g->b, ",\n    made text GENERATED ALWAYS AS ('x') STORED");
    }
    if (unique) {
        static const char *const uniques[] = {
            "u1 int UNIQUE",
            "u1 int NOT NULL UNIQUE",
            "u1 bigint NOT NULL, UNIQUE (u1)",
            "u1 int, u2 text, UNIQUE (u1, u2)",
            "u1 smallint NOT NULL, u2 date NOT NULL, UNIQUE (u2, u1)",
            "u1 int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED"};
        weir_buf_printf(&g->b, ",\n    %s", PICK(g, uniques));
    }
    return unique;
}

static const char *key_list(struct gs *g, const struct table *t)
{
    const char *s = "";
    for (int k = 0; k < t->nkey; k++) {
        s = weir_arena_printf(g->a, "%s%s%s", s, k ? ", " : "", t->key[k].name);
    }
    return s;
}

static void make(struct gs *g)
{
    static const char *const names[] = {"t%d", "t%d", "s2.t%d", "\"Odd \"\"T%d\"", "s2.\"T %d\""};
    struct table t = PICK(g, kinds);
    const char *fmt = PICK(g, names);
    const char *at = strchr(fmt, '%');
    t.name = weir_arena_printf(g->a, "%.*s%d%s", (int)(at - fmt), fmt, g->n, at + 2);
    if (g->n >= 1 && chance(g, 25)) {
        link_table(g, &t);
    }
    weir_buf_printf(&g->b, "CREATE TABLE %s (", t.name);
    bool unique = columns(g, &t);
    if (t.has_primary) {
        weir_buf_printf(&g->b, ",\n    PRIMARY KEY (%s)", key_list(g, &t));
    }
    bool parts = t.has_primary && !unique && chance(g, 10);
    weir_buf_printf(&g->b, "\n)%s%s%s;\n", parts ? " PARTITION BY HASH (" : "",
                    parts ? t.key[0].name : "", parts ? ")" : "");
    for (int i = 0; parts && i < 2; i++) {
        weir_buf_printf(&g->b,
                        "CREATE TABLE part_%d_%d PARTITION OF %s FOR VALUES WITH (MODULUS 2, "
                        "REMAINDER %d);\n",
                        g->n, i, t.name, i);
    }
    if (chance(g, 20)) {
        weir_buf_printf(&g->b, "ALTER TABLE %s DROP COLUMN v0, ADD COLUMN late int DEFAULT 3;\n",
                        t.name);
    }
    if (!t.has_primary) {
        weir_buf_printf(&g->b,
                        "CREATE UNIQUE INDEX identity_%d ON %s (%s);\n"
                        "ALTER TABLE %s REPLICA IDENTITY USING INDEX identity_%d;\n",
                        g->n, t.name, key_list(g, &t), t.name, g->n);
    } else if (!parts && chance(g, 15)) {
        weir_buf_printf(&g->b, "ALTER TABLE %s REPLICA IDENTITY FULL;\n", t.name);
    }
    g->t[g->n++] = t;
}

const char *gs_schema(uint64_t seed, weir_arena *a)
{
    struct gs g = {.a = a, .rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 3};
    weir_buf_init(&g.b, 1 << 20);
    weir_buf_putz(&g.b, "CREATE SCHEMA s2;\n"
                        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');\n"
                        "CREATE DOMAIN small AS int CHECK (VALUE < 1000);\n"
                        "CREATE DOMAIN dsmall AS small;\n"
                        "CREATE DOMAIN dtext AS varchar(10);\n"
                        "CREATE DOMAIN dnum AS numeric(8,2);\n");
    for (int n = 2 + (int)below(&g, MAX_TABLES - 1); n > 0; n--) {
        make(&g);
    }
    const char *s = weir_arena_dupz(a, weir_buf_slice(&g.b));
    weir_buf_fini(&g.b);
    return s;
}
