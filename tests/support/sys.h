/* sys.h - what system tests share: an application written by the test itself, under `weir up` or as
 * single services on private servers, and the questions a user would ask of it.
 *
 * Every function here fails the running test by itself; before that it prints what was said and the
 * ends of the logs. WEIR_SYSTEM_KEEP=1 keeps the application's folder.
 */
#ifndef WEIR_TESTS_SUPPORT_SYS_H
#define WEIR_TESTS_SUPPORT_SYS_H

#include "libweir/base/settings.h"
#include "libweir/io/curl.h"
#include "tests/support/app.h"
#include "tests/support/compare.h"
#include "tests/support/fixture.h"

enum { SYS_SERVICES = 4 };

typedef struct sys {
    orc_app app;
    char top[64];    /* the folder that holds the app */
    fixture *fx;     /* services run on these servers, started by the test; NULL: `weir up` */
    weir_settings s; /* as the services see them */
    fixture_proc *proc[SYS_SERVICES]; /* bridge, projector, write, read; with fx */
    const char *said;                 /* stdout and stderr of the last sys_weir */
    int status;                       /* of the last HTTP request */
    const char *body;                 /* its answer */
    weir_curl_response answer;
} sys;

/* WEIR_SYSTEM_ONLY=pattern runs only the tests whose names match. */
void sys_filter(void);

/* --- an application
 * ----------------------------------------------------------------------------------------- */

/* An empty app directory with weir.ini = ini; bin: WEIR_BIN_DIR. fx NULL: for `weir up`; else for
 * services of its own, on fx's servers (an overlay names them, a database named after the app is
 * created). */
void sys_new(sys *s, const char *bin, fixture *fx, const char *ini);
void sys_put(sys *s, const char *path, const char *text);
void sys_remove(sys *s, const char *path);
/* `weir up --detach`, then connects. Its words are in said. */
void sys_up(sys *s);
/* With fx: starts a service ("bridge", "projector", "write", "read") and, with wait, waits until it
 * is ready. */
void sys_start(sys *s, const char *service, bool wait);
void sys_start_all(sys *s);
fixture_proc *sys_proc(sys *s, const char *service);
/* For group teardowns: never fails. */
void sys_end(sys *s);

/* --- the command line
 * ------------------------------------------------------------------------------------------ */

/* Runs bin/weir with the words up to NULL; stdout and stderr together in said. The exit code. */
int sys_weir(sys *s, const char *word, ...);
/* `weir deploy`, which must end with code. */
void sys_deploy(sys *s, int code);
/* said must hold text. */
void sys_said(sys *s, const char *text);

/* --- SQL
 * ---------------------------------------------------------------------------------------------------------
 */

void sys_sql(sys *s, const char *script);           /* must succeed */
const char *sys_sql_error(sys *s, const char *sql); /* SQLSTATE, "" when it succeeded */
const char *sys_value(sys *s, const char *sql);     /* first column of the first row, "" for none */
int64_t sys_number(sys *s, const char *sql);
weir_pg *sys_connect(sys *s); /* a further connection; the caller's */

/* --- HTTP
 * --------------------------------------------------------------------------------------------------------
 */

/* The status; 0 when nobody answers. header_lines may be NULL. */
int sys_http(sys *s, const char *method, const char *url, const char *const *header_lines,
             const char *body);
int sys_command(sys *s, const char *name, const char *body);
int sys_query(sys *s, const char *path); /* "model/key" and more */
/* Base URL of a service's health endpoints. */
const char *sys_url(sys *s, const char *service);
int sys_readyz(sys *s, const char *service); /* status, text in body */

/* --- truth
 * -------------------------------------------------------------------------------------------------------
 */

/* Waits until everything committed is in Redis. */
void sys_settle(sys *s);
/* sys_settle, then every document of every model equals PostgreSQL, at least `least` of them. */
void sys_same(sys *s, uint64_t least);
/* `weir verify` must exit 0. */
void sys_verify(sys *s);
/* Waits until it does. */
void sys_await_verify(sys *s, int64_t ms, const char *what);
/* Waits until the model's entry in Redis has the state ("gone": no entry). The reason, "" for none.
 */
const char *sys_await_model(sys *s, const char *model, const char *state, int64_t ms);
/* What the entry says now: the state, "gone" without one. */
const char *sys_model_state(sys *s, const char *model, const char **reason);
int64_t sys_model_generation(sys *s, const char *model);
int64_t sys_keys(sys *s, const char *pattern); /* number of keys in Redis */
/* GET of a Redis key below the namespace; NULL: absent. */
const char *sys_redis_get(sys *s, const char *key);

/* --- processes
 * -------------------------------------------------------------------------------------------------------
 */

int sys_pid(sys *s, const char *name); /* of a service or server */
int64_t sys_memory_kb(int pid,
                      const char *field); /* "VmHWM", "RssAnon" of /proc/<pid>/status; 0: gone */
void sys_log_has(sys *s, const char *service, const char *text, int64_t ms);

/* Waits for cond(arg); on the deadline says what was awaited, the ends of all logs, and fails. */
void sys_await(sys *s, bool (*cond)(void *arg), void *arg, int64_t ms, const char *what);
void sys_logs(sys *s, int lines);
#define SYS_CHECK(s, c)                                                                            \
    do {                                                                                           \
        if (!(c)) {                                                                                \
            sys_logs(s, 12);                                                                       \
            print_error("said: %s\nstatus: %d\nbody: %s\n", (s)->said ? (s)->said : "",            \
                        (s)->status, (s)->body ? (s)->body : "");                                  \
            assert_true(c);                                                                        \
        }                                                                                          \
    } while (0)

#endif
