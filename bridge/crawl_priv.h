/* crawl_priv.h - what crawl.c and crawl_worker.c share. */
#ifndef WEIR_BRIDGE_CRAWL_PRIV_H
#define WEIR_BRIDGE_CRAWL_PRIV_H

#include "bridge/copy_table.h"
#include "bridge/crawl.h"

typedef struct brg_crawl_worker {
    brg_crawl *c;
    unsigned number; /* its window is number + 1 */
    weir_thread *thread;
    brg_source src;
    weir_pg *pg;  /* its connection, for interrupt; under m */
    size_t table; /* the one it is at */
    int64_t rest_until_ms;
    char waits[240]; /* what its barrier waits for; under m */
} brg_crawl_worker;

struct brg_crawl {
    brg_shared *s;
    brg_port *port;
    weir_monitor *m;
    brg_crawl_record r; /* under m; texts in r.a stay while workers run */
    brg_crawl_worker w[BRG_CRAWL_WORKERS_MAX];
    unsigned running; /* threads that have not ended; under m */
    unsigned working; /* those that may still take a table; under m */
    bool resolving;
    double next_row_ms; /* when the rate lets the next row pass; under m */
    int64_t begun_ms;   /* here, for the rate shown */
    uint64_t begun_seen;
    int64_t sample_ms[2]; /* the rate is counted from the older one */
    uint64_t sample_seen[2];
    uint64_t redone;
    const char *holds; /* why no worker reads now, or NULL; under m */
    char again[160];   /* why a chunk was last read again */
};

static inline bool brg_crawl_is_open(const brg_crawl *c)
{
    return c->r.state == BRG_CRAWL_RUNNING || c->r.state == BRG_CRAWL_PAUSED;
}

void brg_crawl_worker_run(void *arg); /* brg_crawl_worker */

#endif
