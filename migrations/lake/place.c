/* place.c - what follows a commit: renames and marks. */
#include "migrations/lake/place.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/lake/disk.h"
#include "migrations/lake/path.h"

struct lake_place {
    char *dir, *tmp;
    int64_t marked_day; /* every day before it has its marks */
    weir_arena *a;      /* owns pending */
    lake_commit pending;
    bool has_pending;
};

weir_rc lake_place_open(lake_place **out, const char *dir, weir_error *err)
{
    lake_place *p = weir_xcalloc(1, sizeof *p);
    p->dir = weir_xstrdup(dir);
    p->tmp = lake_join(dir, "_tmp");
    p->a = weir_arena_new(0);
    p->marked_day = INT64_MIN;
    weir_rc rc = lake_mkdirs_synced(p->tmp, err);
    if (rc != WEIR_OK) {
        lake_place_close(p);
        return rc;
    }
    *out = p;
    return WEIR_OK;
}

void lake_place_close(lake_place *p)
{
    if (p) {
        weir_arena_free(p->a);
        free(p->dir);
        free(p->tmp);
        free(p);
    }
}

weir_rc lake_place_sync_tmp(lake_place *p, weir_error *err)
{
    return lake_sync_dir(p->tmp, err);
}

bool lake_place_is_copied(const lake_place *p, const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s/_COPIED", p->dir, folder);
    return access(path, F_OK) == 0;
}

/* --- renames ---------------------------------------------------------------------------------- */

/* A file that is not in _tmp was placed before; readers may have taken it away since. */
static weir_rc place_file(lake_place *p, uint64_t no, size_t i, const lake_file *f, weir_error *err)
{
    char from[4096];
    (void)snprintf(from, sizeof from, "%s/%" PRIu64 "-%zu", p->tmp, no, i);
    if (access(from, F_OK) != 0) {
        return errno == ENOENT ? WEIR_OK : weir_fail_errno(err, "cannot look at %s", from);
    }
    char *to = lake_join(p->dir, f->path);
    char *folder = weir_xstrdup(to);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
    }
    weir_rc rc = lake_mkdirs_synced(folder, err);
    if (rc == WEIR_OK && rename(from, to) != 0) {
        rc = lake_fail_disk(err, "cannot rename %s to %s", from, to);
    }
    free(to);
    free(folder);
    return rc;
}

/* One sync per folder: the files of a table and day follow each other in no order, but few
 * different folders do. */
static weir_rc sync_folders(lake_place *p, const lake_commit *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < c->nfiles && rc == WEIR_OK; i++) {
        char *folder = lake_join(p->dir, c->files[i].path);
        char *slash = strrchr(folder, '/');
        size_t n = slash ? (size_t)(slash - folder) - strlen(p->dir) - 1 : 0;
        bool same = i > 0 && strncmp(c->files[i].path, c->files[i - 1].path, n + 1) == 0;
        if (slash && !same) {
            *slash = '\0';
            /* Gone with all its files: somebody took them. */
            rc = access(folder, F_OK) == 0 ? lake_sync_dir(folder, err) : WEIR_OK;
        }
        free(folder);
    }
    return rc == WEIR_OK && c->nfiles ? lake_sync_dir(p->tmp, err) : rc;
}

/* --- marks ------------------------------------------------------------------------------------ */

static weir_rc mark_folder(lake_place *p, const char *folder, int64_t before, weir_error *err)
{
    char path[4096], day_path[4400], mark[4500];
    struct dirent *e;
    int64_t day;
    weir_rc rc = WEIR_OK;
    (void)snprintf(path, sizeof path, "%s/%s", p->dir, folder);
    DIR *d = opendir(path);
    if (!d) {
        return errno == ENOTDIR || errno == ENOENT ? WEIR_OK
                                                   : weir_fail_errno(err, "cannot read %s", path);
    }
    while (rc == WEIR_OK && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (!lake_day_parse(weir_slice_z(e->d_name), &day) || day >= before) {
            continue;
        }
        (void)snprintf(day_path, sizeof day_path, "%s/%s", path, e->d_name);
        (void)snprintf(mark, sizeof mark, "%s/_SUCCESS", day_path);
        if (access(mark, F_OK) != 0) {
            rc = lake_mark(day_path, "_SUCCESS", err);
        }
    }
    (void)closedir(d);
    return rc;
}

static weir_rc mark_days(lake_place *p, int64_t before, weir_error *err)
{
    struct dirent *e;
    weir_rc rc = WEIR_OK;
    if (p->marked_day >= before) {
        return WEIR_OK;
    }
    DIR *d = opendir(p->dir);
    if (!d) {
        return weir_fail_errno(err, "cannot read %s", p->dir);
    }
    while (rc == WEIR_OK && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (e->d_name[0] != '_' && e->d_name[0] != '.') {
            rc = mark_folder(p, e->d_name, before, err);
        }
    }
    (void)closedir(d);
    if (rc == WEIR_OK) {
        p->marked_day = before;
    }
    return rc;
}

static weir_rc mark_copied(lake_place *p, const lake_commit *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < c->ncopied && rc == WEIR_OK; i++) {
        char *folder = lake_join(p->dir, c->copied[i]);
        rc = lake_mkdirs_synced(folder, err);
        if (rc == WEIR_OK) {
            rc = lake_mark(folder, "_COPIED", err);
        }
        free(folder);
    }
    return rc;
}

static weir_rc finish(lake_place *p, const lake_commit *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < c->nfiles && rc == WEIR_OK; i++) {
        rc = place_file(p, c->no, i, &c->files[i], err);
    }
    if (rc == WEIR_OK) {
        rc = sync_folders(p, c, err);
    }
    if (rc == WEIR_OK) {
        rc = mark_copied(p, c, err);
    }
    return rc == WEIR_OK ? mark_days(p, c->open_day, err) : rc;
}

/* --- the three ways in ------------------------------------------------------------------------ */

static void keep_pending(lake_place *p, const lake_commit *c)
{
    lake_commit *to = &p->pending;
    weir_arena_reset(p->a);
    *to = *c;
    to->files = WEIR_ARENA_ARRAY(p->a, lake_file, c->nfiles + 1);
    to->copied = WEIR_ARENA_ARRAY(p->a, const char *, c->ncopied + 1);
    for (size_t i = 0; i < c->nfiles; i++) {
        to->files[i] = c->files[i];
        to->files[i].path = weir_arena_strdup(p->a, c->files[i].path);
        to->files[i].table = weir_arena_strdup(p->a, c->files[i].table);
    }
    for (size_t i = 0; i < c->ncopied; i++) {
        to->copied[i] = weir_arena_strdup(p->a, c->copied[i]);
    }
    p->has_pending = true;
}

weir_rc lake_place_commit(lake_place *p, const lake_commit *c, weir_error *err)
{
    weir_rc rc = finish(p, c, err);
    if (rc != WEIR_OK) {
        keep_pending(p, c);
    }
    return rc;
}

weir_rc lake_place_again(lake_place *p, weir_error *err)
{
    weir_rc rc = p->has_pending ? finish(p, &p->pending, err) : WEIR_OK;
    p->has_pending = p->has_pending && rc != WEIR_OK;
    return rc;
}

static weir_rc empty_tmp(lake_place *p, weir_error *err)
{
    struct dirent *e;
    size_t n = 0;
    weir_rc rc = WEIR_OK;
    DIR *d = opendir(p->tmp);
    if (!d) {
        return weir_fail_errno(err, "cannot read %s", p->tmp);
    }
    while (rc == WEIR_OK && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        char *path = lake_join(p->tmp, e->d_name);
        if (unlink(path) != 0) {
            rc = weir_fail_errno(err, "cannot remove %s", path);
        }
        n++;
        free(path);
    }
    (void)closedir(d);
    if (n) {
        WEIR_INFO("LAKE-DISCARDED", "files=%zu that were not committed; their changes come again",
                  n);
    }
    return rc;
}

weir_rc lake_place_recover(lake_place *p, const lake_commit *last, weir_error *err)
{
    weir_rc rc = last->no ? finish(p, last, err) : WEIR_OK;
    return rc == WEIR_OK ? empty_tmp(p, err) : rc;
}
