/* app.h - a running application for a test: a copy of an app directory under `weir up`, and how to
 * reach what it started. */
#ifndef WEIR_TESTS_SUPPORT_APP_H
#define WEIR_TESTS_SUPPORT_APP_H

#include "libweir/base/arena.h"
#include "libweir/io/pg.h"
#include "libweir/io/redis.h"

typedef struct orc_app {
    weir_arena *a;   /* owns everything below */
    const char *bin; /* folder of the binaries */
    const char *dir; /* the copy */
    const char *pg_uri, *redis_uri, *ns;
    const char *write_url, *read_url, *feed_url;
    weir_pg *pg;
    weir_redisc *redis;
} orc_app;

/* Runs a program to its end; its stdout is dropped unless show. Returns its exit code, 127 on
 * failure. */
int orc_run(bool show, const char *const *argv);
/* The same, with stdout captured into the arena. */
int orc_capture(weir_arena *a, weir_slice *out, const char *const *argv);

/* A copy of src (NULL: an empty folder) that is not up yet. */
WEIR_MUST_CHECK bool orc_app_make(orc_app *app, const char *bin, const char *src);
/* After somebody brought it up: asks `weir env` for the addresses and connects. */
WEIR_MUST_CHECK bool orc_app_attach(orc_app *app);
/* Copies src, runs `weir up --detach` with the binaries of bin, connects. false: printed why. */
WEIR_MUST_CHECK bool orc_app_up(orc_app *app, const char *bin, const char *src);
/* Reconnects pg and redis after somebody killed them; waits up to ms. */
WEIR_MUST_CHECK bool orc_app_connect(orc_app *app, int64_t ms);
/* `weir down`, removes the copy unless keep. */
void orc_app_down(orc_app *app, bool keep);
/* Waits until the projector's position in Redis has reached lsn. */
WEIR_MUST_CHECK bool orc_app_reached(orc_app *app, uint64_t lsn, int64_t ms);

#endif
