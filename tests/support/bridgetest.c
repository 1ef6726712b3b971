/* bridgetest.c - common steps of the bridge's integration tests. */
#include "tests/support/bridgetest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/xalloc.h"

static pgserver server;

int bridgetest_up(void **state)
{
    (void)state;
    if (!pgserver_installed()) {
        print_message("skipped: PostgreSQL is not installed\n");
        exit(getenv("CI") ? 1 : 0);
    }
    return pgserver_start(&server) ? 0 : -1;
}

int bridgetest_down(void **state)
{
    (void)state;
    pgserver_remove(&server);
    return 0;
}

pgserver *bridgetest_server(void)
{
    return &server;
}

static const char clean_sql[] =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE "
    "'weir-bridge%';"
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots;"
    "DO $$ DECLARE p text; BEGIN FOR p IN SELECT pubname FROM pg_publication LOOP EXECUTE "
    "format('DROP PUBLICATION %I', p); "
    "END LOOP; END $$;"
    "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS other "
    "CASCADE";

bridgetest *bridgetest_new(const char *bin_dir, const char *extra)
{
    bridgetest *t = weir_xcalloc(1, sizeof *t);
    weir_error err;
    weir_pg_conf conf = {.uri = server.uri, .application_name = "test"};
    t->server = &server;
    t->a = weir_arena_new(0);
    if (weir_pg_open(&t->pg, &conf, &err) != WEIR_OK ||
        !bridgeproc_init(&t->b, bin_dir, server.uri, extra)) {
        bridgetest_free(t);
        return NULL;
    }
    bridgetest_sql(t, clean_sql);
    feedlines_init(&t->f, &t->b);
    return t;
}

void bridgetest_free(bridgetest *t)
{
    if (t) {
        bridgeproc_remove(&t->b);
        if (t->f.rels_arena) {
            feedlines_fini(&t->f);
        }
        weir_pg_close(t->pg);
        weir_arena_free(t->a);
        free(t);
    }
}

void bridgetest_sql(bridgetest *t, const char *sql)
{
    weir_error err;
    if (weir_pg_script(t->pg, sql, &err) != WEIR_OK) {
        fail_msg("%s: %s", err.msg, sql);
    }
}

const char *bridgetest_text(bridgetest *t, const char *sql)
{
    weir_error err;
    weir_pg_rows *rows = NULL;
    if (weir_pg_query(t->pg, sql, 0, NULL, &rows, &err) != WEIR_OK) {
        fail_msg("%s: %s", err.msg, sql);
    }
    const char *text =
        weir_arena_strdup(t->a, weir_pg_nrows(rows) ? weir_pg_valuez(rows, 0, 0) : "");
    weir_pg_rows_free(rows);
    return text;
}

int64_t bridgetest_i64(bridgetest *t, const char *sql)
{
    return strtoll(bridgetest_text(t, sql), NULL, 10);
}

uint64_t bridgetest_lsn(bridgetest *t)
{
    uint64_t lsn = 0;
    assert_true(weir_lsn_parse(
        weir_slice_z(bridgetest_text(t, "SELECT pg_current_wal_flush_lsn()")), &lsn));
    return lsn;
}

void bridgetest_stream(bridgetest *t)
{
    assert_true(bridgeproc_start(&t->b));
    if (!bridgeproc_wait_state(&t->b, "streaming", 20000)) {
        fail_msg("the bridge does not stream: %s", bridgeproc_status_text(&t->b, t->a));
    }
}

const char *bridgetest_lines(bridgetest *t, bool all)
{
    if (!feedlines_until(&t->f, bridgetest_lsn(t), 20000)) {
        fail_msg("the feed does not get there: %s",
                 t->f.n ? t->f.line[t->f.n - 1] : "(nothing came)");
    }
    char *text = feedlines_text(&t->f, all);
    feedlines_clear(&t->f);
    const char *kept = weir_arena_strdup(t->a, text);
    free(text);
    return kept;
}

void bridgetest_expect(bridgetest *t, const char *lines)
{
    assert_string_equal(bridgetest_lines(t, false), lines);
}

void bridgetest_skip(bridgetest *t)
{
    (void)bridgetest_lines(t, true);
}
