/* checkpoint.c - makes the state durable once a second on a thread of its own, then tells the
 * bridge what need not be kept.
 *
 * Only what lies behind a finished sync is acknowledged: after a crash of the system the state may
 * be gone, and then a copy rebuilds it; after a crash of the process the page cache has everything.
 */
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/queue.h"
#include "libweir/base/thread.h"
#include "projector/proj.h"

static void on_synced(void *arg)
{
    proj *p = arg;
    p->checkpointing = false;
    if (!p->stopping) {
        proj_feed_ack(p, p->checkpoint_cursor.at);
    }
}

static void on_failed(void *arg)
{
    proj *p = arg;
    weir_error err;
    (void)weir_fail(&err, WEIR_E_SYS, 0, "the state in %s cannot be synced; look at the disk",
                    p->settings->projector_data_dir);
    proj_fail(p, "PROJ-SYNC", &err);
}

static void run(void *arg)
{
    proj *p = arg;
    void *item = NULL;
    while (weir_queue_pop(p->checkpoint_queue, &item, 1, -1) == 1) {
        weir_error err = {0};
        weir_rc rc = weir_lmdb_sync(weir_state_lmdb(p->st), &err);
        if (!weir_loop_post(p->loop, rc == WEIR_OK ? on_synced : on_failed, p)) {
            return;
        }
    }
}

/* A head that moved without rows is worth keeping too: it lets the bridge forget what is behind. */
static void keep_cursor(proj *p)
{
    weir_error err = {0};
    weir_rc rc = weir_state_begin(p->st, &err);
    if (rc == WEIR_OK) {
        rc = proj_record_save(p, &err);
    }
    if (rc == WEIR_OK) {
        rc = weir_state_commit(p->st, &err);
    }
    if (rc != WEIR_OK) {
        proj_fail(p, "PROJ-STATE", &err);
    }
}

static void on_timer(void *arg)
{
    proj *p = arg;
    if (p->checkpointing || p->stopping || p->failed || !p->has_cursor || p->in_frame) {
        return;
    }
    bool moved = weir_cursor_cmp(p->cursor.at, p->checkpoint_cursor.at) != 0;
    if (!p->changed && !moved) {
        return;
    }
    if (moved) {
        keep_cursor(p);
    }
    p->changed = false;
    p->checkpointing = true;
    /* Inside a transaction only what came before it is acknowledged; the cursor's lsn is its
     * commit. */
    p->checkpoint_cursor = p->cursor;
    p->checkpoint_cursor.part = 0;
    if (!weir_queue_push(p->checkpoint_queue, p)) {
        p->checkpointing = false;
    }
}

weir_rc proj_checkpoint_start(proj *p, weir_error *err)
{
    p->checkpoint_queue = weir_queue_new(1);
    p->checkpoint_timer = weir_loop_timer_new(p->loop, on_timer, p);
    weir_loop_timer_arm(p->checkpoint_timer, p->settings->projector_checkpoint_ms, true);
    return weir_thread_start(&p->checkpoint_thread, "checkpoint", run, p, err);
}

void proj_checkpoint_stop(proj *p)
{
    if (!p->checkpoint_queue) {
        return;
    }
    weir_queue_close(p->checkpoint_queue);
    weir_thread_join(p->checkpoint_thread);
    weir_queue_free(p->checkpoint_queue);
    p->checkpoint_queue = NULL;
}
