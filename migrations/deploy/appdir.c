/* appdir.c - reads the files of an app directory. */
#include "migrations/deploy/appdir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libweir/base/str.h"

static bool has_sql_ending(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".sql") == 0;
}

/* "0001_init.sql" -> 1 */
static bool parse_version(const char *stem, int64_t *out)
{
    size_t digits = strspn(stem, "0123456789");
    return digits > 0 && digits <= 18 && stem[digits] == '_' && stem[digits + 1] != '\0' &&
           weir_slice_i64(weir_slice_of(stem, digits), out);
}

static weir_rc read_file(const char *dir, const char *sub, const char *name, weir_arena *a,
                         dep_file *f, weir_error *err)
{
    f->path = weir_arena_printf(a, "%s/%s", sub, name);
    f->stem = weir_arena_dupz(a, weir_slice_of(name, strlen(name) - 4));
    const char *path = weir_arena_printf(a, "%s/%s", dir, f->path);
    weir_rc rc = weir_file_read(path, DEP_FILE_MAX_BYTES, a, &f->text, err);
    if (rc == WEIR_OK && !weir_utf8_ok(f->text)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s is not UTF-8 text", path);
    }
    return rc;
}

static int by_version(const void *x, const void *y)
{
    const dep_file *a = x, *b = y;
    if (a->version != b->version) {
        return a->version < b->version ? -1 : 1;
    }
    return strcmp(a->path, b->path);
}

static weir_rc check_versions(const dep_files *fs, weir_error *err)
{
    for (size_t i = 0; i < fs->n; i++) {
        if (i && fs->f[i].version == fs->f[i - 1].version) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "%s and %s have the same number; give one of them the next free one",
                             fs->f[i - 1].path, fs->f[i].path);
        }
    }
    return WEIR_OK;
}

static weir_rc add_file(const char *dir, const char *sub, const char *name, weir_arena *a,
                        dep_files *out, weir_error *err)
{
    if (out->n == DEP_FILES_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "%s/%s holds more than %d files", dir, sub,
                         DEP_FILES_MAX);
    }
    if (out->n % 64 == 0) {
        dep_file *more = WEIR_ARENA_ARRAY(a, dep_file, out->n + 64);
        if (out->n) {
            memcpy(more, out->f, out->n * sizeof *more);
        }
        out->f = more;
    }
    dep_file *f = &out->f[out->n];
    weir_rc rc = read_file(dir, sub, name, a, f, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (strcmp(sub, "schema") == 0 && !parse_version(f->stem, &f->version)) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "%s must be named NNNN_name.sql, like schema/0001_init.sql", f->path);
    }
    out->n++;
    return WEIR_OK;
}

static weir_rc read_folder(const char *dir, const char *sub, weir_arena *a, dep_files *out,
                           weir_error *err)
{
    const char *path = weir_arena_printf(a, "%s/%s", dir, sub);
    DIR *d = opendir(path);
    if (!d) {
        return errno == ENOENT ? WEIR_OK : weir_fail_errno(err, "cannot read %s", path);
    }
    weir_rc rc = WEIR_OK;
    struct dirent *e;
    while (rc == WEIR_OK &&
           (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        if (has_sql_ending(e->d_name)) {
            rc = add_file(dir, sub, e->d_name, a, out, err);
        }
    }
    (void)closedir(d);
    if (rc == WEIR_OK && out->n) {
        qsort(out->f, out->n, sizeof *out->f, by_version);
        rc = strcmp(sub, "schema") == 0 ? check_versions(out, err) : WEIR_OK;
    }
    return rc;
}

weir_rc dep_appdir_read(const char *dir, weir_arena *a, dep_appdir *out, weir_error *err)
{
    struct stat st;
    *out = (dep_appdir){.dir = dir};
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return weir_fail(err, WEIR_E_NOTFOUND, 0, "%s is not a directory", dir);
    }
    weir_rc rc = read_folder(dir, "schema", a, &out->schema, err);
    rc = rc == WEIR_OK ? read_folder(dir, "commands", a, &out->commands, err) : rc;
    return rc == WEIR_OK ? read_folder(dir, "read-models", a, &out->models, err) : rc;
}
