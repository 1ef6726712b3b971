/* folder_job.c - a folder of files as the source of a sync. */
#include "migrations/sync/folder_job.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/backoff.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum { TURN_MS = 1000, PAUSE_MS = 250 };

struct sync_folder {
    const sync_conf *conf;
    lake_folder_conf load;
    weir_thread *thread;
    weir_monitor *m;
    /* under m */
    lake_folder *folder; /* NULL: not open */
    bool stop, pause;
    const char *state;
    char text[500];
};

sync_folder *sync_folder_new(const sync_conf *conf)
{
    sync_folder *f = weir_xcalloc(1, sizeof *f);
    f->conf = conf;
    f->load = conf->folder->load;
    f->load.uri = conf->target.uri;
    f->load.flow = conf->name;
    f->m = weir_monitor_new();
    f->state = "starting";
    return f;
}

static void say(sync_folder *f, const char *state, const char *text)
{
    weir_monitor_lock(f->m);
    f->state = state;
    (void)snprintf(f->text, sizeof f->text, "%s", text);
    weir_monitor_unlock(f->m);
}

static bool stopping(sync_folder *f)
{
    weir_monitor_lock(f->m);
    bool stop = f->stop;
    weir_monitor_unlock(f->m);
    return stop;
}

static bool pausing(sync_folder *f)
{
    weir_monitor_lock(f->m);
    bool pause = f->pause && !f->stop;
    weir_monitor_unlock(f->m);
    return pause;
}

static void nap(sync_folder *f, int64_t ms)
{
    weir_monitor_lock(f->m);
    if (!f->stop) {
        (void)weir_monitor_wait(f->m, ms);
    }
    weir_monitor_unlock(f->m);
}

static weir_rc open_folder(sync_folder *f, weir_error *err)
{
    lake_folder *folder = NULL;
    weir_rc rc = f->folder ? WEIR_OK : lake_folder_open(&folder, &f->load, err);
    if (folder) {
        weir_monitor_lock(f->m);
        f->folder = folder;
        if (f->stop) {
            lake_folder_stop(folder);
        }
        weir_monitor_unlock(f->m);
    }
    return rc;
}

/* Looks and waits until something fails or it shall end. */
static weir_rc work(sync_folder *f, weir_backoff *backoff, weir_error *err)
{
    weir_rc rc = open_folder(f, err);
    while (rc == WEIR_OK && !stopping(f)) {
        if (pausing(f)) {
            say(f, "paused", "paused");
            nap(f, PAUSE_MS);
            continue;
        }
        say(f, "running", "");
        rc = lake_folder_turn(f->folder, err);
        if (rc == WEIR_OK) {
            weir_backoff_reset(backoff);
            lake_folder_wait(f->folder, TURN_MS);
        }
    }
    return rc;
}

static void run(void *arg)
{
    sync_folder *f = arg;
    weir_backoff backoff;
    weir_backoff_init(&backoff, 200, 10000, 0);
    while (!stopping(f)) {
        weir_error err = {.code = WEIR_OK};
        if (work(f, &backoff, &err) == WEIR_OK) {
            break;
        }
        if (!(err.flags & WEIR_EF_RETRY)) {
            say(f, "failed", err.msg);
            WEIR_ERROR("SYNC-FOLDER-FAILED", "flow=%s %s", f->conf->name, err.msg);
            return;
        }
        say(f, "waiting", err.msg);
        WEIR_WARN("SYNC-FOLDER-RETRY", "flow=%s %s", f->conf->name, err.msg);
        nap(f, weir_backoff_next_ms(&backoff));
    }
}

weir_rc sync_folder_start(sync_folder *f, weir_error *err)
{
    return weir_thread_start(&f->thread, "sync-folder", run, f, err);
}

void sync_folder_stop(sync_folder *f)
{
    weir_monitor_lock(f->m);
    f->stop = true;
    if (f->folder) {
        lake_folder_stop(f->folder);
    }
    weir_monitor_wake(f->m);
    weir_monitor_unlock(f->m);
    weir_thread_join(f->thread);
    f->thread = NULL;
}

void sync_folder_free(sync_folder *f)
{
    if (f) {
        lake_folder_close(f->folder);
        weir_monitor_free(f->m);
        free(f);
    }
}

void sync_folder_pause(sync_folder *f, bool pause)
{
    weir_monitor_lock(f->m);
    f->pause = pause;
    weir_monitor_wake(f->m);
    weir_monitor_unlock(f->m);
}

static unsigned long long get(const atomic_ullong *n)
{
    return atomic_load(n);
}

void sync_folder_status(sync_folder *f, weir_buf *out)
{
    static const lake_folder_counts none;
    weir_monitor_lock(f->m);
    const lake_folder_counts *c = f->folder ? lake_folder_progress(f->folder) : &none;
    weir_buf_printf(
        out, "{\"flow\":\"%s\",\"from\":\"folder\",\"to\":\"target\",\"state\":\"%s\",\"reason\":",
        f->conf->name, f->state);
    weir_json_quote(out, weir_slice_z(f->text));
    weir_buf_printf(
        out,
        ",\"files\":%llu,\"rows\":%llu,\"bytes\":%llu,\"rejects\":%llu,\"refused\":%llu,"
        "\"waiting\":%llu}",
        get(&c->files), get(&c->rows), get(&c->bytes), get(&c->rejects), get(&c->refused),
        get(&c->waiting));
    weir_monitor_unlock(f->m);
}

bool sync_folder_waits(sync_folder *f, char *text, size_t size)
{
    weir_monitor_lock(f->m);
    bool runs = strcmp(f->state, "running") == 0 || strcmp(f->state, "paused") == 0;
    (void)snprintf(text, size, "%s", runs ? "" : f->text[0] ? f->text : f->state);
    bool failed = strcmp(f->state, "failed") == 0;
    weir_monitor_unlock(f->m);
    return failed;
}
