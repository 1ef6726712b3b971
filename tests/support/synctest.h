/* synctest.h - what the sync tests share: one server with several databases, a SYNC.ini, the
 * command line, and comparing both sides. */
#ifndef WEIR_SUPPORT_SYNCTEST_H
#define WEIR_SUPPORT_SYNCTEST_H

#include "tests/support/check.h"
#include "tests/support/fixture.h"

/* One server for the binary's tests. */
extern fixture synctest_fx;

typedef struct synctest {
    fixture *f;
    const char *bin;
    char ini[160], state[160];
    weir_pg *a, *b; /* source, target: two databases of the fixture's server */
    char uri_a[256], uri_b[256];
} synctest;

/* Of the group: the server, with commit timestamps, and its end. */
int synctest_up(void **state);
int synctest_down(void **state);
/* Fresh databases a and b with the tables of sql in both; the ini with more lines after [sync]'s
 * own. The only one in the process, in *state; skips the test without a server. */
synctest *synctest_begin(void **state, const char *bin, const char *sql, const char *lines);
/* Test teardown: what was begun, if anything was, stops, is forgotten, its databases dropped. */
int synctest_end(void **state);

void synctest_ini(synctest *t, const char *lines);
void synctest_sql(weir_pg *pg, const char *sql);                       /* an error fails the test */
const char *synctest_value(synctest *t, weir_pg *pg, const char *sql); /* in the fixture's arena */
/* `weir sync INI verb`: its exit code; *out its words. */
int synctest_run(synctest *t, const char *verb, const char *flag, weir_slice *out);
void synctest_start(synctest *t); /* --detach; a failure fails the test */
/* A random process of the sync gets SIGKILL. */
void synctest_kill_one(synctest *t, uint64_t *rng);
/* What the flows have taken and dropped so far, as text. */
const char *synctest_traffic(synctest *t);
/* Waits until both sides hold the same rows in these tables (space separated). */
void synctest_equal(synctest *t, const char *tables);
/* Waits until `weir sync INI status` says so. */
void synctest_said(synctest *t, const char *words);
/* Waits until SQL on a side says 1. */
void synctest_until(synctest *t, weir_pg *pg, const char *sql, const char *what);

#endif
