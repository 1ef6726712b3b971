/* migtest.h - what the tests of `weir migrate` share: two databases on one private server, a
 * mapping file, the command, and its processes.
 *
 * Every function fails the running test by itself.
 */
#ifndef WEIR_TESTS_SUPPORT_MIGTEST_H
#define WEIR_TESTS_SUPPORT_MIGTEST_H

#include "tests/support/fixture.h"

typedef struct migtest {
    fixture *fx;
    const char *bin;
    char ini[200]; /* the mapping file */
    char source_uri[300], target_uri[300];
    weir_pg *source, *target;
    fixture_proc *run; /* weir migrate … run */
    const char *said;  /* output of the last migtest_weir */
} migtest;

/* The server, of the group. */
extern fixture migtest_fx;
int migtest_up(void **state);
int migtest_down(void **state);

/* Two new databases, NAME_old and NAME_new; mapping written with %s for the two uris. */
void migtest_open(migtest *t, fixture *fx, const char *bin, const char *name);
void migtest_close(migtest *t); /* never fails */
/* The mapping file: head with both uris, then text. */
void migtest_mapping(migtest *t, const char *head, const char *text);

void migtest_sql(weir_pg *pg, const char *sql);
const char *migtest_value(migtest *t, weir_pg *pg, const char *sql);

/* `weir migrate INI words…` up to NULL; stdout and stderr in said. The exit code. */
int migtest_weir(migtest *t, const char *word, ...);
void migtest_said(migtest *t, const char *text);

void migtest_start(migtest *t); /* run; does not wait */
void migtest_await_phase(migtest *t, const char *phase);
/* SQL on the target (source) gives the text. */
void migtest_await(migtest *t, bool source, const char *sql, const char *want);
/* Everything the source has committed is applied. */
void migtest_caught_up(migtest *t);
/* A process below `weir migrate … run` by name ("weir-migrate", "weir-bridge"); 0: none. */
int migtest_pid(migtest *t, const char *name);
void migtest_kill(migtest *t, const char *name); /* kill -9; waits until it is gone */

#endif
