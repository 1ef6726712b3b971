/* scan.c - finds the top-level statements of an SQL file.
 *
 * Quotes ('…', E'…', "…", $tag$…$tag$), comments (nested), and the bodies of SQL-standard functions
 * (BEGIN ATOMIC … END) may hold semicolons. Parentheses need no count: outside of quotes no
 * statement has a semicolon in them but CREATE RULE, which ends up as two statements here,
 * harmlessly.
 */
#include "migrations/deploy/scan.h"

#include <ctype.h>

typedef struct cursor {
    const char *p, *end;
    int line;
} cursor;

static void step(cursor *c)
{
    c->line += *c->p == '\n';
    c->p++;
}

static bool at(const cursor *c, const char *z)
{
    size_t n = strlen(z);
    return (size_t)(c->end - c->p) >= n && memcmp(c->p, z, n) == 0;
}

static void skip_line_comment(cursor *c)
{
    while (c->p < c->end && *c->p != '\n') {
        c->p++;
    }
}

static void skip_block_comment(cursor *c)
{
    int depth = 0;
    do {
        if (at(c, "/*")) {
            depth++;
            c->p += 2;
        } else if (at(c, "*/")) {
            depth--;
            c->p += 2;
        } else {
            step(c);
        }
    } while (c->p < c->end && depth > 0);
}

static void skip_quoted(cursor *c, char quote, bool backslash)
{
    c->p++;
    while (c->p < c->end) {
        if (backslash && *c->p == '\\' && c->end - c->p > 1) {
            c->p++;
        } else if (*c->p == quote) {
            c->p++;
            if (c->p >= c->end || *c->p != quote) {
                return;
            }
        }
        step(c);
    }
}

static bool is_word(char ch)
{
    return isalnum((unsigned char)ch) || ch == '_' || (unsigned char)ch >= 0x80;
}

/* $$ or $tag$ up to its twin; a $ that opens nothing is one character. */
static void skip_dollar(cursor *c)
{
    const char *q = c->p + 1;
    while (q < c->end && is_word(*q)) {
        q++;
    }
    if (q >= c->end || *q != '$' || isdigit((unsigned char)c->p[1])) {
        c->p++;
        return;
    }
    size_t n = (size_t)(q - c->p) + 1;
    const char *tag = c->p;
    c->p += n;
    while (c->p < c->end) {
        if ((size_t)(c->end - c->p) >= n && memcmp(c->p, tag, n) == 0) {
            c->p += n;
            return;
        }
        step(c);
    }
}

/* Skips one comment, quote or dollar quote. false: none starts here. */
static bool skip_opaque(cursor *c)
{
    if (at(c, "--")) {
        skip_line_comment(c);
    } else if (at(c, "/*")) {
        skip_block_comment(c);
    } else if (*c->p == '\'' || *c->p == '"') {
        skip_quoted(c, *c->p, false);
    } else if (*c->p == '$') {
        skip_dollar(c);
    } else {
        return false;
    }
    return true;
}

/* A word, upper case and cut to the buffer. */
static void take_word(cursor *c, char *out, size_t size)
{
    size_t n = 0;
    const char *first = c->p;
    while (c->p < c->end && (is_word(*c->p) || *c->p == '$')) {
        if (n + 1 < size) {
            out[n++] = (char)toupper((unsigned char)*c->p);
        }
        c->p++;
    }
    out[n] = '\0';
    if (c->p - first == 1 && out[0] == 'E' && c->p < c->end && *c->p == '\'') {
        skip_quoted(c, '\'', true);
    }
}

typedef struct body_depth {
    bool create; /* the statement makes a function or procedure */
    bool begin;  /* the last word was BEGIN */
    int depth;   /* inside BEGIN ATOMIC */
} body_depth;

static void watch_body(body_depth *b, const char *word)
{
    if (strcmp(word, "FUNCTION") == 0 || strcmp(word, "PROCEDURE") == 0) {
        b->create = true;
    }
    if (b->create && b->begin && strcmp(word, "ATOMIC") == 0) {
        b->depth = 1;
    } else if (b->depth && strcmp(word, "CASE") == 0) {
        b->depth++;
    } else if (b->depth && strcmp(word, "END") == 0) {
        b->depth--;
    }
    b->begin = strcmp(word, "BEGIN") == 0;
}

dep_scan dep_scan_of(weir_slice text)
{
    return (dep_scan){text, 1};
}

static bool scan_one(cursor *c, dep_stmt *out)
{
    body_depth body = {0};
    int words = 0;
    const char *from = NULL;
    while (c->p < c->end && !(*c->p == ';' && body.depth == 0)) {
        char word[16];
        bool comment = at(c, "--") || at(c, "/*");
        if (!from && !comment && !isspace((unsigned char)*c->p)) {
            from = c->p;
            out->line = c->line;
        }
        if (skip_opaque(c)) {
            continue;
        }
        if (!is_word(*c->p)) {
            step(c);
            continue;
        }
        take_word(c, word, sizeof word);
        watch_body(&body, word);
        if (words < 2) {
            memcpy(out->words[words++], word, sizeof word);
        }
    }
    out->text =
        from ? weir_slice_trim(weir_slice_of(from, (size_t)(c->p - from))) : (weir_slice){NULL, 0};
    if (c->p < c->end) {
        c->p++;
    }
    return from != NULL;
}

bool dep_scan_next(dep_scan *s, dep_stmt *out)
{
    cursor c = {s->rest.p, s->rest.p ? s->rest.p + s->rest.n : NULL, s->line};
    bool found = false;
    while (!found && c.p < c.end) {
        memset(out, 0, sizeof *out);
        found = scan_one(&c, out);
    }
    s->rest = weir_slice_of(c.p, (size_t)(c.end - c.p));
    s->line = c.line;
    return found;
}

bool dep_scan_transaction(weir_slice text, dep_stmt *out)
{
    static const char *const ends[] = {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"};
    dep_scan s = dep_scan_of(text);
    while (dep_scan_next(&s, out)) {
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
            if (strcmp(out->words[0], ends[i]) == 0 && strcmp(out->words[1], "TO") != 0) {
                return true;
            }
        }
        if (strcmp(out->words[0], "PREPARE") == 0 && strcmp(out->words[1], "TRANSACTION") == 0) {
            return true;
        }
    }
    return false;
}
