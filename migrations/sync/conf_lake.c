/* conf_lake.c - what a SYNC.ini says about files. */
#include "migrations/sync/conf_lake.h"

#include "libweir/base/str.h"
#include "migrations/sync/conf_word.h"

static weir_rc word_of(const char *key, const char *value, const char *const *words, size_t n,
                       int *out, weir_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = (int)i;
            return WEIR_OK;
        }
    }
    return weir_fail(err, WEIR_E_INPUT, 0, "%s = %s: it must be %s, %s%s%s", key, value, words[0],
                     words[1], n > 2 ? " or " : "", n > 2 ? words[2] : "");
}

static weir_rc number_of(const char *key, const char *value, int64_t low, int64_t high,
                         int64_t times, int64_t *out, weir_error *err)
{
    int64_t n = 0;
    if (!weir_slice_i64(weir_slice_z(value), &n) || n < low || n > high) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s = %s: it must be a number from %lld to %lld",
                         key, value, (long long)low, (long long)high);
    }
    *out = n * times;
    return WEIR_OK;
}

static weir_rc yes_no(const char *key, const char *value, bool *out, weir_error *err)
{
    static const char *const words[] = {"no", "yes"};
    int i = 0;
    weir_rc rc = word_of(key, value, words, 2, &i, err);
    *out = i == 1;
    return rc;
}

weir_rc sync_conf_destination(sync_lake_conf *c, weir_arena *a, const char *key, const char *value,
                              weir_error *err)
{
    static const char *const words[] = {"type", "dir", "roll_seconds", "roll_mb", "part_mb"};
    if (strcmp(key, "type") == 0) {
        return strcmp(value, "jsonl") == 0
                   ? WEIR_OK
                   : weir_fail(err, WEIR_E_INPUT, 0,
                               "type = %s: a [destination] is jsonl; a database is a [target]",
                               value);
    }
    if (strcmp(key, "dir") == 0) {
        c->dir = weir_arena_strdup(a, value);
        return WEIR_OK;
    }
    if (strcmp(key, "roll_seconds") == 0) {
        return number_of(key, value, 1, 86400, 1000, &c->roll_ms, err);
    }
    if (strcmp(key, "roll_mb") == 0) {
        return number_of(key, value, 1, 1 << 20, 1 << 20, &c->roll_bytes, err);
    }
    if (strcmp(key, "part_mb") == 0) {
        return number_of(key, value, 1, 1 << 20, 1 << 20, &c->part_bytes, err);
    }
    return sync_conf_no_option("destination", key, words, sizeof words / sizeof *words, err);
}

static const char *const folder_words[] = {"dir",   "complete", "stable_seconds", "scan_seconds",
                                           "after", "move_to",  "rejects_max",    "row_max_mb"};
enum { FOLDER_WORDS = sizeof folder_words / sizeof *folder_words };

bool sync_conf_is_folder_key(const char *key)
{
    for (size_t i = 0; i < FOLDER_WORDS; i++) {
        if (strcmp(key, folder_words[i]) == 0) {
            return true;
        }
    }
    return false;
}

weir_rc sync_conf_folder(sync_folder_conf *c, weir_arena *a, const char *key, const char *value,
                         weir_error *err)
{
    static const char *const completes[] = {"stable", "rename", "done"};
    static const char *const afters[] = {"keep", "move", "delete"};
    lake_folder_conf *l = &c->load;
    int i = 0;
    weir_rc rc = WEIR_OK;
    if (strcmp(key, "dir") == 0) {
        l->dir = weir_arena_strdup(a, value);
    } else if (strcmp(key, "move_to") == 0) {
        l->move_to = weir_arena_strdup(a, value);
    } else if (strcmp(key, "complete") == 0) {
        rc = word_of(key, value, completes, 3, &i, err);
        l->complete = (lake_complete)i;
    } else if (strcmp(key, "after") == 0) {
        rc = word_of(key, value, afters, 3, &i, err);
        l->after = (lake_after)i;
    } else if (strcmp(key, "stable_seconds") == 0) {
        rc = number_of(key, value, 1, 86400, 1000, &l->stable_ms, err);
    } else if (strcmp(key, "scan_seconds") == 0) {
        rc = number_of(key, value, 1, 3600, 1000, &l->scan_ms, err);
    } else if (strcmp(key, "rejects_max") == 0) {
        rc = number_of(key, value, -1, INT64_MAX / 2, 1, &l->rejects_max, err);
    } else if (strcmp(key, "row_max_mb") == 0) {
        rc = number_of(key, value, 1, 512, 1 << 20, &l->row_max_bytes, err);
    } else {
        rc = sync_conf_no_option("source", key, folder_words, FOLDER_WORDS, err);
    }
    return rc;
}

static weir_rc files_table(lake_files *f, weir_arena *a, const char *value)
{
    const char *dot = strchr(value, '.');
    f->schema = dot ? weir_arena_dupz(a, weir_slice_of(value, (size_t)(dot - value))) : "public";
    f->table = weir_arena_strdup(a, dot ? dot + 1 : value);
    return WEIR_OK;
}

static weir_rc files_delimiter(lake_files *f, const char *value, weir_error *err)
{
    if (strcmp(value, "tab") == 0 || strcmp(value, "\\t") == 0) {
        f->delimiter = '\t';
        return WEIR_OK;
    }
    if (strlen(value) != 1 || value[0] == '"' || value[0] == '\n' ||
        (unsigned char)value[0] > 0x7f) {
        return weir_fail(err, WEIR_E_INPUT, 0, "delimiter = %s: it must be one character, or tab",
                         value);
    }
    f->delimiter = value[0];
    return WEIR_OK;
}

weir_rc sync_conf_files(sync_folder_conf *c, weir_arena *a, const char *name, const char *key,
                        const char *value, weir_error *err)
{
    static const char *const words[] = {"pattern", "table",   "format",         "delimiter",
                                        "null",    "columns", "ignore_unknown", "mode"};
    static const char *const formats[] = {"csv", "jsonl"};
    static const char *const modes[] = {"insert", "upsert"};
    lake_folder_conf *l = &c->load;
    size_t n = 0;
    int i = 0;
    weir_rc rc = WEIR_OK;
    while (n < l->nfiles && strcmp(c->names[n], name) != 0) {
        n++;
    }
    if (n == SYNC_FILES_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "more than %d [files ...] sections", SYNC_FILES_MAX);
    }
    if (n == l->nfiles) {
        c->names[l->nfiles++] = weir_arena_strdup(a, name);
        l->files = c->files;
    }
    lake_files *f = &c->files[n];
    if (strcmp(key, "pattern") == 0) {
        f->pattern = weir_arena_strdup(a, value);
    } else if (strcmp(key, "table") == 0) {
        rc = files_table(f, a, value);
    } else if (strcmp(key, "format") == 0) {
        rc = word_of(key, value, formats, 2, &i, err);
        f->format = i ? LAKE_JSONL : LAKE_CSV;
    } else if (strcmp(key, "delimiter") == 0) {
        rc = files_delimiter(f, value, err);
    } else if (strcmp(key, "null") == 0) {
        f->null_text = weir_arena_strdup(a, value);
    } else if (strcmp(key, "columns") == 0) {
        f->columns = weir_arena_strdup(a, value);
    } else if (strcmp(key, "ignore_unknown") == 0) {
        rc = yes_no(key, value, &f->ignore_unknown, err);
    } else if (strcmp(key, "mode") == 0) {
        rc = word_of(key, value, modes, 2, &i, err);
        f->upsert = i == 1;
    } else {
        rc = sync_conf_no_option(weir_arena_printf(a, "files %s", name), key, words,
                                 sizeof words / sizeof *words, err);
    }
    return rc;
}

weir_rc sync_conf_folder_check(const sync_folder_conf *c, weir_error *err)
{
    if (!c->load.dir) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "[source] dir is not set: the folder to load files from");
    }
    if (c->load.after == LAKE_MOVE && !c->load.move_to) {
        return weir_fail(err, WEIR_E_INPUT, 0, "[source] after = move needs move_to");
    }
    if (c->load.nfiles == 0) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "no [files NAME] section says which files go into which table");
    }
    for (size_t i = 0; i < c->load.nfiles; i++) {
        if (!c->files[i].pattern || !c->files[i].table) {
            return weir_fail(err, WEIR_E_INPUT, 0, "[files %s] needs pattern and table",
                             c->names[i]);
        }
    }
    return WEIR_OK;
}
