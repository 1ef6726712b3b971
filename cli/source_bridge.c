/* source_bridge.c - publication, settings and process of a private bridge. */
#include "cli/source_bridge.h"

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/program.h"
#include "cli/servers.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/io/pg.h"
#include "libweir/io/sp_client.h"

enum {
    SQL_MAX_BYTES = 4 << 20,
    IPC_PATH_MAX = 100, /* sun_path has 108 */
    ASK_MS = 3000,
    TURN_MS = 100,
    OPEN_FILES = 16,
    REPLY_MAX_BYTES = 4 << 20
};

extern const char weir_sql_source_table[];

static const char *quoted(weir_arena *a, const weir_feed_table *t)
{
    return weir_arena_printf(a, "%s.%s", weir_pg_ident(a, t->schema), weir_pg_ident(a, t->name));
}

static weir_rc check_server(const cli_source *s, weir_pg *pg, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, "SELECT current_setting('wal_level')", 0, NULL, &rows, err);
    if (rc == WEIR_OK && !weir_slice_eqz(weir_pg_value(rows, 0, 0), "logical")) {
        rc = weir_fail(
            err, WEIR_E_STATE, 0,
            "the %s has wal_level = %s, but logical is needed: ALTER SYSTEM SET wal_level "
            "= logical, then restart it",
            s->label, weir_pg_valuez(rows, 0, 0));
    }
    weir_pg_rows_free(rows);
    return rc;
}

static weir_rc check_table(const cli_source *s, weir_pg *pg, weir_arena *a,
                           const weir_feed_table *t, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {weir_arena_dupz(a, t->schema), weir_arena_dupz(a, t->name)};
    weir_rc rc = weir_pg_query(pg, weir_sql_source_table, 2, params, &rows, err);
    if (rc == WEIR_OK && !weir_pg_isnull(rows, 0, 0)) {
        rc = weir_fail(
            err, WEIR_E_INPUT, 0, "the %s's table %s.%s cannot be read as a stream: %s; %s",
            s->label, params[0], params[1], weir_pg_valuez(rows, 0, 0), weir_pg_valuez(rows, 0, 1));
    }
    weir_pg_rows_free(rows);
    return rc;
}

/* Is that exactly what is published? */
static weir_rc published(const cli_source *s, weir_pg *pg, weir_arena *a, bool *there, bool *same,
                         weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {s->publication};
    weir_rc rc = weir_pg_query(
        pg,
        "SELECT p.puballtables, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND "
        "p.pubviaroot, format('%I.%I', t.schemaname, t.tablename) FROM pg_publication p LEFT JOIN "
        "pg_publication_tables t USING (pubname) WHERE p.pubname = $1",
        1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    int n = weir_pg_nrows(rows);
    *there = n > 0;
    *same = n > 0 && (size_t)n == s->ntables && weir_slice_eqz(weir_pg_value(rows, 0, 0), "f") &&
            weir_slice_eqz(weir_pg_value(rows, 0, 1), "t");
    for (size_t i = 0; *same && i < s->ntables; i++) {
        const char *want = quoted(a, &s->tables[i]);
        bool found = false;
        for (int k = 0; k < n && !found; k++) {
            found = weir_slice_eqz(weir_pg_value(rows, k, 2), want);
        }
        *same = found;
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

static weir_rc alter(const cli_source *s, weir_pg *pg, weir_arena *a, bool there, weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    const char *name = weir_pg_ident(a, weir_slice_z(s->publication));
    const char *options =
        "publish = 'insert, update, delete, truncate', publish_via_partition_root = true";
    weir_buf_printf(
        &b, there ? "ALTER PUBLICATION %s SET TABLE " : "CREATE PUBLICATION %s FOR TABLE ", name);
    for (size_t i = 0; i < s->ntables; i++) {
        weir_buf_printf(&b, "%sONLY %s", i ? ", " : "", quoted(a, &s->tables[i]));
    }
    if (there) {
        weir_buf_printf(&b, "; ALTER PUBLICATION %s SET (%s)", name, options);
    } else {
        weir_buf_printf(&b, " WITH (%s)", options);
    }
    weir_buf_u8(&b, '\0');
    weir_rc rc = b.failed ? weir_fail(err, WEIR_E_LIMIT, 0, "too many tables for one publication")
                          : weir_pg_script(pg, b.p, err);
    weir_buf_fini(&b);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "publication %s in the %s", s->publication, s->label);
    }
    return rc;
}

static weir_rc publish(const cli_source *s, weir_pg *pg, weir_arena *a, weir_error *err)
{
    bool there = false;
    bool same = false;
    weir_rc rc = check_server(s, pg, err);
    for (size_t i = 0; rc == WEIR_OK && i < s->ntables; i++) {
        rc = check_table(s, pg, a, &s->tables[i], err);
    }
    if (rc == WEIR_OK && s->ntables == 0) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "no table of the %s is named", s->label);
    }
    if (rc == WEIR_OK) {
        rc = published(s, pg, a, &there, &same, err);
    }
    return rc == WEIR_OK && !same ? alter(s, pg, a, there, err) : rc;
}

static weir_rc open_source(const cli_source *s, weir_pg **pg, weir_error *err)
{
    weir_pg_conf conf = {.uri = s->uri, .application_name = "weir", .wait_max_ms = 60000};
    weir_rc rc = weir_pg_open(pg, &conf, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the %s", s->label);
    }
    return rc;
}

weir_rc cli_source_publish(const cli_source *s, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = open_source(s, &pg, err);
    if (rc == WEIR_OK) {
        rc = publish(s, pg, a, err);
    }
    weir_pg_close(pg);
    weir_arena_free(a);
    return rc;
}

static weir_rc write_ini(const cli_source *s, weir_arena *a, const char *path, const char *feed,
                         weir_error *err)
{
    const char *text = weir_arena_printf(
        a,
        "; written by weir: the private bridge of the %s\n[app]\nname = %s\nlog_level = "
        "%s\n[postgres]\nuri = %s\n[bridge]\nfeed = %s\nport = 0\ndata_dir = %s/log\nslot = "
        "%s\npublication = %s\nfirst_copy = 0\n",
        s->label, "sync", s->log_level ? s->log_level : "info", s->uri, feed, s->dir, s->slot,
        s->publication);
    return weir_file_write(path, weir_slice_z(text), 0600, err);
}

weir_rc cli_source_bridge_init(const cli_source *s, weir_arena *a, cli_child *child,
                               const char **feed, weir_error *err)
{
    const char *program = NULL;
    const char *ini = weir_arena_printf(a, "%s/bridge.ini", s->dir);
    const char *ipc = weir_arena_printf(a, "%s/feed.sock", s->dir);
    weir_rc rc = cli_program_find(a, "weir-bridge", &program, err);
    rc = rc == WEIR_OK ? weir_mkdirs(s->dir, 0700, err) : rc;
    if (rc == WEIR_OK && chmod(s->dir, 0700) != 0) {
        rc = weir_fail_errno(err, "cannot protect %s", s->dir);
    }
    *feed = s->dir[0] == '/' && strlen(ipc) <= IPC_PATH_MAX
                ? weir_arena_printf(a, "ipc://%s", ipc)
                : weir_arena_printf(a, "tcp://127.0.0.1:%d", cli_free_port(0));
    if (rc == WEIR_OK) {
        rc = write_ini(s, a, ini, *feed, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    cli_child_init(child, weir_arena_printf(a, "bridge-%s", s->label),
                   weir_arena_printf(a, "%s/bridge.log", s->dir));
    cli_child_arg(child, program);
    cli_child_arg(child, "--config");
    cli_child_arg(child, ini);
    return WEIR_OK;
}

/* state and reason of the status' slot; false: no answer. */
static bool slot_state(const char *feed, weir_arena *a, const char **state, const char **reason)
{
    weir_buf q;
    weir_buf reply;
    weir_error err;
    weir_feed_reply r = {.ok = false};
    weir_json *j = NULL;
    weir_slice v;
    weir_feed_req req = {.op = WEIR_FEED_STATUS};
    weir_buf_init(&q, 1 << 16);
    weir_buf_init(&reply, REPLY_MAX_BYTES);
    weir_feed_req_encode(&q, &req);
    bool ok =
        weir_sp_call(feed, weir_buf_slice(&q), ASK_MS, &reply, &err) == WEIR_OK &&
        weir_feed_reply_decode(weir_arena_dup(a, weir_buf_slice(&reply)), a, &r, &err) == WEIR_OK &&
        r.ok && weir_json_parse(&j, r.status, &err) == WEIR_OK;
    const weir_json *slot = ok ? weir_json_get(j, "slot") : NULL;
    *state = slot && weir_json_str(slot, "state", &v) ? weir_arena_dupz(a, v) : "";
    *reason = slot && weir_json_str(slot, "reason", &v) ? weir_arena_dupz(a, v) : "";
    weir_json_free(j);
    weir_buf_fini(&q);
    weir_buf_fini(&reply);
    return ok;
}

static void tell(const cli_source_wait *w, char told[400], const char *text)
{
    if (w->tell && strncmp(told, text, 399) != 0) {
        (void)snprintf(told, 400, "%s", text);
        w->tell(w->arg, told);
    }
}

weir_rc cli_source_bridge_wait(const cli_source *s, const char *feed, const cli_source_wait *w,
                               int64_t ms, weir_error *err)
{
    char told[400] = "";
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = WEIR_E_AGAIN;
    int64_t until = weir_mono_ms() + ms;
    while (rc == WEIR_E_AGAIN) {
        const char *state = "";
        const char *reason = "";
        weir_arena_reset(a);
        bool answers = slot_state(feed, a, &state, &reason);
        if (answers && strcmp(state, "streaming") == 0) {
            rc = WEIR_OK;
        } else if (answers && (strcmp(state, "gap") == 0 || strcmp(state, "lost") == 0)) {
            rc = weir_fail(err, WEIR_E_STATE, 0, "the %s's bridge: %s", s->label, reason);
        } else if (weir_mono_ms() > until) {
            rc = weir_fail(err, WEIR_E_TIMEOUT, 0, "the %s's bridge is not ready (%s); see %s",
                           s->label, reason[0] ? reason : state, s->dir);
        } else if (w->turn && !w->turn(w->arg)) {
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopped while the %s's bridge was starting",
                           s->label);
        } else {
            tell(w, told, answers ? (reason[0] ? reason : state) : "starting");
            (void)poll(NULL, 0, TURN_MS);
        }
    }
    weir_arena_free(a);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

weir_rc cli_source_forget(const cli_source *s, weir_error *err)
{
    if (access(s->dir, F_OK) == 0 &&
        nftw(s->dir, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
        return weir_fail_errno(err, "cannot remove %s", s->dir);
    }
    return WEIR_OK;
}

weir_rc cli_source_drop(const cli_source *s, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_arena *a = weir_arena_new(0);
    const char *params[] = {s->slot};
    weir_rc rc = open_source(s, &pg, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(pg,
                           "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                           "WHERE slot_name = $1",
                           1, params, NULL, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_script(pg,
                            weir_arena_printf(a, "DROP PUBLICATION IF EXISTS %s",
                                              weir_pg_ident(a, weir_slice_z(s->publication))),
                            err);
    }
    weir_pg_close(pg);
    weir_arena_free(a);
    return rc;
}
