/* watch.c - a folder looked through, and a wait for changes by inotify. */
#include "migrations/lake/watch.h"

#include <errno.h>
#include <fnmatch.h>
#include <fts.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "libweir/base/xalloc.h"

struct lake_watch {
    int inotify_fd, event_fd;
};

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

static bool is_ours(const char *name)
{
    return name[0] != '.' && name[0] != '_' && !ends_in(name, ".tmp") && !ends_in(name, ".part") &&
           !ends_in(name, ".done");
}

static int depth_of(const char *const *patterns, size_t n)
{
    int most = 1;
    for (size_t i = 0; i < n; i++) {
        int d = 1;
        for (const char *p = patterns[i]; *p; p++) {
            d += *p == '/';
        }
        most = d > most ? d : most;
    }
    return most;
}

typedef struct look {
    const char *const *patterns;
    size_t npatterns, cap, n;
    size_t skip; /* of a path: the folder and its slash */
    weir_arena *a;
    lake_found *found;
} look;

static void add(look *l, const FTSENT *e)
{
    const char *name = e->fts_path + l->skip;
    for (size_t i = 0; i < l->npatterns; i++) {
        if (fnmatch(l->patterns[i], name, FNM_PATHNAME | FNM_PERIOD) != 0) {
            continue;
        }
        if (l->n == l->cap) {
            l->cap = l->cap ? 2 * l->cap : 64;
            l->found = weir_xrealloc(l->found, l->cap * sizeof *l->found);
        }
        const char *path = weir_arena_strdup(l->a, e->fts_path);
        l->found[l->n++] = (lake_found){path + l->skip, path, i};
        return;
    }
}

static int by_name(const void *x, const void *y)
{
    const lake_found *a = x, *b = y;
    return strcmp(a->name, b->name);
}

weir_rc lake_look(const char *dir, const char *const *patterns, size_t npatterns, weir_arena *a,
                  lake_found **out, size_t *n, bool *more, weir_error *err)
{
    look l = {.patterns = patterns, .npatterns = npatterns, .skip = strlen(dir) + 1, .a = a};
    int depth = depth_of(patterns, npatterns);
    char *path = weir_xstrdup(dir);
    char *const paths[] = {path, NULL};
    weir_rc rc = WEIR_OK;
    *more = false;
    FTS *t = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!t) {
        rc = weir_fail_errno(err, "cannot look through %s", dir);
    }
    for (FTSENT *e; t && rc == WEIR_OK && (e = fts_read(t)) != NULL;) {
        if (e->fts_level == 0) {
            if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
                errno = e->fts_errno;
                rc = weir_fail_errno(err, "cannot look through %s", dir);
            }
        } else if (e->fts_info == FTS_D && (e->fts_level >= depth || !is_ours(e->fts_name))) {
            (void)fts_set(t, e, FTS_SKIP);
        } else if (e->fts_info == FTS_F && is_ours(e->fts_name)) {
            *more = l.n == LAKE_LOOK_MAX;
            if (*more) {
                break;
            }
            add(&l, e);
        }
    }
    if (t) {
        (void)fts_close(t);
    }
    free(path);
    if (l.n) {
        qsort(l.found, l.n, sizeof *l.found, by_name);
    }
    *out = l.found;
    *n = l.n;
    return rc;
}

weir_rc lake_watch_open(lake_watch **out, const char *dir, weir_error *err)
{
    lake_watch *w = weir_xcalloc(1, sizeof *w);
    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    weir_rc rc = WEIR_OK;
    if (w->event_fd < 0) {
        rc = weir_fail_errno(err, "cannot make an eventfd");
    } else if (w->inotify_fd >= 0 &&
               inotify_add_watch(w->inotify_fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE) <
                   0) {
        /* Out of watches, or a file system without: looking now and then is enough. */
        (void)close(w->inotify_fd);
        w->inotify_fd = -1;
    }
    if (rc != WEIR_OK) {
        lake_watch_close(w);
        return rc;
    }
    *out = w;
    return WEIR_OK;
}

void lake_watch_close(lake_watch *w)
{
    if (!w) {
        return;
    }
    if (w->inotify_fd >= 0) {
        (void)close(w->inotify_fd);
    }
    if (w->event_fd >= 0) {
        (void)close(w->event_fd);
    }
    free(w);
}

static void drain(int fd)
{
    char buf[4096];
    while (read(fd, buf, sizeof buf) > 0) {
    }
}

void lake_watch_wait(lake_watch *w, int64_t max_ms)
{
    struct pollfd fds[2] = {{.fd = w->event_fd, .events = POLLIN},
                            {.fd = w->inotify_fd, .events = POLLIN}};
    int n = poll(fds, w->inotify_fd >= 0 ? 2 : 1, (int)(max_ms < 3600000 ? max_ms : 3600000));
    if (n > 0 && fds[0].revents) {
        drain(w->event_fd);
    }
    if (n > 0 && w->inotify_fd >= 0 && fds[1].revents) {
        drain(w->inotify_fd);
    }
}

void lake_watch_wake(lake_watch *w)
{
    uint64_t one = 1;
    ssize_t n = write(w->event_fd, &one, sizeof one);
    (void)n; /* full means: awake already */
}
