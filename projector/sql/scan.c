/* scan.c - the tokens of a model file, from libpg_query's scanner; refuses what the recursive
 * parser could not survive. */
#include "projector/sql/scan.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <strings.h>

#include "libweir/base/str.h"

weir_slice weir_tok_text(const weir_toks *ts, int i)
{
    return weir_slice_of(ts->text.p + ts->t[i].start, (size_t)(ts->t[i].end - ts->t[i].start));
}

bool weir_tok_is(const weir_toks *ts, int i, const char *word)
{
    weir_slice s = weir_tok_text(ts, i);
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

int weir_sql_char_offset(weir_slice text, int nchars)
{
    size_t i = 0;
    while (nchars > 0 && i < text.n) {
        i++;
        while (i < text.n && ((unsigned char)text.p[i] & 0xC0) == 0x80) {
            i++;
        }
        nchars--;
    }
    return (int)i;
}

static bool text_ok(weir_slice text, weir_diags *ds)
{
    if (text.n > WEIR_SQL_BYTES_MAX) {
        weir_diag_add(ds, false, -1, NULL, "the file is larger than 1 MiB");
        return false;
    }
    if (!weir_utf8_ok(text)) {
        weir_diag_add(ds, false, -1, "save it as UTF-8 text", "the file is not UTF-8 text");
        return false;
    }
    return true;
}

static bool in_words(const weir_toks *ts, int i, const char *const *words)
{
    for (; *words; words++) {
        if (weir_tok_is(ts, i, *words)) {
            return true;
        }
    }
    return false;
}

static bool is_operand(weir_slice s)
{
    char c = s.p[0];
    return c == '\'' || c == '"' || c == '.' || c == '$' || (c >= '0' && c <= '9');
}

/* An upper bound of how deep the parse tree can be at any token: open parentheses and CASEs, and on
 * every level the words and symbols since the last separator that makes a new list member. Joins
 * and set operations nest to the left without end, BETWEEN and DISTINCT to the right across a
 * separator, so they are never forgotten. */
static bool depth_ok(const weir_toks *ts, weir_mem *m, weir_diags *ds)
{
    static const char *const opens[] = {"(", "[", "case", NULL};
    static const char *const closes[] = {")", "]", "end", NULL};
    static const char *const fresh[] = {",",      "and",   "or",    "when",   "then", "else",
                                        "select", "from",  "where", "on",     "by",   "as",
                                        "filter", "group", "order", "having", ";",    NULL};
    static const char *const keeps[] = {"join",    "union",    "intersect", "except",
                                        "between", "distinct", NULL};
    int *level = WEIR_MEM_ARRAY(m, int, (size_t)ts->n + 2);
    int top = 0;
    int sum = 0;
    int kept = 0;
    for (int i = 0; i < ts->n; i++) {
        if (ts->t[i].comment || is_operand(weir_tok_text(ts, i))) {
            continue;
        }
        if (in_words(ts, i, closes)) {
            sum -= level[top];
            level[top] = 0;
            top -= top > 0;
        } else if (in_words(ts, i, fresh)) {
            sum -= level[top];
            level[top] = 0;
        } else {
            level[top]++;
            sum++;
            top += in_words(ts, i, opens);
            kept += in_words(ts, i, keeps);
        }
        if (sum + kept > 2 * WEIR_SQL_DEPTH_MAX) {
            weir_diag_add(ds, false, ts->t[i].start, "split the expression",
                          "the statement is nested too deeply");
            return false;
        }
    }
    return true;
}

static void add_scan_error(const PgQueryError *e, weir_slice text, weir_diags *ds)
{
    int at = e->cursorpos > 0 ? weir_sql_char_offset(text, e->cursorpos - 1) : -1;
    weir_diag_add(ds, false, at, NULL, "%s", e->message ? e->message : "cannot be read as SQL");
}

static bool copy_tokens(const PgQuery__ScanResult *r, weir_mem *m, weir_toks *out, weir_diags *ds)
{
    if (r->n_tokens > WEIR_SQL_TOKENS_MAX) {
        weir_diag_add(ds, false, -1, NULL, "the file has more than %d words", WEIR_SQL_TOKENS_MAX);
        return false;
    }
    out->t = WEIR_MEM_ARRAY(m, weir_tok, r->n_tokens + 1);
    for (size_t i = 0; i < r->n_tokens; i++) {
        int start = r->tokens[i]->start;
        int end = r->tokens[i]->end;
        if (start < 0 || end <= start || (size_t)end > out->text.n) {
            continue;
        }
        weir_slice s = weir_slice_of(out->text.p + start, (size_t)(end - start));
        bool comment = weir_slice_starts(s, WEIR_SLICE_LIT("--")) ||
                       weir_slice_starts(s, WEIR_SLICE_LIT("/*"));
        out->t[out->n++] = (weir_tok){.start = start, .end = end, .comment = comment};
    }
    return true;
}

bool weir_scan(weir_slice text, weir_mem *m, weir_toks *out, weir_diags *ds)
{
    *out = (weir_toks){.text = text};
    if (!text_ok(text, ds)) {
        return false;
    }
    PgQueryScanResult r = pg_query_scan(weir_mem_dup(m, text).p);
    bool ok = false;
    if (r.error) {
        add_scan_error(r.error, text, ds);
    } else {
        PgQuery__ScanResult *s =
            pg_query__scan_result__unpack(NULL, r.pbuf.len, (const uint8_t *)r.pbuf.data);
        if (s) {
            ok = copy_tokens(s, m, out, ds) && depth_ok(out, m, ds);
            pg_query__scan_result__free_unpacked(s, NULL);
        } else {
            weir_diag_add(ds, false, -1, NULL, "the SQL parser's answer could not be read");
        }
    }
    pg_query_free_scan_result(r);
    return ok;
}
