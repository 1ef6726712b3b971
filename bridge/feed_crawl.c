/* feed_crawl.c - the feed's op `crawl`: changes are answered when they are durable. */
#include <stdlib.h>

#include "bridge/feed.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"

enum { STATUS_MAX_BYTES = 4 * 1024 * 1024 };

typedef struct waiting {
    brg_feed *f;
    weir_sp_req *req;
    bool start;
} waiting;

static void answer(brg_feed *f, weir_sp_req *req)
{
    weir_buf b;
    weir_buf_init(&b, STATUS_MAX_BYTES);
    brg_crawl_json(f->crawl, true, &b);
    weir_feed_reply r = {.ok = true, .status = weir_buf_slice(&b)};
    brg_feed_reply(f, req, WEIR_FEED_CRAWL, &r);
    weir_buf_fini(&b);
}

static void changed(void *order)
{
    brg_order *o = order;
    waiting *w = o->arg;
    weir_error err;
    if (w->start && brg_crawl_go(w->f->crawl, &err) != WEIR_OK) {
        WEIR_ERROR("BRG-CRAWL-THREAD", "%s", err.msg);
    }
    answer(w->f, w->req);
    brg_order_free(o); /* and w */
}

static const char *code_of(weir_rc rc)
{
    return rc == WEIR_E_CONFLICT ? "busy" : "input";
}

void brg_feed_on_crawl(brg_feed *f, weir_sp_req *req, const weir_feed_req *q)
{
    weir_buf batch;
    weir_error err;
    if (q->action != WEIR_CRAWL_STATUS && !brg_feed_ready(f, req, q->op)) {
        return;
    }
    weir_buf_init(&batch, BRG_BATCH_MAX_BYTES);
    weir_rc rc = brg_crawl_change(f->crawl, q, &batch, &err);
    if (rc != WEIR_OK) {
        brg_feed_refuse(f, req, q->op, code_of(rc), "%s", err.msg);
    } else if (batch.n == 0) {
        answer(f, req);
    } else {
        waiting *w = weir_xcalloc(1, sizeof *w);
        *w = (waiting){f, req, q->action == WEIR_CRAWL_START};
        brg_order *o = weir_xcalloc(1, sizeof *o);
        o->kind = BRG_ORDER_CRAWL;
        o->p = weir_buf_take(&batch, &o->n);
        o->done = changed;
        o->arg = w;
        o->owns_arg = true;
        if (!brg_ring_order(f->s->ring, o)) {
            brg_order_free(o); /* and w */
            brg_feed_refuse(f, req, q->op, "busy", "the log takes no more orders now; try again");
        }
    }
    weir_buf_fini(&batch);
}
