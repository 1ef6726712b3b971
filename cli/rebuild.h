/* rebuild.h - `weir rebuild`: what its parts share. */
#ifndef WEIR_CLI_REBUILD_H
#define WEIR_CLI_REBUILD_H

#include "cli/app.h"
#include "libweir/io/pg.h"

typedef enum cli_rebuild_action {
    CLI_REBUILD_BUILD,
    CLI_REBUILD_ROLLBACK,
    CLI_REBUILD_DROP_OLD,
    CLI_REBUILD_STATUS
} cli_rebuild_action;

/* One generation of a model as the projector's /status tells it. */
typedef struct cli_generation {
    const char *model, *state, *step, *reason;
    int64_t generation, documents, parked, rows, rows_total, compared, order, kept_s;
    double rows_per_s, eta_s;
    bool rolled_back;
} cli_generation;

enum { CLI_GENERATIONS_MAX = 256 };

typedef struct cli_generations {
    bool answers; /* the projector does */
    int n;
    cli_generation g[CLI_GENERATIONS_MAX];
} cli_generations;

/* model NULL: of all. Texts in a. */
void cli_generations_read(const cli_app *app, const char *model, weir_arena *a,
                          cli_generations *out);
/* The one that serves, or NULL. */
const cli_generation *cli_generations_serving(const cli_generations *gs);

/* How a build goes on: one line that is rewritten on a terminal, else a line now and then; with
 * json one object per line. */
typedef struct cli_progress {
    bool json, terminal;
    int64_t told_ms;
    char last_step[16];
} cli_progress;
void cli_progress_tell(cli_progress *p, const cli_generation *g);
void cli_progress_clear(const cli_progress *p);

/* Generations and the last orders. */
WEIR_MUST_CHECK weir_rc cli_rebuild_status(const cli_app *app, weir_pg *pg, const char *model,
                                           bool json, weir_error *err);
/* "1h", "90s", "forever" in milliseconds, -1 for ever; false: it is none. */
WEIR_MUST_CHECK bool cli_rebuild_duration(const char *text, int64_t *ms);

#endif
