/* mapping.c - reads a mapping file: lines, sections, options; every value with its place. */
#include "migrations/migrate/mapping.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/hash.h"
#include "libweir/base/str.h"

typedef struct parser {
    mig_mapping *m;
    enum { IN_NOTHING, IN_MIGRATION, IN_SOURCE, IN_TARGET, IN_TABLE, IN_CUTOVER, IN_SEQUENCES } in;
    mig_table *table;
    size_t at; /* next byte */
    int line;
} parser;

typedef struct entry {
    mig_text key, value;
} entry;

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* The next line without its newline; false at the end. */
static bool next_line(parser *p, weir_slice *out)
{
    weir_slice text = p->m->text;
    if (p->at >= text.n) {
        return false;
    }
    const char *nl = memchr(text.p + p->at, '\n', text.n - p->at);
    size_t end = nl ? (size_t)(nl - text.p) : text.n;
    *out = weir_slice_of(text.p + p->at, end - p->at);
    p->at = nl ? end + 1 : text.n;
    p->line++;
    return true;
}

static void trim_end(weir_slice *s)
{
    while (s->n && blank(s->p[s->n - 1])) {
        s->n--;
    }
}

static mig_text text_at(parser *p, weir_slice line, size_t from, size_t to, int line_no)
{
    while (from < to && blank(line.p[from])) {
        from++;
    }
    while (to > from && blank(line.p[to - 1])) {
        to--;
    }
    mig_text t = {weir_arena_dupz(p->m->a, weir_slice_of(line.p + from, to - from)),
                  {line_no, (int)from + 1, to > from ? (int)(to - from) : 1}};
    return t;
}

/* Lines that begin with white space belong to the value before them. They keep their own white
 * space, so that an offset into the value is an offset into the file. */
static const char *with_continuations(parser *p, const char *first)
{
    weir_buf b;
    weir_buf_init(&b, MIG_FILE_MAX_BYTES);
    weir_buf_putz(&b, first);
    for (;;) {
        size_t at = p->at;
        weir_slice line;
        if (!next_line(p, &line)) {
            break;
        }
        trim_end(&line);
        if (line.n == 0 || !blank(line.p[0])) {
            p->at = at;
            p->line--;
            break;
        }
        weir_buf_u8(&b, '\n');
        weir_buf_puts(&b, line);
    }
    const char *z = weir_arena_dupz(p->m->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static const char *const SECTIONS[] = {"migration", "source",  "target",
                                       "table",     "cutover", "sequences"};
static const char *const MIGRATION_KEYS[] = {
    "name",           "workers", "chunk_rows", "rejects_max", "sequence_margin", "chunk_rows_per_s",
    "source_keep_pct"};
static const char *const SOURCE_KEYS[] = {"uri", "feed"};
static const char *const TARGET_KEYS[] = {"uri"};
static const char *const TABLE_KEYS[] = {"from", "where",  "key",   "create",      "columns",
                                         "skip", "unique", "index", "foreign_key", "column"};
static const char *const CUTOVER_KEYS[] = {"fence", "fence_sql",       "unfence_sql", "before",
                                           "after", "lock_timeout_ms", "rejects"};
#define COUNT(x) (sizeof(x) / sizeof *(x))

static const char *near_hint(weir_arena *a, const char *word, const char *const *words, size_t n)
{
    const char *near = weir_nearest(word, words, n);
    if (near) {
        return weir_arena_printf(a, "did you mean %s?", near);
    }
    weir_buf b;
    weir_buf_init(&b, 4096);
    weir_buf_putz(&b, "known are");
    for (size_t i = 0; i < n; i++) {
        weir_buf_printf(&b, "%s %s", i ? "," : "", words[i]);
    }
    const char *z = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static void unknown_key(parser *p, const mig_text *key, const char *section,
                        const char *const *words, size_t n)
{
    const char *word = weir_arena_dupz(
        p->m->a, weir_slice_of(key->z, strcspn(key->z, " \t"))); /* "colunm a" means column */
    mig_problem_add(p->m, key->at, false, near_hint(p->m->a, word, words, n),
                    "there is no option %s in [%s]", key->z, section);
}

static void set_once(parser *p, mig_text *slot, const entry *e)
{
    if (slot->z) {
        mig_problem_add(p->m, e->key.at, false, NULL, "%s is given twice; first in line %d",
                        e->key.z, slot->at.line);
    } else if (!e->value.z[0]) {
        mig_problem_add(p->m, e->key.at, false, NULL, "%s has no value", e->key.z);
    } else {
        *slot = e->value;
    }
}

static void set_number(parser *p, int64_t *slot, const entry *e, int64_t min, int64_t max)
{
    int64_t v = 0;
    if (!weir_slice_i64(weir_slice_z(e->value.z), &v) || v < min || v > max) {
        mig_problem_add(p->m, e->value.at, false, NULL, "%s must be a number from %lld to %lld",
                        e->key.z, (long long)min, (long long)max);
        return;
    }
    *slot = v;
}

static bool set_choice(parser *p, const entry *e, const char *no, const char *yes, bool *out)
{
    if (strcmp(e->value.z, yes) == 0 || strcmp(e->value.z, no) == 0) {
        *out = strcmp(e->value.z, yes) == 0;
        return true;
    }
    mig_problem_add(p->m, e->value.at, false, NULL, "%s must be %s or %s", e->key.z, yes, no);
    return false;
}

static bool name_ok(const char *z)
{
    size_t n = strlen(z);
    for (size_t i = 0; i < n; i++) {
        if (!((z[i] >= 'a' && z[i] <= 'z') || (z[i] >= '0' && z[i] <= '9') || z[i] == '_')) {
            return false;
        }
    }
    return n > 0 && n <= 40;
}

static void take_migration(parser *p, const entry *e)
{
    mig_mapping *m = p->m;
    const char *k = e->key.z;
    if (strcmp(k, "name") == 0) {
        if (!name_ok(e->value.z)) {
            mig_problem_add(m, e->value.at, false, NULL,
                            "a name is made of a-z, 0-9 and _, at most 40 of them: it names slot, "
                            "publication and subscription");
        }
        m->name = (mig_text){NULL, {0, 0, 0}};
        set_once(p, &m->name, e);
    } else if (strcmp(k, "workers") == 0) {
        set_number(p, &m->workers, e, 1, 64);
    } else if (strcmp(k, "chunk_rows") == 0) {
        set_number(p, &m->chunk_rows, e, 1, 10000000);
    } else if (strcmp(k, "chunk_rows_per_s") == 0) {
        set_number(p, &m->chunk_rows_per_s, e, 0, 1000000000);
    } else if (strcmp(k, "source_keep_pct") == 0) {
        set_number(p, &m->source_keep_pct, e, 0, 95);
    } else if (strcmp(k, "rejects_max") == 0) {
        set_number(p, &m->rejects_max, e, 0, 100000000);
    } else if (strcmp(k, "sequence_margin") == 0) {
        set_number(p, &m->sequence_margin, e, 0, 1000000000);
    } else {
        unknown_key(p, &e->key, "migration", MIGRATION_KEYS, COUNT(MIGRATION_KEYS));
    }
}

/* ${NAME} becomes the environment variable's value: connection strings hold passwords. */
static void expand(parser *p, mig_text *t)
{
    if (!t->z || !strstr(t->z, "${")) {
        return;
    }
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    for (const char *z = t->z; *z;) {
        const char *end = strncmp(z, "${", 2) == 0 ? strchr(z, '}') : NULL;
        if (!end) {
            weir_buf_u8(&b, (uint8_t)*z++);
            continue;
        }
        const char *var = weir_arena_dupz(p->m->a, weir_slice_of(z + 2, (size_t)(end - z - 2)));
        const char *value = getenv(var); /* NOLINT(concurrency-mt-unsafe): before any thread */
        if (!value) {
            mig_place at = t->at;
            at.col += (int)(z - t->z);
            at.len = (int)(end - z + 1);
            mig_problem_add(p->m, at, false, NULL, "the environment variable %s is not set", var);
        }
        weir_buf_putz(&b, value ? value : "");
        z = end + 1;
    }
    t->z = weir_arena_dupz(p->m->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void take_source(parser *p, const entry *e)
{
    if (strcmp(e->key.z, "uri") == 0) {
        set_once(p, &p->m->source_uri, e);
        expand(p, &p->m->source_uri);
    } else if (strcmp(e->key.z, "feed") == 0) {
        set_once(p, &p->m->source_feed, e);
    } else {
        unknown_key(p, &e->key, "source", SOURCE_KEYS, COUNT(SOURCE_KEYS));
    }
}

static void take_target(parser *p, const entry *e)
{
    if (strcmp(e->key.z, "uri") == 0) {
        set_once(p, &p->m->target_uri, e);
        expand(p, &p->m->target_uri);
    } else {
        unknown_key(p, &e->key, "target", TARGET_KEYS, COUNT(TARGET_KEYS));
    }
}

static void take_cutover(parser *p, const entry *e)
{
    mig_mapping *m = p->m;
    const char *k = e->key.z;
    bool yes = false;
    if (strcmp(k, "fence") == 0) {
        if (set_choice(p, e, "none", "lock", &yes)) {
            m->fence = yes ? MIG_FENCE_LOCK : MIG_FENCE_NONE;
        }
    } else if (strcmp(k, "rejects") == 0) {
        (void)set_choice(p, e, "refuse", "accept", &m->rejects_accepted);
    } else if (strcmp(k, "fence_sql") == 0) {
        set_once(p, &m->fence_sql, e);
    } else if (strcmp(k, "unfence_sql") == 0) {
        set_once(p, &m->unfence_sql, e);
    } else if (strcmp(k, "before") == 0) {
        set_once(p, &m->before, e);
    } else if (strcmp(k, "after") == 0) {
        set_once(p, &m->after, e);
    } else if (strcmp(k, "lock_timeout_ms") == 0) {
        set_number(p, &m->lock_timeout_ms, e, 1, 86400000);
    } else {
        unknown_key(p, &e->key, "cutover", CUTOVER_KEYS, COUNT(CUTOVER_KEYS));
    }
}

static void take_sequence(parser *p, const entry *e)
{
    mig_mapping *m = p->m;
    if (m->nsequences == m->sequences_cap) {
        int cap = m->sequences_cap ? m->sequences_cap * 2 : 8;
        mig_sequence *grown = WEIR_ARENA_ARRAY(m->a, mig_sequence, (size_t)cap);
        if (m->nsequences) {
            memcpy(grown, m->sequences, (size_t)m->nsequences * sizeof *grown);
        }
        m->sequences = grown;
        m->sequences_cap = cap;
    }
    m->sequences[m->nsequences++] = (mig_sequence){e->key, e->value};
}

static mig_column *add_column(parser *p, mig_table *t)
{
    if (t->ncolumns == t->cap) {
        int cap = t->cap ? t->cap * 2 : 16;
        mig_column *grown = WEIR_ARENA_ARRAY(p->m->a, mig_column, (size_t)cap);
        if (t->ncolumns) {
            memcpy(grown, t->columns, (size_t)t->ncolumns * sizeof *grown);
        }
        t->columns = grown;
        t->cap = cap;
    }
    return &t->columns[t->ncolumns++];
}

/* "column NAME [TYPE]" = EXPRESSION */
static void take_column(parser *p, const entry *e)
{
    mig_table *t = p->table;
    const char *z = e->key.z + strlen("column");
    while (blank(*z)) {
        z++;
    }
    const char *start = z;
    bool quoted = *z == '"';
    z += quoted;
    while (*z && (quoted ? *z != '"' : word_char(*z))) {
        z++;
    }
    z += quoted && *z == '"';
    mig_place at = e->key.at;
    at.col += (int)(start - e->key.z);
    at.len = z > start ? (int)(z - start) : 1;
    const char *schema = NULL, *name = NULL;
    const char *word = weir_arena_dupz(p->m->a, weir_slice_of(start, (size_t)(z - start)));
    if (!mig_name_split(p->m->a, word, &schema, &name) || schema) {
        mig_problem_add(p->m, at, false, "column name = expression",
                        "the name of a target column is expected here");
        return;
    }
    if (!e->value.z[0]) {
        mig_problem_add(p->m, at, false, NULL, "column %s has no expression", name);
        return;
    }
    for (int i = 0; i < t->ncolumns; i++) {
        if (strcmp(t->columns[i].name.z, name) == 0) {
            mig_problem_add(p->m, at, false, NULL, "column %s is given twice; first in line %d",
                            name, t->columns[i].name.at.line);
            return;
        }
    }
    if (t->ncolumns == MIG_COLUMNS_MAX) {
        mig_problem_add(p->m, at, false, NULL, "a table has at most %d columns", MIG_COLUMNS_MAX);
        return;
    }
    while (blank(*z)) {
        z++;
    }
    mig_column *c = add_column(p, t);
    c->name = (mig_text){name, at};
    if (*z) {
        c->type =
            (mig_text){z, {e->key.at.line, e->key.at.col + (int)(z - e->key.z), (int)strlen(z)}};
    }
    c->expr = e->value;
}

static void take_extra(parser *p, const entry *e, int kind)
{
    mig_extra *x = weir_arena_zalloc(p->m->a, sizeof *x);
    x->kind = kind;
    x->text = e->value;
    mig_extra **tail = &p->table->extras;
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = x;
    if (!e->value.z[0]) {
        mig_problem_add(p->m, e->key.at, false, NULL, "%s has no value", e->key.z);
    }
}

static void take_table(parser *p, const entry *e)
{
    mig_table *t = p->table;
    const char *k = e->key.z;
    if (strncmp(k, "column", 6) == 0 && !word_char(k[6])) {
        take_column(p, e);
    } else if (strcmp(k, "from") == 0) {
        set_once(p, &t->from, e);
    } else if (strcmp(k, "where") == 0) {
        set_once(p, &t->where, e);
    } else if (strcmp(k, "key") == 0) {
        set_once(p, &t->key, e);
    } else if (strcmp(k, "skip") == 0) {
        set_once(p, &t->skip, e);
    } else if (strcmp(k, "create") == 0) {
        (void)set_choice(p, e, "no", "yes", &t->create);
    } else if (strcmp(k, "columns") == 0) {
        if (strcmp(e->value.z, "*") != 0) {
            mig_problem_add(p->m, e->value.at, false, "columns = *",
                            "columns takes every column of the source under its own name; single "
                            "columns are lines `column name = expression`");
        }
        t->star = true;
        t->star_at = e->value.at;
    } else if (strcmp(k, "unique") == 0) {
        take_extra(p, e, MIG_UNIQUE);
    } else if (strcmp(k, "index") == 0) {
        take_extra(p, e, MIG_INDEX);
    } else if (strcmp(k, "foreign_key") == 0) {
        take_extra(p, e, MIG_FOREIGN_KEY);
    } else {
        unknown_key(p, &e->key, "table", TABLE_KEYS, COUNT(TABLE_KEYS));
    }
}

static void take_entry(parser *p, const entry *e)
{
    switch (p->in) {
    case IN_MIGRATION: take_migration(p, e); break;
    case IN_SOURCE: take_source(p, e); break;
    case IN_TARGET: take_target(p, e); break;
    case IN_TABLE: take_table(p, e); break;
    case IN_CUTOVER: take_cutover(p, e); break;
    case IN_SEQUENCES: take_sequence(p, e); break;
    case IN_NOTHING: break; /* below a section that is unknown, which has been said */
    }
}

static void begin_table(parser *p, const mig_text *arg)
{
    mig_mapping *m = p->m;
    const char *schema = NULL, *name = NULL;
    p->in = IN_NOTHING;
    if (!mig_name_split(m->a, arg->z, &schema, &name)) {
        mig_problem_add(m, arg->at, false, "[table schema.name]",
                        "the name of a target table is expected here");
        return;
    }
    schema = schema ? schema : "public";
    for (int i = 0; i < m->ntables; i++) {
        if (strcmp(m->tables[i].schema.z, schema) == 0 && strcmp(m->tables[i].name.z, name) == 0) {
            mig_problem_add(m, arg->at, false,
                            "one target table is filled from one source table; several target "
                            "tables may be filled from the same one",
                            "the table %s.%s has a section already, in line %d", schema, name,
                            m->tables[i].at.line);
            return;
        }
    }
    if (m->ntables == MIG_TABLES_MAX) {
        mig_problem_add(m, arg->at, false, NULL, "a mapping has at most %d tables", MIG_TABLES_MAX);
        return;
    }
    if (m->ntables == m->tables_cap) {
        int cap = m->tables_cap ? m->tables_cap * 2 : 16;
        mig_table *grown = WEIR_ARENA_ARRAY(m->a, mig_table, (size_t)cap);
        if (m->ntables) {
            memcpy(grown, m->tables, (size_t)m->ntables * sizeof *grown);
        }
        m->tables = grown;
        m->tables_cap = cap;
    }
    p->table = &m->tables[m->ntables++];
    *p->table = (mig_table){.schema = {schema, arg->at}, .name = {name, arg->at}, .at = arg->at};
    p->in = IN_TABLE;
}

static void begin_section(parser *p, weir_slice line, int line_no)
{
    const char *end = memchr(line.p, ']', line.n);
    mig_place whole = {line_no, 1, (int)line.n};
    p->in = IN_NOTHING;
    if (!end) {
        mig_problem_add(p->m, whole, false, NULL, "the section has no closing ]");
        return;
    }
    size_t close = (size_t)(end - line.p), word_end = 1;
    if (weir_slice_trim(weir_slice_of(end + 1, line.n - close - 1)).n) {
        whole.col = (int)close + 2;
        mig_problem_add(p->m, whole, false, NULL, "nothing may follow the ] of a section");
    }
    while (word_end < close && word_char(line.p[word_end])) {
        word_end++;
    }
    mig_text word = text_at(p, line, 1, word_end, line_no);
    mig_text arg = text_at(p, line, word_end, close, line_no);
    static const int KINDS[] = {IN_MIGRATION, IN_SOURCE,  IN_TARGET,
                                IN_TABLE,     IN_CUTOVER, IN_SEQUENCES};
    for (size_t i = 0; i < COUNT(SECTIONS); i++) {
        if (strcmp(SECTIONS[i], word.z) != 0) {
            continue;
        }
        p->in = KINDS[i];
        if (p->in == IN_TABLE) {
            begin_table(p, &arg);
        } else if (arg.z[0]) {
            mig_problem_add(p->m, arg.at, false, NULL, "[%s] takes no name", word.z);
        }
        return;
    }
    mig_problem_add(p->m, word.at, false, near_hint(p->m->a, word.z, SECTIONS, COUNT(SECTIONS)),
                    "there is no section [%s]", word.z);
}

/* "key = value"; the key of a column may hold a type with parentheses, but no "=". */
static void take_line(parser *p, weir_slice line)
{
    int line_no = p->line;
    const char *eq = memchr(line.p, '=', line.n);
    mig_place whole = {line_no, 1, (int)line.n};
    if (!eq) {
        mig_problem_add(p->m, whole, false, "name = value; a continued value is indented",
                        "this line is no section, no option and no comment");
        return;
    }
    size_t at = (size_t)(eq - line.p);
    entry e = {text_at(p, line, 0, at, line_no), text_at(p, line, at + 1, line.n, line_no)};
    e.value.z = with_continuations(p, e.value.z);
    if (!e.key.z[0]) {
        mig_problem_add(p->m, whole, false, NULL, "there is no name before the =");
    } else if (p->in == IN_NOTHING && p->m->nproblems == 0) {
        mig_problem_add(p->m, whole, false, "begin with [migration]",
                        "this line stands in no section");
    } else {
        take_entry(p, &e);
    }
}

static void need(mig_mapping *m, const mig_text *t, const char *what)
{
    if (!t->z) {
        mig_problem_add(m, (mig_place){0, 0, 0}, false, NULL, "%s is missing", what);
    }
}

static void check_whole(mig_mapping *m)
{
    need(m, &m->source_uri, "uri in [source]");
    need(m, &m->target_uri, "uri in [target]");
    if (m->ntables == 0) {
        mig_problem_add(m, (mig_place){0, 0, 0}, false, "[table schema.name]",
                        "there is no table to migrate");
    }
    for (int i = 0; i < m->ntables; i++) {
        mig_table *t = &m->tables[i];
        if (!t->from.z) {
            mig_problem_add(m, t->at, false, "from = schema.table",
                            "the table %s.%s does not say where its rows come from", t->schema.z,
                            t->name.z);
        }
        if (t->ncolumns == 0 && !t->star) {
            mig_problem_add(m, t->at, false,
                            "columns = *   or   column name = expression, once per column",
                            "the table %s.%s has no columns", t->schema.z, t->name.z);
        }
    }
}

/* The file's name without folder and suffix, reduced to what a name may hold. */
static const char *default_name(weir_arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *z = weir_arena_strdup(a, slash ? slash + 1 : path);
    char *dot = strrchr(z, '.');
    if (dot && dot != z) {
        *dot = '\0';
    }
    for (char *c = z; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9'))) {
            *c = '_';
        }
    }
    if (strlen(z) > 40) {
        z[40] = '\0';
    }
    return z[0] ? z : "migration";
}

mig_mapping *mig_mapping_parse(weir_arena *a, const char *path, weir_slice text)
{
    mig_mapping *m = weir_arena_zalloc(a, sizeof *m);
    m->a = a;
    m->file = weir_arena_strdup(a, path);
    m->text = text;
    m->hash = weir_hash64(text);
    m->workers = 2;
    m->rejects_max = 1000;
    m->sequence_margin = 1000;
    m->lock_timeout_ms = 10000;
    parser p = {.m = m};
    if (memchr(text.p ? text.p : "", '\0', text.n) || !weir_utf8_ok(text)) {
        mig_problem_add(m, (mig_place){0, 0, 0}, false, NULL, "the file is not UTF-8 text");
        return m;
    }
    weir_slice line;
    while (next_line(&p, &line)) {
        trim_end(&line);
        if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';') {
            continue;
        }
        if (blank(line.p[0])) {
            if (weir_slice_trim(line).n) {
                mig_problem_add(m, (mig_place){p.line, 1, (int)line.n}, false, NULL,
                                "an indented line continues a value, but there is none before it");
            }
        } else if (line.p[0] == '[') {
            begin_section(&p, line, p.line);
        } else {
            take_line(&p, line);
        }
    }
    if (!m->name.z) {
        m->name.z = default_name(a, path);
    }
    check_whole(m);
    return m;
}

weir_rc mig_mapping_read(weir_arena *a, const char *path, mig_mapping **out, weir_error *err)
{
    weir_slice text;
    weir_rc rc = weir_file_read(path, MIG_FILE_MAX_BYTES, a, &text, err);
    if (rc == WEIR_OK) {
        *out = mig_mapping_parse(a, path, text);
    }
    return rc;
}
