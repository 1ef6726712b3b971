/* test_crawler.c - the direct copy: every kind of key, resumed, rejected, refused, rebuilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "tests/support/crawlertest.h"

static void copies_every_kind_of_key(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    static const char ddl[] =
        "CREATE TABLE a (id bigint PRIMARY KEY, t text, n numeric, b bytea, g bigint GENERATED "
        "ALWAYS AS (id * 2) STORED);"
        "CREATE TABLE \"B b\" (k1 text, \"K 2\" char(6), k3 timestamptz, v jsonb, PRIMARY KEY (k1, "
        "\"K 2\", k3));"
        "CREATE TABLE c (x int, y text);"
        "CREATE TABLE d (u uuid NOT NULL, f float8, e text NOT NULL);"
        "CREATE UNIQUE INDEX d_e ON d (e) INCLUDE (f); ALTER TABLE d REPLICA IDENTITY USING INDEX "
        "d_e;"
        "CREATE TABLE p (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500);"
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (100000);"
        "CREATE TABLE empty (id int PRIMARY KEY);";
    fixture_sql(&crawlertest_fx, ddl);
    crawlertest_sql(ddl);
    fixture_sql(&crawlertest_fx,
                "INSERT INTO a SELECT i * 3, repeat(E'x\\\\\\t\\n', i % 7), i / 7.0, "
                "decode(lpad(to_hex(i), "
                "8, '0'), 'hex') FROM generate_series(-500, 1500) i;"
                "INSERT INTO \"B b\" SELECT E'k\\'\\\\\"{},' || i % 17, 'c' || i % 5, "
                "'2024-01-01'::timestamptz "
                "+ i * interval '1 s', jsonb_build_object('i', i) FROM generate_series(1, 2000) i;"
                "INSERT INTO c SELECT nullif(i % 10, 0), repeat('y', i % 50) FROM "
                "generate_series(1, 3000) i;"
                "INSERT INTO d SELECT gen_random_uuid(), random(), 'e' || i FROM "
                "generate_series(1, 1000) i;"
                "INSERT INTO p SELECT i, 'v' || i FROM generate_series(1, 1200) i;");
    const crw_table tables[] = {
        {.source_schema = "public", .source_name = "a"},
        {.source_schema = "public", .source_name = "B b"},
        {.source_schema = "public", .source_name = "c"},
        {.source_schema = "public", .source_name = "d"},
        {.source_schema = "public", .source_name = "p"},
        {.source_schema = "public", .source_name = "empty"},
    };
    crw_conf conf = crawlertest_conf("keys", tables, 6);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rows, 2001 + 2000 + 3000 + 1000 + 1200);
    assert_int_equal(st.tables_done, 6);
    assert_true(st.chunks >= 20 + 20 + 1 + 10 + 12 + 1);
    crawlertest_same(CRAWLERTEST_SUM("a", "id"));
    crawlertest_same(CRAWLERTEST_SUM("\"B b\"", "k1, \"K 2\", k3"));
    crawlertest_same(CRAWLERTEST_SUM("c", "x, y"));
    crawlertest_same(CRAWLERTEST_SUM("d", "e"));
    crawlertest_same(CRAWLERTEST_SUM("p", "id"));
    /* A job that is over has nothing to do. */
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(
        st.chunks,
        strtol(crawlertest_value("SELECT count(*) FROM weir_sync.chunk WHERE job = 'keys'"), NULL,
               10));
    crawlertest_same(CRAWLERTEST_SUM("a", "id"));
}

static void resumes_where_chunks_are_missing(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE r (id int PRIMARY KEY, v text); INSERT INTO r SELECT i, 'v' || i "
                "FROM generate_series(1, 5000) i");
    crawlertest_sql("CREATE TABLE r (id int PRIMARY KEY, v text)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "r"}};
    crw_conf conf = crawlertest_conf("resume", tables, 1);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    /* As a killed process leaves it: some chunks in the middle and the end are not there. */
    crawlertest_sql(
        "DELETE FROM r USING weir_sync.chunk c WHERE job = 'resume' AND id > c.lo[1]::int AND "
        "id <= c.hi[1]::int AND c.no IN (7, 8, 20);"
        "DELETE FROM weir_sync.chunk WHERE job = 'resume' AND no IN (7, 8, 20);"
        "DELETE FROM r WHERE id > (SELECT hi[1]::int FROM weir_sync.chunk WHERE no = 40 AND "
        "job = 'resume');"
        "DELETE FROM weir_sync.chunk WHERE job = 'resume' AND no > 40;"
        "UPDATE weir_sync.crawl_table SET copied_at = NULL WHERE job = 'resume'");
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rows, 5000);
    crawlertest_same(CRAWLERTEST_SUM("r", "id"));
}

static void rejects_only_what_does_not_fit(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE j (id int PRIMARY KEY, v text); INSERT INTO j SELECT i, i::text "
                "FROM generate_series(1, 1000) i; UPDATE j SET v = 'x' WHERE id IN (77, 78, "
                "500, 1000); CREATE TABLE jk (v text); INSERT INTO jk SELECT i::text FROM "
                "generate_series(1, 700) i; UPDATE jk SET v = 'bad' WHERE v IN ('5', '600')");
    crawlertest_sql(
        "CREATE TABLE j (id int PRIMARY KEY, v int CHECK (v <> 33)); CREATE TABLE jk (v int)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "j"},
                                {.source_schema = "public", .source_name = "jk"}};
    crw_conf conf = crawlertest_conf("rejects", tables, 2);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rejects, 7);
    assert_string_equal(crawlertest_value("SELECT count(*) FROM j"), "995");
    assert_string_equal(crawlertest_value("SELECT count(*) FROM jk"), "698");
    assert_string_equal(
        crawlertest_value(
            "SELECT string_agg(concat_ws('/', key[1], sqlstate, source_row->>'v'), ' ' "
            "ORDER BY key[1]::int, source_row->>'v') FROM weir_sync.reject WHERE job = 'rejects'"),
        "33/23514/33 77/22P02/x 78/22P02/x 500/22P02/x 1000/22P02/x 22P02/bad 22P02/bad");
    weir_error err;
    if (crw_forget(crawlertest_uri, "rejects", &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    crawlertest_sql("TRUNCATE j, jk");
    conf.rejects_max = 2;
    assert_int_not_equal(crawlertest_copy(&conf, &st, &err), WEIR_OK);
    assert_non_null(strstr(err.msg, "more rows than rejects_max"));
}

static void takes_expressions_and_filters(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE o (id int PRIMARY KEY, first text, last text, kind int); INSERT "
                "INTO o SELECT i, 'f' || i, 'l' || i, i % 3 FROM generate_series(1, 900) i");
    crawlertest_sql(
        "CREATE SCHEMA other; CREATE TABLE other.person (pid int PRIMARY KEY, name text, len "
        "int GENERATED ALWAYS AS (length(name)) STORED)");
    static const crw_column columns[] = {{.name = "pid", .expr = "id + 1000"},
                                         {.name = "name", .expr = "first || ' ' || o.last"}};
    const crw_table tables[] = {{.source_schema = "public",
                                 .source_name = "o",
                                 .target_schema = "other",
                                 .target_name = "person",
                                 .columns = columns,
                                 .ncolumns = 2,
                                 .filter = "kind <> 0"}};
    crw_conf conf = crawlertest_conf("mapped", tables, 1);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rows, 600);
    assert_string_equal(
        crawlertest_value("SELECT count(*) || ' ' || min(pid) || ' ' || min(name) FROM "
                          "other.person WHERE len = length(name)"),
        "600 1001 f1 l1");
}

static void refuses_with_a_reason(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    weir_error err;
    crw_state st;
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE w (id int PRIMARY KEY, extra int); INSERT INTO w VALUES (1, 1)");
    crawlertest_sql("CREATE TABLE w (id int PRIMARY KEY)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "w"}};
    crw_conf conf = crawlertest_conf("refused", tables, 1);
    assert_int_equal(crawlertest_copy(&conf, &st, &err), WEIR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "has no column \"extra\" in the target"));
    crawlertest_sql("ALTER TABLE w ADD extra int; INSERT INTO w VALUES (9, 9)");
    assert_int_equal(crawlertest_copy(&conf, &st, &err), WEIR_E_CONFLICT);
    assert_non_null(strstr(err.msg, "holds rows already"));
    crawlertest_sql("DELETE FROM w");
    const crw_table missing[] = {{.source_schema = "public", .source_name = "nothing"}};
    conf = crawlertest_conf("refused", missing, 1);
    assert_int_equal(crawlertest_copy(&conf, &st, &err), WEIR_E_NOTFOUND);
    /* The job's lock. */
    conf = crawlertest_conf("refused", tables, 1);
    crw *c = NULL;
    assert_int_equal(crw_open(&c, &conf, &err), WEIR_OK);
    /* Another shape after the plan was made. */
    fixture_sql(&crawlertest_fx, "ALTER TABLE w ADD later int");
    assert_int_equal(crw_copy(c, &err), WEIR_E_STATE);
    assert_non_null(strstr(err.msg, "changed in the source"));
    crw_close(c);
}

/* A transaction older than the copy: the barrier names it, and gives up when told to. */
static void names_whom_it_waits_for(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    weir_error err;
    weir_pg *other = NULL;
    weir_pg_conf pc = {.uri = crawlertest_fx.pg.uri, .application_name = "slow"};
    assert_int_equal(weir_pg_open(&other, &pc, &err), WEIR_OK);
    fixture_sql(&crawlertest_fx, "CREATE TABLE s (id int PRIMARY KEY)");
    crawlertest_sql("CREATE TABLE s (id int PRIMARY KEY)");
    assert_int_equal(weir_pg_script(other, "BEGIN; INSERT INTO s VALUES (1)", &err), WEIR_OK);
    const crw_table tables[] = {{.source_schema = "public", .source_name = "s"}};
    crw_conf conf = crawlertest_conf("barrier", tables, 1);
    conf.barrier_max_ms = 300;
    crw_state st;
    assert_int_equal(crawlertest_copy(&conf, &st, &err), WEIR_E_TIMEOUT);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "pid %d", weir_pg_pid(other));
    assert_non_null(strstr(err.msg, pid));
    assert_int_equal(weir_pg_script(other, "COMMIT", &err), WEIR_OK);
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rows, 1);
    weir_pg_close(other);
}

static void run_all(const crw_conf *conf)
{
    weir_error err;
    crw *c = NULL;
    int n = 0;
    if (crw_open(&c, conf, &err) != WEIR_OK || crw_create(c, &err) != WEIR_OK ||
        crw_copy(c, &err) != WEIR_OK || crw_finish(c, &err) != WEIR_OK ||
        crw_sequences(c, 1000, &n, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(n, 3);
    crw_close(c);
}

/* What pg_dump would show of it, without the names of schemas. */
#define SHAPE                                                                                      \
    "SELECT string_agg(x, E'\\n' ORDER BY x) FROM (SELECT concat_ws(' ', c.relname, a.attname, "   \
    "format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, "          \
    "pg_get_expr(d.adbin, d.adrelid)) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "  \
    "AND attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE "     \
    "c.relname IN ('boss', 'Staff m') AND c.relkind = 'r' UNION ALL SELECT "                       \
    "pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE "   \
    "c.relname IN ('boss', 'Staff m') UNION ALL SELECT concat_ws(' ', conname, "                   \
    "pg_get_constraintdef(k.oid), convalidated) FROM pg_constraint k JOIN pg_class c ON c.oid = "  \
    "k.conrelid WHERE c.relname IN ('boss', 'Staff m') UNION ALL SELECT "                          \
    "pg_get_statisticsobjdef(oid) FROM pg_statistic_ext UNION ALL SELECT concat_ws(' ', 'owner', " \
    "pg_get_serial_sequence('boss', 'no'), pg_get_serial_sequence('\"Staff m\"', 'id'))) s(x)"

static void creates_what_the_source_has(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(
        &crawlertest_fx,
        "CREATE TYPE mood AS ENUM ('sad', 'o''k'); CREATE SEQUENCE free START 7;"
        "CREATE TABLE boss (no serial PRIMARY KEY, code text NOT NULL, m mood DEFAULT 'sad', ms "
        "mood[], span int4range, EXCLUDE USING gist (span WITH &&), CONSTRAINT code_u UNIQUE "
        "(code) "
        "DEFERRABLE INITIALLY DEFERRED, CHECK (length(code) > 1));"
        "CREATE TABLE \"Staff m\" (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT "
        "10), "
        "boss int REFERENCES boss ON DELETE CASCADE DEFERRABLE, self bigint, l varchar(9) COLLATE "
        "\"C\" "
        "DEFAULT 'x', up text GENERATED ALWAYS AS (upper(l)) STORED, n numeric(9, 3), PRIMARY KEY "
        "(id) INCLUDE (n), FOREIGN KEY (self) REFERENCES \"Staff m\");"
        "CREATE INDEX ON boss (lower(code)) WHERE m = 'sad'; CREATE UNIQUE INDEX \"u USING x\" ON "
        "\"Staff m\" (l, id DESC) INCLUDE (n); CREATE STATISTICS st (dependencies) ON l, n FROM "
        "\"Staff "
        "m\"; ALTER TABLE boss ADD CONSTRAINT later CHECK (no > 0) NOT VALID;"
        "INSERT INTO boss (code, span) SELECT 'c' || i, int4range(i, i + 1) FROM "
        "generate_series(1, "
        "500) i; INSERT INTO \"Staff m\" (boss, l, n) SELECT 1 + i % 500, 'l' || i, i FROM "
        "generate_series(1, 700) i; UPDATE \"Staff m\" SET self = id WHERE id % 20 = 0; SELECT "
        "nextval('free'), nextval('free')");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "Staff m"},
                                {.source_schema = "public", .source_name = "boss"}};
    crw_conf conf = crawlertest_conf("create", tables, 2);
    crawlertest_sql("CREATE SEQUENCE free");
    run_all(&conf);
    crawlertest_same(CRAWLERTEST_SUM("boss", "no"));
    crawlertest_same(CRAWLERTEST_SUM("\"Staff m\"", "id"));
    crawlertest_same(SHAPE);
    assert_string_equal(crawlertest_value("SELECT nextval('free')"), "1009");
    assert_string_equal(crawlertest_value("INSERT INTO \"Staff m\" (boss) VALUES (1) RETURNING id"),
                        "17100");
    assert_string_equal(crawlertest_value("INSERT INTO boss (code) VALUES ('new') RETURNING no"),
                        "1501");
    assert_string_equal(
        crawlertest_value(
            "SELECT count(*) FROM weir_sync.crawl_step WHERE job = 'create' AND done_at IS NULL"),
        "0");
}

/* Partitions of two levels, one with an index and a check of its own; types made of each other. */
static void creates_partitions_and_types(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(
        &crawlertest_fx,
        "CREATE SCHEMA k; CREATE COLLATION k.cc FROM \"C\"; CREATE TYPE k.e AS ENUM ('a', 'b');"
        "CREATE DOMAIN k.d AS k.e[] DEFAULT '{a}' NOT NULL CHECK (cardinality(VALUE) > 0);"
        "CREATE TYPE k.c AS (x k.d, y varchar(7) COLLATE k.cc);"
        "CREATE DOMAIN k.t AS text COLLATE k.cc CONSTRAINT short CHECK (length(VALUE) < 9);"
        "CREATE TYPE k.r AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);"
        "CREATE TABLE k.ref (id int PRIMARY KEY); INSERT INTO k.ref SELECT generate_series(0, 9);"
        "CREATE TABLE k.p (id int GENERATED BY DEFAULT AS IDENTITY, at date, c k.c, cs k.c[], t "
        "k.t, r k.r, twice int GENERATED ALWAYS AS (ref * 2) STORED, ref int "
        "REFERENCES k.ref, PRIMARY KEY (id, at), UNIQUE (at, id)) PARTITION BY RANGE (at);"
        "CREATE TABLE k.p1 PARTITION OF k.p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
        "CREATE TABLE k.p2 PARTITION OF k.p DEFAULT PARTITION BY LIST (id);"
        "CREATE TABLE k.p3 PARTITION OF k.p2 DEFAULT; CREATE INDEX ON k.p (ref);"
        "CREATE INDEX own ON k.p1 (t); ALTER TABLE k.p1 ADD CONSTRAINT pos CHECK (id > 0);"
        "CREATE TABLE k.q (id int PRIMARY KEY, pid int, pat date, FOREIGN KEY (pid, pat) "
        "REFERENCES k.p);"
        "INSERT INTO k.p (id, at, c, cs, t, r, ref) SELECT i, '2020-06-01'::date + i, "
        "ROW('{a,b}', 'y')::k.c, ARRAY[ROW('{b}', NULL)::k.c], 't' || i, '[1,2)', i % 10 FROM "
        "generate_series(1, 500) i; INSERT INTO k.q SELECT id, id, at FROM k.p WHERE id % 5 = 0");
    const crw_table tables[] = {{.source_schema = "k", .source_name = "q"},
                                {.source_schema = "k", .source_name = "p"},
                                {.source_schema = "k", .source_name = "ref"}};
    crw_conf conf = crawlertest_conf("parts", tables, 3);
    weir_error err;
    crw *c = NULL;
    if (crw_open(&c, &conf, &err) != WEIR_OK || crw_create(c, &err) != WEIR_OK ||
        crw_copy(c, &err) != WEIR_OK || crw_finish(c, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    crw_close(c);
    crawlertest_same(CRAWLERTEST_SUM("k.p", "id"));
    crawlertest_same(CRAWLERTEST_SUM("k.p1", "id"));
    crawlertest_same(CRAWLERTEST_SUM("k.q", "id"));
    crawlertest_same(
        "SELECT string_agg(x, E'\\n' ORDER BY x) FROM (SELECT concat_ws(' ', c.relname, "
        "c.relkind, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid)) FROM "
        "pg_class c WHERE relnamespace = 'k'::regnamespace UNION ALL SELECT "
        "concat_ws(' ', conname, pg_get_constraintdef(oid), convalidated, "
        "conrelid::regclass) FROM pg_constraint WHERE connamespace = 'k'::regnamespace AND "
        "(contype <> 'f' OR conparentid = 0) "
        "UNION ALL SELECT concat_ws(' ', typname, typtype, typdefault, typnotnull, "
        "typcollation::regcollation) FROM pg_type WHERE typnamespace = "
        "'k'::regnamespace) s (x)");
}

static void refused(const char *job, const crw_table *table, int64_t keyless, const char *why)
{
    crw_conf conf = crawlertest_conf(job, table, 1);
    weir_error err = {.code = WEIR_OK};
    crw *c = NULL;
    conf.keyless_max_bytes = keyless;
    weir_rc rc = crw_open(&c, &conf, &err);
    rc = rc == WEIR_OK ? crw_create(c, &err) : rc;
    assert_int_not_equal(rc, WEIR_OK);
    if (!strstr(err.msg, why)) {
        fail_msg("%s is not in: %s", why, err.msg);
    }
    crw_close(c);
}

static void refuses_what_is_made_by_hand(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE elder (id int PRIMARY KEY); CREATE TABLE younger (PRIMARY KEY "
                "(id)) INHERITS (elder); CREATE TABLE heap (v text); INSERT INTO heap SELECT "
                "repeat('x', 1000) FROM generate_series(1, 500)");
    const crw_table elder = {.source_schema = "public", .source_name = "elder"};
    const crw_table younger = {.source_schema = "public", .source_name = "younger"};
    const crw_table heap = {.source_schema = "public", .source_name = "heap"};
    refused("elder", &elder, 0, "create the whole family there first");
    refused("younger", &younger, 0, "create the whole family there first");
    refused("heap", &heap, 100000,
            "\"public\".\"heap\" has no key and 0 MiB: such a table is "
            "copied in one piece");
    crawlertest_sql("CREATE TABLE heap (v text)");
    crw_conf conf = crawlertest_conf("heap2", &heap, 1);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rows, 500);
}

static bool has_chunks(void *arg)
{
    return crawlertest_state(arg).chunks >= 3;
}

static bool still_grows(void *arg)
{
    int64_t *seen = (int64_t *)((void **)arg)[1];
    int64_t now = crawlertest_state(((void **)arg)[0]).rows;
    bool more = now != *seen;
    *seen = now;
    return more;
}

static void goes_at_the_rate_it_is_told(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE q (id int PRIMARY KEY, v text); INSERT INTO q SELECT i, 'v' FROM "
                "generate_series(1, 4000) i; ANALYZE q");
    crawlertest_sql("CREATE TABLE q (id int PRIMARY KEY, v text)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "q"}};
    crw_conf conf = crawlertest_conf("steered", tables, 1);
    conf.rows_per_s = 1000; /* whoever looks in the middle has seconds for it */
    crawlertest_runner r = {.c = NULL};
    int64_t began = weir_mono_ms();
    crawlertest_start(&r, &conf);
    fixture_wait(&crawlertest_fx, has_chunks, &r, 10000, "three chunks");
    assert_int_equal(crawlertest_state(&r).phase, CRW_COPYING);
    assert_int_equal(crawlertest_state(&r).rows_total, 4000);
    /* Paused, chunks that run end and no other begins. */
    crw_pause(r.c, true);
    int64_t seen = -1;
    void *both[] = {&r, &seen};
    while (wait_until(still_grows, both, 400)) {
    }
    int64_t paused_at = seen;
    assert_true(crawlertest_state(&r).paused && paused_at < 4000);
    crw_pause(r.c, false);
    fixture_wait(&crawlertest_fx, still_grows, both, 5000, "rows after the pause");
    /* Stopped in the middle, it goes on with what is not recorded. */
    crw_stop(r.c);
    weir_thread_join(r.t);
    assert_int_equal(r.rc, WEIR_E_EOF);
    assert_int_equal(weir_thread_start(&r.t, "copy", crawlertest_run, &r, &r.err), WEIR_OK);
    weir_thread_join(r.t);
    assert_int_equal(r.rc, WEIR_OK);
    assert_int_equal(crawlertest_state(&r).rows, 4000);
    assert_true(weir_mono_ms() - began >= 3500); /* 4000 rows, a fifth of a second for nothing */
    crw_close(r.c);
    crawlertest_same(CRAWLERTEST_SUM("q", "id"));
}

/* A target that crashed without its last commits: the chunk and its record are gone together. */
static void notices_chunks_the_target_lost(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE z (id int PRIMARY KEY, v text); INSERT INTO z SELECT i, 'v' FROM "
                "generate_series(1, 3000) i");
    crawlertest_sql("CREATE TABLE z (id int PRIMARY KEY, v text)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "z"}};
    crw_conf conf = crawlertest_conf("lost", tables, 1);
    conf.rows_per_s = 1000;
    crawlertest_runner r = {.c = NULL};
    crawlertest_start(&r, &conf);
    fixture_wait(&crawlertest_fx, has_chunks, &r, 10000, "three chunks");
    crawlertest_sql(
        "WITH gone AS (DELETE FROM weir_sync.chunk WHERE job = 'lost' AND no = (SELECT "
        "min(no) FROM weir_sync.chunk WHERE job = 'lost') RETURNING *) "
        "DELETE FROM z USING gone WHERE id > coalesce(lo[1]::int, 0) AND id <= hi[1]::int");
    weir_thread_join(r.t);
    assert_int_equal(r.rc, WEIR_E_AGAIN);
    assert_non_null(strstr(r.err.msg, "start the job again"));
    crw_close(r.c);
    crw_state st;
    crawlertest_must_copy(&conf, &st);
    assert_int_equal(st.rejects, 0);
    crawlertest_same(CRAWLERTEST_SUM("z", "id"));
}

/* Rewritten in the middle of the copy: no event tells of it, so the table is copied anew. */
static void copies_anew_what_was_rewritten(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE rw (id int PRIMARY KEY, v int); INSERT INTO rw SELECT i, i FROM "
                "generate_series(1, 4000) i");
    crawlertest_sql("CREATE TABLE rw (id int PRIMARY KEY, v int)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "rw"}};
    crw_conf conf = crawlertest_conf("rewritten", tables, 1);
    conf.rows_per_s = 1500;
    crawlertest_runner r = {.c = NULL};
    crawlertest_start(&r, &conf);
    fixture_wait(&crawlertest_fx, has_chunks, &r, 10000, "three chunks");
    fixture_sql(&crawlertest_fx, "ALTER TABLE rw ALTER v TYPE int USING v * 2");
    weir_thread_join(r.t);
    if (r.rc != WEIR_OK) {
        fail_msg("%s", r.err.msg);
    }
    assert_int_equal(crawlertest_state(&r).redone, 1);
    crw_close(r.c);
    crawlertest_same(CRAWLERTEST_SUM("rw", "id"));
}

/* A slot nobody reads falls behind: the copy says so and waits. */
static bool waits_for_slot(void *arg)
{
    return strstr(crawlertest_state(arg).waits, "lazy") != NULL;
}

static void waits_while_a_slot_lags(void **state)
{
    (void)state;
    fixture_need(&crawlertest_fx);
    fixture_sql(&crawlertest_fx,
                "CREATE TABLE l (id int PRIMARY KEY, v text); INSERT INTO l SELECT i, "
                "repeat('x', 1000) FROM generate_series(1, 3000) i");
    fixture_sql(&crawlertest_fx, "SELECT pg_create_logical_replication_slot('lazy', 'pgoutput')");
    fixture_sql(&crawlertest_fx, "UPDATE l SET v = v || 'y'");
    crawlertest_sql("CREATE TABLE l (id int PRIMARY KEY, v text)");
    const crw_table tables[] = {{.source_schema = "public", .source_name = "l"}};
    crw_conf conf = crawlertest_conf("lag", tables, 1);
    conf.lag_max_bytes = 1 << 20;
    conf.rows_per_s = 1000;
    crawlertest_runner r = {.c = NULL};
    crawlertest_start(&r, &conf);
    fixture_wait(&crawlertest_fx, waits_for_slot, &r, 10000, "the copy to wait for the slot");
    fixture_sql(&crawlertest_fx, "SELECT pg_drop_replication_slot('lazy')");
    weir_thread_join(r.t);
    assert_int_equal(r.rc, WEIR_OK);
    crw_close(r.c);
    crawlertest_same(CRAWLERTEST_SUM("l", "id"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_every_kind_of_key),
        cmocka_unit_test(resumes_where_chunks_are_missing),
        cmocka_unit_test(rejects_only_what_does_not_fit),
        cmocka_unit_test(takes_expressions_and_filters),
        cmocka_unit_test(creates_what_the_source_has),
        cmocka_unit_test(creates_partitions_and_types),
        cmocka_unit_test(refuses_what_is_made_by_hand),
        cmocka_unit_test(goes_at_the_rate_it_is_told),
        cmocka_unit_test(notices_chunks_the_target_lost),
        cmocka_unit_test(copies_anew_what_was_rewritten),
        cmocka_unit_test(waits_while_a_slot_lags),
        cmocka_unit_test(refuses_with_a_reason),
        cmocka_unit_test(names_whom_it_waits_for),
    };
    return cmocka_run_group_tests_name("crawler", tests, crawlertest_up, crawlertest_down);
}
