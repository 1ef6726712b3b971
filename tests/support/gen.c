/* gen.c - random transactions from the catalog: inserts, updates of any column, key moves and
 * swaps, deletes, truncates, savepoints. */
#include "tests/support/gen.h"

#include <stdlib.h>

enum { MAX_TABLES = 64, MAX_COLS = 64, DOMAIN_INTS = 13 };

struct col {
    const char *name;
    const char *type;   /* base type name: int4, text, numeric, _int4, … */
    const char *labels; /* enum: quoted labels joined by \x01 */
    int maxlen;         /* varchar/char(n): n, else 0 */
    bool not_null, key, wide;
};

struct table {
    const char *qname;
    int ncols;
    struct col cols[MAX_COLS];
};

struct orc_gen {
    uint64_t rng;
    int ntables;
    struct table t[MAX_TABLES];
};

static const char *const SQL_COLUMNS =
    "SELECT c.oid::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname), "
    "quote_ident(a.attname),"
    "       coalesce(b.typname, t.typname), a.attnotnull,"
    "       coalesce(a.attnum = ANY (i.indkey), false), a.attstorage = 'e',"
    "       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 0 THEN a.atttypmod - 4 "
    "ELSE 0 END,"
    "       (SELECT string_agg(quote_literal(e.enumlabel), E'\\x01' ORDER BY e.enumsortorder) FROM "
    "pg_enum e WHERE e.enumtypid = t.oid)"
    "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND "
    "a.attgenerated = ''"
    "  JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype"
    "  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
    "   AND n.nspname !~ '^(pg_|information_schema|weir$|command$)'"
    " ORDER BY 2, a.attnum";

uint64_t orc_gen_random(orc_gen *g, uint64_t below)
{
    g->rng ^= g->rng << 13;
    g->rng ^= g->rng >> 7;
    g->rng ^= g->rng << 17;
    return below ? (g->rng >> 11) % below : 0;
}

static bool chance(orc_gen *g, unsigned percent)
{
    return orc_gen_random(g, 100) < percent;
}

static void learn(orc_gen *g, const weir_pg_rows *r, weir_arena *a)
{
    const char *last = "";
    for (int i = 0; i < weir_pg_nrows(r); i++) {
        if (strcmp(last, weir_pg_valuez(r, i, 0)) != 0) {
            if (g->ntables == MAX_TABLES) {
                return;
            }
            last = weir_pg_valuez(r, i, 0);
            g->t[g->ntables++].qname = weir_arena_strdup(a, weir_pg_valuez(r, i, 1));
        }
        struct table *t = &g->t[g->ntables - 1];
        if (t->ncols == MAX_COLS) {
            continue;
        }
        struct col *c = &t->cols[t->ncols++];
        c->name = weir_arena_strdup(a, weir_pg_valuez(r, i, 2));
        c->type = weir_arena_strdup(a, weir_pg_valuez(r, i, 3));
        c->not_null = weir_pg_valuez(r, i, 4)[0] == 't';
        c->key = weir_pg_valuez(r, i, 5)[0] == 't';
        c->wide = weir_pg_valuez(r, i, 6)[0] == 't';
        c->maxlen = (int)weir_pg_i64(r, i, 7);
        c->labels = weir_pg_isnull(r, i, 8) ? NULL : weir_arena_strdup(a, weir_pg_valuez(r, i, 8));
    }
}

weir_rc orc_gen_new(orc_gen **out, weir_pg *pg, uint64_t seed, weir_arena *a, weir_error *err)
{
    orc_gen *g = weir_arena_zalloc(a, sizeof *g);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(pg, SQL_COLUMNS, 0, NULL, &r, err);
    if (rc == WEIR_OK) {
        g->rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
        learn(g, r, a);
        if (g->ntables == 0) {
            rc = weir_fail(err, WEIR_E_INPUT, 0, "the schema has no tables");
        }
    }
    weir_pg_rows_free(r);
    *out = g;
    return rc;
}

int orc_gen_tables(const orc_gen *g)
{
    return g->ntables;
}

#define PICK(g, pool) pool[orc_gen_random((g), sizeof(pool) / sizeof *(pool))]

static const char *text_value(orc_gen *g, const struct col *c, weir_arena *a)
{
    static const char *const pool[] = {"a",   "b", "it''s", "é\"\\", "long",
                                       "x/y", "%", "",      " pad ", "Ω≈ç\t\n"};
    if (c->wide && chance(g, 40)) {
        return weir_arena_printf(
            a, "(SELECT string_agg(md5((i * %d)::text), '') FROM generate_series(1, 100) i)",
            (int)orc_gen_random(g, 1000));
    }
    if (c->maxlen == 0 && strcmp(c->type, "text") == 0 && chance(g, 4)) {
        /* longer than a key of the state, and alike for as long as one */
        return weir_arena_printf(a, "repeat('key ', 110) || '%d'", (int)orc_gen_random(g, 2));
    }
    const char *v = c->maxlen > 0 && c->maxlen < 8 ? (chance(g, 50) ? "a" : "b ") : PICK(g, pool);
    if (c->key) { /* few distinct keys, so that they collide and move */
        static const char *const keys[] = {"a", "b", "it''s", "x/y", "é"};
        v = PICK(g, keys);
    }
    return weir_arena_printf(a, "'%s'", v);
}

static const char *number_value(orc_gen *g, const struct col *c, weir_arena *a)
{
    static const char *const numerics[] = {"0",      "1.5",        "2.50",      "10.00",
                                           "-3",     "999.99",     "'NaN'",     "0.1",
                                           "1234.5", "'Infinity'", "-0.000001", "1.500"};
    static const char *const floats[] = {"0",          "1.5",       "-0.1",
                                         "1e-7",       "123456.78", "'NaN'",
                                         "'Infinity'", "1e15",      "0.30000000000000004"};
    if (strcmp(c->type, "numeric") == 0) {
        return PICK(g, numerics);
    }
    if (strncmp(c->type, "float", 5) == 0) {
        return PICK(g, floats);
    }
    if (!c->key && chance(g, 5)) {
        return weir_arena_printf(a, "%d", (int)orc_gen_random(g, 400) - 200);
    }
    return weir_arena_printf(a, "%d", (int)orc_gen_random(g, DOMAIN_INTS));
}

struct pool {
    const char *type;
    int n;
    const char *v[6];
};

static const struct pool POOLS[] = {
    {"bool", 2, {"true", "false"}},
    {"date", 5, {"'2024-02-29'", "'1999-12-31'", "'infinity'", "'0044-03-15 BC'", "'12024-01-01'"}},
    {"timestamp",
     5,
     {"'2024-01-01 00:00:00.1'", "'2024-06-30 23:59:59.999999'", "'-infinity'", "'1970-01-01'",
      "'0044-03-15 12:00:00.000001 BC'"}},
    {"timestamptz",
     6,
     {"'2024-01-01 12:00:00+03'", "'2024-06-30 23:59:59.5+00'", "'2023-03-26 02:30:00+01'",
      "'2020-02-02'", "'infinity'", "'0001-01-01 00:00:00+02'"}},
    {"time", 4, {"'00:00'", "'23:59:59.25'", "'12:30:01'", "'24:00:00'"}},
    {"timetz", 2, {"'12:00:00+02'", "'23:59:59.5-08:30'"}},
    {"inet", 2, {"'10.0.0.1'", "'10.0.0.0/8'"}},
    {"interval", 3, {"'1 day'", "'-3 mons 4 days 05:06:07.5'", "'90 minutes'"}},
    {"uuid",
     3,
     {"'00000000-0000-0000-0000-000000000001'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
      "'ffffffff-ffff-ffff-ffff-ffffffffffff'"}},
    {"jsonb",
     5,
     {"'{\"b\": 1.50, \"a\": [null, true, \"x\\n\"]}'", "'[]'", "'\"é\\u0001\"'", "'1e2'",
      "'{\"\": {}, \"aa\": -0}'"}},
    {"json", 2, {"'{\"b\":1}'", "'[1, 2]'"}},
    {"bytea", 3, {"'\\x00ff10'", "''", "'\\x5c'"}},
    {"_int4",
     6,
     {"'{}'", "'{1,NULL,3}'", "'{-5}'", "'{2,2}'", "'{{1,2},{3,NULL}}'", "'[0:1]={7,8}'"}},
    {"_bool", 2, {"'{t,f,NULL}'", "'{}'"}},
    {"_date", 2, {"'{2024-02-29,NULL,infinity}'", "'{}'"}},
    {"_numeric", 3, {"'{1.50,NULL,NaN}'", "'{-0.00}'", "'{{1e10,2}}'"}},
    {"_timestamptz", 2, {"'{\"2024-01-01 00:00:00.5+00\",infinity}'", "'{}'"}},
    {"_text",
     4,
     {"'{}'", "'{a,NULL,\"NULL\",\"x y\"}'", "'{\"\\\"q\\\"\",\"b\\\\s\",\"{c}\",\"\"}'",
      "'{é,\",\"}'"}},
};

static const char *enum_value(orc_gen *g, const struct col *c, weir_arena *a)
{
    int n = 1;
    for (const char *p = c->labels; *p; p++) {
        n += *p == '\x01';
    }
    int k = (int)orc_gen_random(g, (uint64_t)n);
    const char *p = c->labels;
    for (; k > 0; k--) {
        p = strchr(p, '\x01') + 1;
    }
    return weir_arena_dupz(a, weir_slice_of(p, strcspn(p, "\x01")));
}

static const char *value(orc_gen *g, const struct col *c, weir_arena *a)
{
    if (!c->not_null && chance(g, 18)) {
        return "NULL";
    }
    if (c->labels) {
        return enum_value(g, c, a);
    }
    for (size_t i = 0; i < sizeof POOLS / sizeof *POOLS; i++) {
        if (strcmp(POOLS[i].type, c->type) == 0) {
            return POOLS[i].v[orc_gen_random(g, (uint64_t)POOLS[i].n)];
        }
    }
    if (strncmp(c->type, "int", 3) == 0 || strcmp(c->type, "numeric") == 0 ||
        strncmp(c->type, "float", 5) == 0) {
        return number_value(g, c, a);
    }
    return text_value(g, c, a);
}

static const char *insert(orc_gen *g, const struct table *t, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_buf_printf(&b, "INSERT INTO %s (", t->qname);
    for (int i = 0; i < t->ncols; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", t->cols[i].name);
    }
    weir_buf_putz(&b, ") VALUES (");
    for (int i = 0; i < t->ncols; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", value(g, &t->cols[i], a));
    }
    weir_buf_putz(&b, chance(g, 50) ? ") ON CONFLICT DO NOTHING" : ")");
    const char *s = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return s;
}

const char *orc_gen_fill(orc_gen *g, weir_arena *a, int table)
{
    return table < g->ntables ? insert(g, &g->t[table], a) : NULL;
}

static const struct col *any_col(orc_gen *g, const struct table *t, bool want_key)
{
    for (int tries = 0; tries < 20; tries++) {
        const struct col *c = &t->cols[orc_gen_random(g, (uint64_t)t->ncols)];
        if (c->key == want_key) {
            return c;
        }
    }
    return &t->cols[0];
}

static const char *where(orc_gen *g, const struct table *t, weir_arena *a)
{
    const struct col *c = any_col(g, t, chance(g, 80));
    const char *v = value(g, c, a);
    if (strcmp(v, "NULL") == 0) {
        return weir_arena_printf(a, "%s IS NULL", c->name);
    }
    return weir_arena_printf(a, "%s = %s", c->name, v);
}

static const char *update(orc_gen *g, const struct table *t, weir_arena *a)
{
    const struct col *c = any_col(g, t, chance(g, 25));
    const struct col *d = any_col(g, t, false);
    if (c == d || chance(g, 40)) {
        return weir_arena_printf(a, "UPDATE %s SET %s = %s WHERE %s", t->qname, c->name,
                                 value(g, c, a), where(g, t, a));
    }
    return weir_arena_printf(a, "UPDATE %s SET %s = %s, %s = %s WHERE %s", t->qname, c->name,
                             value(g, c, a), d->name, value(g, d, a), where(g, t, a));
}

/* Two key values change places: in one statement (deferrable keys only) or through a third value.
 */
static void swap(orc_gen *g, const struct table *t, weir_arena *a, orc_tx *tx)
{
    const struct col *c = any_col(g, t, true);
    const char *x = value(g, c, a), *y = value(g, c, a);
    if (strcmp(x, y) == 0 || strncmp(c->type, "int", 3) != 0) {
        return;
    }
    if (chance(g, 50)) {
        tx->stmt[tx->n++] = weir_arena_printf(
            a, "UPDATE %s SET %s = CASE WHEN %s = %s THEN %s ELSE %s END WHERE %s IN (%s, %s)",
            t->qname, c->name, c->name, x, y, x, c->name, x, y);
        return;
    }
    tx->stmt[tx->n++] =
        weir_arena_printf(a, "UPDATE %s SET %s = 99 WHERE %s = %s", t->qname, c->name, c->name, x);
    tx->stmt[tx->n++] = weir_arena_printf(a, "UPDATE %s SET %s = %s WHERE %s = %s", t->qname,
                                          c->name, x, c->name, y);
    tx->stmt[tx->n++] =
        weir_arena_printf(a, "UPDATE %s SET %s = %s WHERE %s = 99", t->qname, c->name, y, c->name);
}

static void savepoint(orc_gen *g, const struct table *t, weir_arena *a, orc_tx *tx)
{
    tx->stmt[tx->n++] = "SAVEPOINT inner_one";
    tx->stmt[tx->n++] = insert(g, t, a);
    tx->stmt[tx->n++] = update(g, t, a);
    tx->stmt[tx->n++] =
        chance(g, 60) ? "ROLLBACK TO SAVEPOINT inner_one" : "RELEASE SAVEPOINT inner_one";
}

static void statement(orc_gen *g, weir_arena *a, orc_tx *tx)
{
    const struct table *t = &g->t[orc_gen_random(g, (uint64_t)g->ntables)];
    uint64_t op = orc_gen_random(g, 1000);
    if (op < 350) {
        tx->stmt[tx->n++] = insert(g, t, a);
    } else if (op < 720) {
        tx->stmt[tx->n++] = update(g, t, a);
    } else if (op < 860) {
        tx->stmt[tx->n++] =
            weir_arena_printf(a, "DELETE FROM %s WHERE %s", t->qname, where(g, t, a));
    } else if (op < 930) {
        swap(g, t, a, tx);
    } else if (op < 990) {
        savepoint(g, t, a, tx);
    } else if (op < 996) {
        tx->stmt[tx->n++] = weir_arena_printf(a, "TRUNCATE %s CASCADE", t->qname);
    } else {
        tx->stmt[tx->n++] = weir_arena_printf(a, "DELETE FROM %s", t->qname);
    }
}

void orc_gen_next(orc_gen *g, weir_arena *a, orc_tx *tx)
{
    memset(tx, 0, sizeof *tx);
    tx->guard = chance(g, 70);
    tx->rollback = chance(g, 6);
    for (int n = 1 + (int)orc_gen_random(g, 7); n > 0; n--) {
        statement(g, a, tx);
    }
}
