/* watch.h - a folder looked through: which files are there, and a wait for changes. */
#ifndef WEIR_LAKE_WATCH_H
#define WEIR_LAKE_WATCH_H

#include "libweir/base/arena.h"

enum { LAKE_LOOK_MAX = 100000 };

typedef struct lake_found {
    const char *name; /* below the folder */
    const char *path;
    size_t rule; /* which pattern matched */
} lake_found;

/* The regular files whose names match one of the patterns, by name. Names that begin with '.' or
 * '_' and those that end in .tmp, .part or .done are no files. Subfolders are entered as deep as
 * the patterns go. At most LAKE_LOOK_MAX (*more: there were others). Strings in a. */
WEIR_MUST_CHECK weir_rc lake_look(const char *dir, const char *const *patterns, size_t npatterns,
                                  weir_arena *a, lake_found **out, size_t *n, bool *more,
                                  weir_error *err);

typedef struct lake_watch lake_watch;
/* Of the folder itself; subfolders are seen by the next look. */
WEIR_MUST_CHECK weir_rc lake_watch_open(lake_watch **out, const char *dir, weir_error *err);
void lake_watch_close(lake_watch *w); /* NULL is fine */
/* Until something was written or renamed there, lake_watch_wake, or max_ms. */
void lake_watch_wait(lake_watch *w, int64_t max_ms);
void lake_watch_wake(lake_watch *w); /* any thread */

#endif
