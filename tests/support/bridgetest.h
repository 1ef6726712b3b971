/* bridgetest.h - what the bridge's integration tests share: server, database connection, bridge and
 * its feed. */
#ifndef WEIR_TESTS_BRIDGETEST_H
#define WEIR_TESTS_BRIDGETEST_H

#include "libweir/io/pg.h"
#include "tests/support/bridgeproc.h"
#include "tests/support/pgserver.h"

typedef struct bridgetest {
    pgserver *server;
    weir_pg *pg;
    bridgeproc b;
    feedlines f;
    weir_arena *a;
} bridgetest;

/* Group fixture: one server for all tests of the binary. */
int bridgetest_up(void **state);
int bridgetest_down(void **state);
pgserver *bridgetest_server(void);

/* Per test: everything of the last test is dropped first. Nothing is started yet. bin_dir:
 * WEIR_BIN_DIR. */
bridgetest *bridgetest_new(const char *bin_dir, const char *extra);
void bridgetest_free(bridgetest *t);

void bridgetest_sql(bridgetest *t, const char *sql); /* fails the test on an error */
int64_t bridgetest_i64(bridgetest *t, const char *sql);
const char *bridgetest_text(bridgetest *t, const char *sql); /* in t->a */
uint64_t
bridgetest_lsn(bridgetest *t); /* a position past everything committed so far, already flushed */
/* Starts the bridge and waits until it streams. */
void bridgetest_stream(bridgetest *t);
/* Reads the feed up to now; asserts that the lines since the last call are exactly these. */
void bridgetest_expect(bridgetest *t, const char *lines);
/* Reads up to now and forgets. */
void bridgetest_skip(bridgetest *t);
/* Reads up to now; all lines since the last call. */
const char *bridgetest_lines(bridgetest *t, bool all);

#endif
