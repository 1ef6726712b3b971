/* writetest.h - what the tests of the write-service share: a PostgreSQL with commands in it, a
 * running weir-write, clients. */
#ifndef WEIR_SUPPORT_WRITETEST_H
#define WEIR_SUPPORT_WRITETEST_H

#include "libweir/base/thread.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

typedef struct wt_service {
    fixture_proc *proc;
    int port, nng_port;
    char url[64], nng[64];
} wt_service;

typedef struct wt_answer {
    int status; /* 0: no answer at all */
    char body[4096];
    char position[32];
    char allow[64];
    char location[64];
    bool replayed; /* Idempotency-Replayed: true */
} wt_answer;

/* A client on a thread of its own. */
typedef struct wt_caller {
    const wt_service *s;
    char name[64], body[256];
    wt_answer got;
    weir_thread *thread;
} wt_caller;

extern fixture wt_fx;
extern wt_service wt_main; /* statement timeout 1.5 s, bodies up to 64 KiB, two lanes */

/* Group setup: PostgreSQL, the commands of sql_file, wt_main from bin_dir. 0, or -1. */
int wt_up(const char *bin_dir, const char *sql_file);
int wt_down(void **state);
/* A test, the last of a group: wt_main stops in order. */
void wt_ends_well(void **state);
/* For ms: every 50 ms each backend whose application_name satisfies the condition ("=
 * 'weir-write'") is ended with this probability. */
void wt_kill_backends(const char *condition, double share, int64_t ms);
/* Another weir-write; more: further lines of its [write] section. Listens when this returns. */
void wt_start(wt_service *s, const char *name, const char *uri, const char *more);
/* The same, with TLS at both doors: more has its [tls], clients must trust its authority. */
void wt_start_tls(wt_service *s, const char *name, const char *uri, const char *more);
const char *wt_fixture_sql(void); /* the text of sql_file */

wt_answer wt_ask(const wt_service *s, const char *method, const char *path,
                 const char *const *headers, const char *body);
wt_answer wt_post(const wt_service *s, const char *name, const char *body);
wt_answer wt_get(const wt_service *s, const char *path);
void wt_assert_status(int want, const wt_answer *got);
/* A value of /metrics; -1 when absent. */
int64_t wt_metric(const wt_service *s, const char *series);
int wt_number(const char *text); /* the digits text begins with */

void wt_start_call(wt_caller *c, const wt_service *s, const char *name, const char *body);
void wt_end_call(wt_caller *c);
/* Both shared lanes of wt_main sleep, so that what is sent meanwhile waits and leaves as one group
 * or two. */
void wt_hold_lanes(wt_caller naps[2]);

/* Conditions for fixture_wait. */
bool wt_waiting(void *n);     /* int: so many wait for a lane of wt_main */
bool wt_is_up(void *service); /* it listens */
bool wt_is_ready(void *service);
bool wt_naps(void *n); /* int: so many backends are in pg_sleep */

#endif
