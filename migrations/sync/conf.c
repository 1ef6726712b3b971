/* conf.c - reads a SYNC.ini and finds the tables it names. */
#include "migrations/sync/conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/settings_ini.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/pg.h"
#include "migrations/sync/conf_word.h"

enum {
    TABLES_MAX = 4096,
    NAME_MAX_BYTES = 30,
    KEEP_H = 168,
    KEEP_H_MAX = 87600,
    KEEP_PCT_MAX = 95
};

extern const char weir_sql_sync_tables[];

typedef struct conf_reader {
    sync_conf *c;
    weir_arena *a;
    sync_table_conf *table;
    sync_folder_conf *folder;
    size_t cap;
    weir_error *err;
} conf_reader;

static const char *const policies[] = {
    "error",    "apply_remote", "keep_local", "last_update_wins", "first_update_wins",
    "priority", "function"};
static const char *const missings[] = {"insert", "skip", "error"};

const char *sync_policy_name(sync_policy p)
{
    return policies[p];
}

static weir_rc one_of(const char *key, const char *value, const char *const *words, size_t n,
                      int *out, weir_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], value) == 0) {
            *out = (int)i;
            return WEIR_OK;
        }
    }
    weir_buf b;
    weir_buf_init(&b, 1000);
    for (size_t i = 0; i < n; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", words[i]);
    }
    weir_rc rc = weir_fail(err, WEIR_E_INPUT, 0, "%s = %s: it must be one of %.*s", key, value,
                           (int)b.n, b.p);
    weir_buf_fini(&b);
    return rc;
}

static bool rule_key(const char *key)
{
    return strcmp(key, "conflict") == 0 || strcmp(key, "conflict_back") == 0 ||
           strcmp(key, "missing") == 0 || strcmp(key, "priority") == 0 ||
           strcmp(key, "function") == 0;
}

/* A name up to its end or a dot, without the quotes it may have. *at: behind it. */
static const char *one_name(weir_arena *a, const char **at, bool rest)
{
    const char *p = *at;
    if (*p != '"') {
        const char *dot = rest ? NULL : strchr(p, '.');
        *at = dot ? dot : p + strlen(p);
        return weir_arena_dupz(a, weir_slice_of(p, (size_t)(*at - p)));
    }
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
        p += *p == '"';
        weir_buf_u8(&b, (uint8_t)*p);
    }
    *at = *p ? p + 1 : p;
    const char *z = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

/* "schema.name", both as they are or quoted as in SQL; a name without a dot is in public. */
static void split_name(weir_arena *a, const char *text, const char **schema, const char **name)
{
    const char *p = text;
    const char *first = one_name(a, &p, false);
    *schema = *p == '.' ? first : "public";
    if (*p == '.') {
        p++;
        first = one_name(a, &p, true);
    }
    *name = first;
}

/* Patterns, with names quoted as in SQL or not. */
static const char *patterns(weir_arena *a, const char *text)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (const char *p = text; *p; p++) {
        if (*p != '"' || p[1] == '"') {
            p += *p == '"';
            weir_buf_u8(&b, (uint8_t)*p);
        }
    }
    const char *z = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static weir_rc set_rule(conf_reader *r, sync_rules *rules, const char *key, const char *value)
{
    static const char *const sides[] = {"target", "source"};
    int i = 0;
    weir_rc rc = WEIR_OK;
    if (strcmp(key, "conflict") == 0) {
        rc = one_of(key, value, policies, sizeof policies / sizeof *policies, &i, r->err);
        rules->policy = (sync_policy)i;
        rules->back = rules->back_said ? rules->back : rules->policy;
    } else if (strcmp(key, "conflict_back") == 0) {
        rc = one_of(key, value, policies, sizeof policies / sizeof *policies, &i, r->err);
        rules->back = (sync_policy)i;
        rules->back_said = true;
    } else if (strcmp(key, "missing") == 0) {
        rc = one_of(key, value, missings, sizeof missings / sizeof *missings, &i, r->err);
        rules->missing = (sync_missing)i;
    } else if (strcmp(key, "priority") == 0) {
        rc = one_of(key, value, sides, 2, &i, r->err);
        rules->source_wins = i == 1;
    } else {
        const char *schema = NULL;
        const char *name = NULL;
        split_name(r->a, value, &schema, &name);
        rules->function =
            weir_arena_printf(r->a, "%s.%s", weir_pg_ident(r->a, weir_slice_z(schema)),
                              weir_pg_ident(r->a, weir_slice_z(name)));
    }
    return rc;
}

static weir_rc hours(const char *key, const char *value, int64_t least, int64_t *ms,
                     weir_error *err)
{
    int64_t n = 0;
    if (!weir_slice_i64(weir_slice_z(value), &n) || n < least || n > KEEP_H_MAX) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s = %s: it must be %d to %d hours", key, value,
                         (int)least, KEEP_H_MAX);
    }
    *ms = n * 3600000;
    return WEIR_OK;
}

static weir_rc number(const char *key, const char *value, int most, int *out, weir_error *err)
{
    int64_t n = 0;
    if (!weir_slice_i64(weir_slice_z(value), &n) || n < 0 || n > most) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s = %s: it must be 0 to %d", key, value, most);
    }
    *out = (int)n;
    return WEIR_OK;
}

static weir_rc set_sync(conf_reader *r, const char *key, const char *value)
{
    static const char *const words[] = {"name",
                                        "ways",
                                        "tables",
                                        "exclude",
                                        "initial",
                                        "listen",
                                        "port",
                                        "log_level",
                                        "conflict",
                                        "conflict_back",
                                        "missing",
                                        "priority",
                                        "tombstones_keep_h",
                                        "conflicts_keep_h",
                                        "source_keep_pct"};
    static const char *const ways[] = {"one", "both"};
    static const char *const initials[] = {"none", "copy"};
    sync_conf *c = r->c;
    int i = 0;
    weir_rc rc = WEIR_OK;
    if (strcmp(key, "name") == 0) {
        if (value[0] == '\0' ||
            strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(value) ||
            strlen(value) > NAME_MAX_BYTES) {
            return weir_fail(
                r->err, WEIR_E_INPUT, 0,
                "name = %s: it becomes part of names in SQL: a-z, 0-9 and _, at most %d", value,
                NAME_MAX_BYTES);
        }
        c->name = weir_arena_strdup(r->a, value);
    } else if (strcmp(key, "ways") == 0) {
        rc = one_of(key, value, ways, 2, &i, r->err);
        c->both = i == 1;
    } else if (strcmp(key, "initial") == 0) {
        rc = one_of(key, value, initials, 2, &i, r->err);
        c->copy = i == 1;
    } else if (strcmp(key, "tables") == 0) {
        c->tables = patterns(r->a, value);
    } else if (strcmp(key, "exclude") == 0) {
        c->exclude = patterns(r->a, value);
    } else if (strcmp(key, "listen") == 0) {
        c->listen = weir_arena_strdup(r->a, value);
    } else if (strcmp(key, "log_level") == 0) {
        c->log_level = weir_arena_strdup(r->a, value);
    } else if (strcmp(key, "port") == 0) {
        rc = number(key, value, 65535, &c->port, r->err);
    } else if (strcmp(key, "source_keep_pct") == 0) {
        rc = number(key, value, KEEP_PCT_MAX, &c->source_keep_pct, r->err);
    } else if (strcmp(key, "tombstones_keep_h") == 0) {
        rc = hours(key, value, 1, &c->tombstones_keep_ms, r->err);
    } else if (strcmp(key, "conflicts_keep_h") == 0) {
        rc = hours(key, value, 0, &c->conflicts_keep_ms, r->err);
    } else if (rule_key(key) && strcmp(key, "function") != 0) {
        rc = set_rule(r, &c->rules, key, value);
    } else {
        rc = sync_conf_no_option("sync", key, words, sizeof words / sizeof *words, r->err);
    }
    return rc;
}

static weir_rc set_side(conf_reader *r, const char *section, sync_side_conf *s, const char *key,
                        const char *value)
{
    static const char *const words[] = {"uri", "feed", "slot", "publication"};
    const char **const places[] = {&s->uri, &s->feed, &s->slot, &s->publication};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(key, words[i]) != 0) {
            continue;
        }
        if (i == 0 && strncmp(value, "env:", 4) == 0) {
            const char *env = getenv(value + 4); /* NOLINT(concurrency-mt-unsafe): at start */
            if (!env || !env[0]) {
                return weir_fail(r->err, WEIR_E_INPUT, 0,
                                 "[%s] uri: the environment variable %s is not set", section,
                                 value + 4);
            }
            value = env;
        }
        *places[i] = weir_arena_strdup(r->a, value);
        return WEIR_OK;
    }
    return sync_conf_no_option(section, key, words, 4, r->err);
}

static weir_rc set_table(conf_reader *r, const char *section, const char *key, const char *value)
{
    static const char *const words[] = {"conflict", "conflict_back", "missing",
                                        "priority", "function",      "to"};
    const char *schema = NULL;
    const char *name = NULL;
    weir_slice word = weir_slice_trim(weir_slice_z(section + strlen("table")));
    split_name(r->a, weir_arena_dupz(r->a, word), &schema, &name);
    sync_table_conf *t = NULL;
    for (size_t i = 0; i < r->c->ntables && !t; i++) {
        t = strcmp(r->table[i].schema, schema) == 0 && strcmp(r->table[i].name, name) == 0
                ? &r->table[i]
                : NULL;
    }
    if (!t && r->c->ntables == TABLES_MAX) {
        return weir_fail(r->err, WEIR_E_LIMIT, 0, "more than %d table sections", TABLES_MAX);
    }
    if (!t) {
        t = &r->table[r->c->ntables++];
        *t = (sync_table_conf){schema, name, schema, name, r->c->rules};
        t->rules.back_said = false;
    }
    if (strcmp(key, "to") == 0) {
        split_name(r->a, value, &t->to_schema, &t->to_name);
        return WEIR_OK;
    }
    return rule_key(key)
               ? set_rule(r, &t->rules, key, value)
               : sync_conf_no_option(section, key, words, sizeof words / sizeof *words, r->err);
}

/* Seen before [source] says its type: what must be there is checked at the end. */
static sync_folder_conf *folder_of(conf_reader *r)
{
    if (!r->folder) {
        r->folder = weir_arena_zalloc(r->a, sizeof *r->folder);
    }
    return r->folder;
}

static weir_rc set_source(conf_reader *r, const char *key, const char *value)
{
    static const char *const types[] = {"postgres", "folder"};
    int i = 0;
    if (strcmp(key, "type") == 0) {
        weir_rc rc = one_of(key, value, types, 2, &i, r->err);
        r->c->folder = rc == WEIR_OK && i == 1 ? folder_of(r) : NULL;
        return rc;
    }
    return sync_conf_is_folder_key(key) ? sync_conf_folder(folder_of(r), r->a, key, value, r->err)
                                        : set_side(r, "source", &r->c->source, key, value);
}

static weir_rc on_option(void *arg, const char *section, const char *key, const char *value,
                         weir_error *err)
{
    static const char *const sections[] = {"sync",  "source",      "target",
                                           "table", "destination", "files"};
    conf_reader *r = arg;
    r->err = err;
    if (strcmp(section, "sync") == 0) {
        if (r->c->ntables > 0 && rule_key(key)) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "[sync] must stand before the [table …] sections");
        }
        return set_sync(r, key, value);
    }
    if (strcmp(section, "source") == 0) {
        return set_source(r, key, value);
    }
    if (strcmp(section, "destination") == 0) {
        r->c->lake = r->c->lake ? r->c->lake : weir_arena_zalloc(r->a, sizeof *r->c->lake);
        return sync_conf_destination(r->c->lake, r->a, key, value, err);
    }
    if (strncmp(section, "files ", 6) == 0) {
        return sync_conf_files(folder_of(r), r->a, section + 6, key, value, err);
    }
    if (strcmp(section, "target") == 0) {
        return set_side(r, section, &r->c->target, key, value);
    }
    if (strncmp(section, "table ", 6) == 0) {
        return set_table(r, section, key, value);
    }
    const char *near = weir_nearest(section, sections, sizeof sections / sizeof *sections);
    return weir_fail(err, WEIR_E_INPUT, 0, "there is no section [%s]%s%s%s", section,
                     near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
}

/* The file's stem, reduced to a-z 0-9 _. */
static const char *stem(weir_arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = weir_arena_strdup(a, slash ? slash + 1 : path);
    size_t n = strcspn(name, ".");
    n = n > NAME_MAX_BYTES ? NAME_MAX_BYTES : n;
    name[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        name[i] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
    }
    return n ? name : "sync";
}

/* apply_remote and keep_local name a side by where they are said: the same word on both sides would
 * exchange the rows, or leave them apart. */
static weir_rc check_ways(const char *what, const sync_rules *r, bool both, weir_error *err)
{
    bool remote = r->policy == SYNC_APPLY_REMOTE && r->back == SYNC_KEEP_LOCAL;
    bool local = r->policy == SYNC_KEEP_LOCAL && r->back == SYNC_APPLY_REMOTE;
    if (!both) {
        return r->back == r->policy
                   ? WEIR_OK
                   : weir_fail(err, WEIR_E_INPUT, 0, "%s: conflict_back needs ways = both", what);
    }
    if (r->policy == SYNC_APPLY_REMOTE || r->policy == SYNC_KEEP_LOCAL) {
        bool apply = r->policy == SYNC_APPLY_REMOTE;
        return remote || local
                   ? WEIR_OK
                   : weir_fail(err, WEIR_E_INPUT, 0,
                               "%s: conflict = %s with ways = both: if both sides do that their "
                               "rows stay different. Add conflict_back = %s, or say conflict = "
                               "priority and priority = %s",
                               what, policies[r->policy],
                               policies[apply ? SYNC_KEEP_LOCAL : SYNC_APPLY_REMOTE],
                               apply ? "source" : "target");
    }
    return r->back == r->policy
               ? WEIR_OK
               : weir_fail(err, WEIR_E_INPUT, 0,
                           "%s: conflict_back belongs to conflict = apply_remote (then it is "
                           "keep_local) or keep_local (apply_remote); with %s it must be left out",
                           what, policies[r->policy]);
}

static weir_rc check_rules(const char *what, const sync_rules *r, bool both, weir_error *err)
{
    if (r->policy == SYNC_FUNCTION && (!r->function || !r->function[0])) {
        return weir_fail(
            err, WEIR_E_INPUT, 0,
            "%s: conflict = function needs function = SCHEMA.NAME in the table's section", what);
    }
    return check_ways(what, r, both, err);
}

/* What goes together with files, and what does not. */
static weir_rc check_files(const sync_conf *c, const sync_folder_conf *said, weir_error *err)
{
    if (said && !c->folder) {
        return weir_fail(
            err, WEIR_E_INPUT, 0,
            "[source] type = folder is missing: a folder's options are of no use without");
    }
    if (!c->lake && !c->folder) {
        return WEIR_OK;
    }
    if (c->lake && c->folder) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "a folder is loaded into a [target], not into a lake");
    }
    if (c->both) {
        return weir_fail(err, WEIR_E_INPUT, 0, "ways = both is for two databases");
    }
    if (c->lake && c->target.uri) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "there are a [target] and a [destination]: one of them");
    }
    if (c->lake && (!c->lake->dir || !c->lake->dir[0])) {
        return weir_fail(err, WEIR_E_INPUT, 0, "[destination] dir is not set");
    }
    if (c->folder && c->source.uri) {
        return weir_fail(err, WEIR_E_INPUT, 0, "[source] is a folder: it has no uri");
    }
    return c->folder ? sync_conf_folder_check(c->folder, err) : WEIR_OK;
}

static weir_rc check(const sync_conf *c, const sync_folder_conf *said, const char *path,
                     weir_arena *a, weir_error *err)
{
    weir_rc rc = check_files(c, said, err);
    rc = rc == WEIR_OK ? check_rules("[sync]", &c->rules, c->both, err) : rc;
    for (size_t i = 0; rc == WEIR_OK && i < c->ntables; i++) {
        rc =
            check_rules(weir_arena_printf(a, "[table %s.%s]", c->table[i].schema, c->table[i].name),
                        &c->table[i].rules, c->both, err);
    }
    if (rc == WEIR_OK && ((!c->source.uri && !c->folder) || (!c->target.uri && !c->lake))) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "[%s] uri is not set",
                       c->source.uri || c->folder ? "target" : "source");
    }
    if (rc == WEIR_OK && !c->folder && (!c->tables || !c->tables[0])) {
        rc = weir_fail(err, WEIR_E_INPUT, 0,
                       "[sync] tables is not set: for example tables = public.*");
    }
    if (rc == WEIR_OK && c->copy && c->both) {
        rc =
            weir_fail(err, WEIR_E_INPUT, 0,
                      "initial = copy and ways = both: copy one way first (ways = one), then start "
                      "both ways with initial = none");
    }
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s", path);
    }
    return rc;
}

weir_rc sync_conf_load(sync_conf *out, const char *path, weir_arena *a, weir_error *err)
{
    weir_error own;
    err = err ? err : &own;
    *out = (sync_conf){.name = stem(a, path),
                       .listen = "127.0.0.1",
                       .log_level = "info",
                       .exclude = "",
                       .tombstones_keep_ms = (int64_t)KEEP_H * 3600000,
                       .rules = {.policy = SYNC_ERROR, .missing = SYNC_MISSING_INSERT}};
    conf_reader r = {.c = out, .a = a, .err = err};
    r.table = WEIR_ARENA_ARRAY(a, sync_table_conf, TABLES_MAX);
    out->table = r.table;
    weir_rc rc = weir_ini_read(path, a, on_option, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    sync_side_conf *sides[] = {&out->source, &out->target};
    const char *labels[] = {"source", "target"};
    for (size_t i = 0; i < 2; i++) {
        const char *def = weir_arena_printf(a, "weir_sync_%s_%s", out->name, labels[i]);
        sides[i]->slot = sides[i]->slot ? sides[i]->slot : def;
        sides[i]->publication = sides[i]->publication ? sides[i]->publication : def;
    }
    return check(out, r.folder, path, a, err);
}

const sync_table_conf *sync_conf_table(const sync_conf *c, weir_slice schema, weir_slice name)
{
    for (size_t i = 0; i < c->ntables; i++) {
        if (weir_slice_eqz(schema, c->table[i].schema) && weir_slice_eqz(name, c->table[i].name)) {
            return &c->table[i];
        }
    }
    return NULL;
}

weir_rc sync_conf_resolve(const sync_conf *c, weir_arena *a, sync_name **out, size_t *n,
                          weir_error *err)
{
    weir_pg *pg = NULL;
    weir_pg_rows *rows = NULL;
    weir_pg_conf conf = {.uri = c->source.uri, .application_name = "weir-sync"};
    const char *params[] = {c->tables, c->exclude};
    *n = 0;
    weir_rc rc = weir_pg_open(&pg, &conf, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(pg, weir_sql_sync_tables, 2, params, &rows, err);
    }
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the source");
        weir_pg_close(pg);
        return rc;
    }
    *n = (size_t)weir_pg_nrows(rows);
    *out = WEIR_ARENA_ARRAY(a, sync_name, *n);
    for (size_t i = 0; i < *n; i++) {
        (*out)[i].schema = weir_arena_dupz(a, weir_pg_value(rows, (int)i, 0));
        (*out)[i].name = weir_arena_dupz(a, weir_pg_value(rows, (int)i, 1));
    }
    weir_pg_rows_free(rows);
    weir_pg_close(pg);
    return *n > 0 ? WEIR_OK
                  : weir_fail(err, WEIR_E_INPUT, 0, "no table of the source matches tables = %s",
                              c->tables);
}
