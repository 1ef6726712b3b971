/* watch.h - a thread that keeps the catalog fresh: looks at the revision every second, or at once
 * when somebody asks. Now and then it removes Idempotency-Keys that are old enough, and dead row
 * versions of small tables whose rows are fought for. */
#ifndef WEIR_WRITE_WATCH_H
#define WEIR_WRITE_WATCH_H

#include "libweir/io/loop.h"
#include "write-service/catalog.h"

typedef struct wsvc_watch wsvc_watch;

/* One look at PostgreSQL. */
typedef struct wsvc_seen {
    weir_rc rc;            /* OK; NOTFOUND: nothing deployed; else PostgreSQL is away */
    char text[500];        /* why, when not OK */
    wsvc_catalog *catalog; /* a new one, the receiver's; NULL: as before */
    uint64_t asked;        /* every wsvc_watch_ask up to this one is answered by this look */
} wsvc_seen;

typedef struct wsvc_watch_conf {
    const char *uri; /* strings borrowed for the watch's life */
    const char *application_name;
    int64_t keep_keys_ms; /* of weir.idempotency */
    weir_loop *loop;
    void (*seen)(void *arg, const wsvc_seen *s); /* on the loop thread */
    void *arg;
} wsvc_watch_conf;

WEIR_MUST_CHECK weir_rc wsvc_watch_start(wsvc_watch **out, const wsvc_watch_conf *conf,
                                         weir_error *err);
/* Asks for a look that begins after this call; returns its number. Looks are at least 50 ms apart.
 * Any thread. */
uint64_t wsvc_watch_ask(wsvc_watch *w);
/* Commands collided on a row of this table (its name as SQL spells it). Soon, and not again at
 * once, it is vacuumed if it is small and its owner's role is ours: autovacuum may come a minute
 * later, and until then every visit of the row goes through its dead versions, which are dear to
 * pass where a group had waited for the row (multixacts). Any thread. */
void wsvc_watch_tidy(wsvc_watch *w, const char *table);
void wsvc_watch_stop(wsvc_watch *w); /* tells it to end; at most once */
bool wsvc_watch_ended(wsvc_watch *w);
void wsvc_watch_free(wsvc_watch *w); /* joins; NULL is fine */

#endif
