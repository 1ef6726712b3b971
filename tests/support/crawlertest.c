/* crawlertest.c - set-up and steering of the direct copy's tests. */
#include "tests/support/crawlertest.h"

#include <stdio.h>
#include <string.h>

fixture crawlertest_fx;
weir_pg *crawlertest_target;
char crawlertest_uri[400];

/* Superuser's database "postgres" is the source, "mirror" the target. */
int crawlertest_up(void **state)
{
    (void)state;
    if (fixture_open(&crawlertest_fx, FIXTURE_PG) != 0) {
        return -1;
    }
    if (crawlertest_fx.missing[0]) {
        return 0;
    }
    fixture_sql(&crawlertest_fx, "CREATE DATABASE mirror");
    (void)snprintf(crawlertest_uri, sizeof crawlertest_uri,
                   "postgresql://postgres@/mirror?host=%s/sock", crawlertest_fx.pg.dir);
    weir_pg_conf conf = {.uri = crawlertest_uri, .application_name = "test"};
    weir_error err;
    return weir_pg_open(&crawlertest_target, &conf, &err) == WEIR_OK ? 0 : -1;
}

int crawlertest_down(void **state)
{
    (void)state;
    weir_pg_close(crawlertest_target);
    fixture_close(&crawlertest_fx);
    return 0;
}

void crawlertest_sql(const char *sql)
{
    weir_error err;
    if (weir_pg_script(crawlertest_target, sql, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
}

const char *crawlertest_value(const char *sql)
{
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_pg_query(crawlertest_target, sql, 0, NULL, &r, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
    const char *v = weir_arena_dupz(crawlertest_fx.a, weir_pg_value(r, 0, 0));
    weir_pg_rows_free(r);
    return v;
}

crw_conf crawlertest_conf(const char *job, const crw_table *tables, size_t n)
{
    return (crw_conf){.source_uri = crawlertest_fx.pg.uri,
                      .target_uri = crawlertest_uri,
                      .job = job,
                      .tables = tables,
                      .ntables = n,
                      .workers = 2,
                      .chunk_rows = 100,
                      .chunk_rows_max = 100};
}

weir_rc crawlertest_copy(const crw_conf *conf, crw_state *state, weir_error *err)
{
    crw *c = NULL;
    weir_rc rc = crw_open(&c, conf, err);
    if (rc == WEIR_OK) {
        rc = crw_copy(c, err);
        crw_progress(c, state);
    }
    crw_close(c);
    return rc;
}

void crawlertest_must_copy(const crw_conf *conf, crw_state *state)
{
    weir_error err;
    if (crawlertest_copy(conf, state, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
}

void crawlertest_same(const char *query)
{
    assert_string_equal(crawlertest_value(query), fixture_sql_value(&crawlertest_fx, query));
}

void crawlertest_run(void *arg)
{
    crawlertest_runner *r = arg;
    r->rc = crw_copy(r->c, &r->err);
}

void crawlertest_start(crawlertest_runner *r, const crw_conf *conf)
{
    weir_error err;
    if (crw_open(&r->c, conf, &err) != WEIR_OK ||
        weir_thread_start(&r->t, "copy", crawlertest_run, r, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
}

crw_state crawlertest_state(crawlertest_runner *r)
{
    crw_state st;
    crw_progress(r->c, &st);
    return st;
}
