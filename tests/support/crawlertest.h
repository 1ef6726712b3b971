/* crawlertest.h - what the tests of the direct copy share: a server whose database postgres is the
 * source and mirror the target, and a copy in one call or on a thread of its own. */
#ifndef WEIR_SUPPORT_CRAWLERTEST_H
#define WEIR_SUPPORT_CRAWLERTEST_H

#include "libweir/base/thread.h"
#include "migrations/crawler/crawler.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

extern fixture crawlertest_fx;
extern weir_pg *crawlertest_target;
extern char crawlertest_uri[400]; /* of the target */

/* Of the group. */
int crawlertest_up(void **state);
int crawlertest_down(void **state);

/* In the target; an error fails the test. */
void crawlertest_sql(const char *sql);
const char *crawlertest_value(const char *sql);
/* Both sides say the same. */
void crawlertest_same(const char *query);
#define CRAWLERTEST_SUM(table, order)                                                              \
    "SELECT count(*) || ' ' || coalesce(md5(string_agg(x::text, E'\\n' ORDER BY " order            \
    ")), '') FROM " table " x"

/* Two workers, chunks of 100 rows. */
crw_conf crawlertest_conf(const char *job, const crw_table *tables, size_t n);
/* Open, copy, close: nothing is made, nothing built. */
weir_rc crawlertest_copy(const crw_conf *conf, crw_state *state, weir_error *err);
void crawlertest_must_copy(const crw_conf *conf, crw_state *state);

/* A copy on a thread of its own, to be steered. */
typedef struct crawlertest_runner {
    crw *c;
    weir_thread *t;
    weir_rc rc;
    weir_error err;
} crawlertest_runner;
void crawlertest_run(void *runner);
void crawlertest_start(crawlertest_runner *r, const crw_conf *conf);
crw_state crawlertest_state(crawlertest_runner *r);

#endif
