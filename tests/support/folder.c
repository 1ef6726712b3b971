/* folder.c - a fresh folder for one test, and what is in it afterwards. */
#include "tests/support/folder.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool folder_make(char *out, size_t size)
{
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): tests start single */
    (void)snprintf(out, size, "%s/weir-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(out)) {
        perror(out);
        return false;
    }
    return true;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static FTS *open_tree(const char *dir)
{
    char *path = strdup(dir);
    char *const paths[] = {path, NULL};
    FTS *t = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    free(path);
    return t;
}

void folder_remove(const char *dir)
{
    FTS *t = open_tree(dir);
    for (FTSENT *e; t && (e = fts_read(t)) != NULL;) {
        if (e->fts_info == FTS_DP) {
            (void)rmdir(e->fts_accpath);
        } else if (e->fts_info != FTS_D) {
            (void)unlink(e->fts_accpath);
        }
    }
    if (t) {
        (void)fts_close(t);
    }
}

size_t folder_each(const char *dir, void (*fn)(void *arg, const char *path), void *arg)
{
    size_t n = 0, skip = strlen(dir) + 1;
    FTS *t = open_tree(dir);
    for (FTSENT *e; t && (e = fts_read(t)) != NULL;) {
        if (e->fts_info == FTS_F) {
            fn(arg, e->fts_path + skip);
            n++;
        }
    }
    if (t) {
        (void)fts_close(t);
    }
    return n;
}
