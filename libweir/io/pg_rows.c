/* pg_rows.c - reading a result, and quoting for SQL text. */
#include <stdlib.h>

#include "libweir/base/buf.h"
#include "libweir/io/pg_priv.h"

int weir_pg_nrows(const weir_pg_rows *r)
{
    return PQntuples(r->res);
}

int weir_pg_ncols(const weir_pg_rows *r)
{
    return PQnfields(r->res);
}

const char *weir_pg_colname(const weir_pg_rows *r, int col)
{
    const char *name = PQfname(r->res, col);
    return name ? name : "";
}

uint32_t weir_pg_coltype(const weir_pg_rows *r, int col)
{
    return PQftype(r->res, col);
}

static bool inside(const weir_pg_rows *r, int row, int col)
{
    return row >= 0 && col >= 0 && row < PQntuples(r->res) && col < PQnfields(r->res);
}

bool weir_pg_isnull(const weir_pg_rows *r, int row, int col)
{
    return !inside(r, row, col) || PQgetisnull(r->res, row, col) == 1;
}

weir_slice weir_pg_value(const weir_pg_rows *r, int row, int col)
{
    if (weir_pg_isnull(r, row, col)) {
        return (weir_slice){"", 0};
    }
    return (weir_slice){PQgetvalue(r->res, row, col), (size_t)PQgetlength(r->res, row, col)};
}

const char *weir_pg_valuez(const weir_pg_rows *r, int row, int col)
{
    return weir_pg_value(r, row, col).p;
}

int64_t weir_pg_i64(const weir_pg_rows *r, int row, int col)
{
    int64_t v = 0;
    return weir_slice_i64(weir_pg_value(r, row, col), &v) ? v : 0;
}

int64_t weir_pg_affected(const weir_pg_rows *r)
{
    int64_t v = 0;
    return weir_slice_i64(weir_slice_z(PQcmdTuples(r->res)), &v) ? v : 0;
}

void weir_pg_rows_free(weir_pg_rows *r)
{
    if (r) {
        PQclear(r->res);
        free(r);
    }
}

/* Doubles the quote character; with backslashes a literal becomes E'' so that it reads the same
 * under any setting. */
static const char *quoted(weir_arena *a, weir_slice s, char quote)
{
    size_t extra = 0;
    bool backslash = false;
    for (size_t i = 0; i < s.n; i++) {
        extra += s.p[i] == quote || (quote == '\'' && s.p[i] == '\\');
        backslash = backslash || (quote == '\'' && s.p[i] == '\\');
    }
    char *out = weir_arena_alloc(a, s.n + extra + 5);
    if (!out) {
        return NULL;
    }
    char *p = out;
    if (backslash) {
        *p++ = ' ';
        *p++ = 'E';
    }
    *p++ = quote;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == quote || (quote == '\'' && s.p[i] == '\\')) {
            *p++ = s.p[i];
        }
        *p++ = s.p[i];
    }
    *p++ = quote;
    *p = '\0';
    return out;
}

const char *weir_pg_ident(weir_arena *a, weir_slice name)
{
    return quoted(a, name, '"');
}

const char *weir_pg_literal(weir_arena *a, weir_slice text)
{
    return quoted(a, text, '\'');
}
