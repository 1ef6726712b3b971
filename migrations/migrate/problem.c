/* problem.c - what is wrong with a mapping, shown with the line and a caret under the place. */
#include <stdarg.h>
#include <stdio.h>

#include "libweir/base/str.h"
#include "migrations/migrate/mapping.h"

enum { TEXT_BYTES = 1200 };

void mig_problem_add(mig_mapping *m, mig_place at, bool warning, const char *hint, const char *fmt,
                     ...)
{
    char text[TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    m->nerrors += !warning;
    if (m->nproblems == MIG_PROBLEMS_MAX) {
        return;
    }
    m->problems[m->nproblems++] = (mig_problem){at, warning, weir_arena_strdup(m->a, text),
                                                hint ? weir_arena_strdup(m->a, hint) : NULL};
}

static weir_slice line_of(const mig_mapping *m, int line)
{
    weir_slice rest = m->text;
    for (int i = 1; rest.n; i++) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
        if (i == line) {
            while (n && rest.p[n - 1] == '\r') {
                n--;
            }
            return weir_slice_of(rest.p, n);
        }
        rest = nl ? weir_slice_of(nl + 1, rest.n - n - 1) : weir_slice_of(NULL, 0);
    }
    return weir_slice_of(NULL, 0);
}

static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

mig_place mig_place_in(const mig_mapping *m, const mig_text *t, int offset)
{
    (void)m;
    mig_place at = t->at;
    if (!t->z || offset < 0 || offset > (int)strlen(t->z)) {
        return at;
    }
    for (int i = 0; i < offset; i++) {
        at.col++;
        if (t->z[i] == '\n') { /* continued lines stand in the value as they stand in the file */
            at.line++;
            at.col = 1;
        }
    }
    at.len = 0;
    while (in_word(t->z[offset + at.len])) {
        at.len++;
    }
    at.len = at.len ? at.len : 1;
    return at;
}

/* A connection string may hold a password: its line is never shown. */
static bool secret(const mig_mapping *m, int line)
{
    return (m->source_uri.z && m->source_uri.at.line == line) ||
           (m->target_uri.z && m->target_uri.at.line == line);
}

void mig_problem_print(const mig_mapping *m, const mig_problem *p, weir_buf *out)
{
    const char *kind = p->warning ? "warning" : "error";
    if (p->at.line == 0) {
        weir_buf_printf(out, "%s: %s: %s\n", m->file, kind, p->text);
    } else {
        weir_buf_printf(out, "%s:%d:%d: %s: %s\n", m->file, p->at.line, p->at.col, kind, p->text);
        weir_slice line = line_of(m, p->at.line);
        if (!secret(m, p->at.line) && line.n) {
            weir_buf_printf(out, "%5d | " WEIR_SLICE_FMT "\n      | ", p->at.line,
                            WEIR_SLICE_ARG(line));
            for (int i = 1; i < p->at.col; i++) {
                char c = (size_t)i <= line.n ? line.p[i - 1] : ' ';
                if (((unsigned char)c & 0xc0) != 0x80) { /* one blank per character */
                    weir_buf_u8(out, c == '\t' ? '\t' : ' ');
                }
            }
            weir_buf_u8(out, '^');
            for (int i = 1; i < p->at.len && (size_t)(p->at.col + i) <= line.n; i++) {
                if (((unsigned char)line.p[p->at.col + i - 1] & 0xc0) != 0x80) {
                    weir_buf_u8(out, '~');
                }
            }
            weir_buf_u8(out, '\n');
        }
    }
    if (p->hint) {
        weir_buf_printf(out, "      = %s\n", p->hint);
    }
}

/* Indexes of the problems by line, those of the whole file first. */
static void in_order(const mig_mapping *m, int *order)
{
    for (int i = 0; i < m->nproblems; i++) {
        int k = i;
        while (k > 0) {
            const mig_place *a = &m->problems[order[k - 1]].at, *b = &m->problems[i].at;
            if (a->line < b->line || (a->line == b->line && a->col <= b->col)) {
                break;
            }
            order[k] = order[k - 1];
            k--;
        }
        order[k] = i;
    }
}

void mig_problems_print(const mig_mapping *m, weir_buf *out)
{
    int order[MIG_PROBLEMS_MAX];
    in_order(m, order);
    for (int i = 0; i < m->nproblems; i++) {
        mig_problem_print(m, &m->problems[order[i]], out);
    }
    if (m->nproblems == MIG_PROBLEMS_MAX) {
        weir_buf_printf(out, "only the first %d problems are shown\n", MIG_PROBLEMS_MAX);
    }
}

void mig_problems_json(const mig_mapping *m, weir_buf *out)
{
    int order[MIG_PROBLEMS_MAX];
    in_order(m, order);
    weir_buf_putz(out, "[");
    for (int i = 0; i < m->nproblems; i++) {
        const mig_problem *p = &m->problems[order[i]];
        weir_buf_printf(out,
                        "%s{\"severity\":\"%s\",\"line\":%d,\"column\":%d,\"text\":", i ? "," : "",
                        p->warning ? "warning" : "error", p->at.line, p->at.col);
        weir_json_quote(out, weir_slice_z(p->text));
        if (p->hint) {
            weir_buf_putz(out, ",\"hint\":");
            weir_json_quote(out, weir_slice_z(p->hint));
        }
        weir_buf_putz(out, "}");
    }
    weir_buf_putz(out, "]");
}
