/* tail.c - `weir tail`: the live change feed, readable, with the command that caused each change.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/tail_table.h"
#include "libweir/base/buf.h"
#include "libweir/base/map.h"
#include "libweir/base/str.h"
#include "libweir/codec/frame.h"
#include "libweir/codec/json.h"
#include "libweir/codec/message.h"
#include "libweir/io/sp_client.h"

enum { FETCH_BYTES = 1 << 20, FETCH_WAIT_MS = 1000, CALL_MS = 10000, VALUE_SHOW = 60 };

struct tail {
    cli_app app;
    const char *table;
    bool json;
    weir_arena *rels; /* relation descriptions, for as long as we run */
    weir_map *by_version;
    uint32_t known;
    weir_feed_pos after;
    bool has_after;
    weir_arena *a;     /* one reply */
    char command[120]; /* of the transaction being shown */
    bool header_shown;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static const weir_relation *relation(struct tail *t, uint32_t version)
{
    return weir_map_get(t->by_version, weir_slice_of((const char *)&version, sizeof version));
}

static void learn(struct tail *t, weir_slice encoded)
{
    weir_error err = {0};
    weir_relation *rel = weir_arena_zalloc(t->rels, sizeof *rel);
    weir_slice copy = weir_arena_dup(t->rels, encoded);
    if (weir_relation_decode(copy, t->rels, rel, &err) == WEIR_OK) {
        *weir_map_slot(t->by_version,
                       weir_slice_of((const char *)&rel->version, sizeof rel->version), NULL) = rel;
        t->known = rel->version > t->known ? rel->version : t->known;
    }
}

static bool wanted(const struct tail *t, const weir_relation *rel)
{
    if (!t->table) {
        return true;
    }
    return rel && cli_tail_matches(t->table, rel->schema, rel->name);
}

static void value_text(weir_buf *b, const weir_val *v, bool json)
{
    if (v->kind == WEIR_VAL_NULL) {
        weir_buf_putz(b, json ? "null" : "∅");
    } else if (v->kind == WEIR_VAL_UNCHANGED) {
        weir_buf_putz(b, "(unchanged)");
    } else if (json) {
        weir_json_quote(b, v->text);
    } else {
        size_t n = v->text.n > VALUE_SHOW ? VALUE_SHOW : v->text.n;
        for (size_t i = 0; i < n; i++) {
            char c = v->text.p[i];
            weir_buf_u8(b, (uint8_t)((unsigned char)c < 0x20 ? ' ' : c));
        }
        weir_buf_putz(b, n < v->text.n ? "…" : "");
    }
}

static void row_text(weir_buf *b, const weir_relation *rel, const weir_tuple *row, bool keys_only,
                     bool json)
{
    const char *sep = "";
    weir_buf_putz(b, json ? "{" : "");
    for (uint16_t i = 0; i < row->n && i < rel->n; i++) {
        if ((keys_only && !rel->cols[i].key) || (json && row->v[i].kind == WEIR_VAL_UNCHANGED)) {
            continue;
        }
        weir_buf_putz(b, sep);
        if (json) {
            weir_json_quote(b, rel->cols[i].name);
            weir_buf_putz(b, ": ");
        } else {
            weir_buf_printf(b, "%s" WEIR_SLICE_FMT "=%s", cli_dim(),
                            WEIR_SLICE_ARG(rel->cols[i].name), cli_plain());
        }
        value_text(b, &row->v[i], json);
        sep = json ? ", " : " ";
    }
    weir_buf_putz(b, json ? "}" : "");
}

static void show_json(struct tail *t, const weir_frame_head *h, const weir_ev *ev,
                      const weir_relation *rel, weir_buf *b)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_buf_printf(b, "{\"op\": \"%s\", \"position\": \"%s\", \"xid\": %u, \"table\": ",
                    weir_ev_op(ev->kind), weir_lsn_print(h->commit_lsn, lsn), h->xid);
    weir_json_quote(
        b, weir_slice_z(weir_arena_printf(t->a, WEIR_SLICE_FMT "." WEIR_SLICE_FMT,
                                          WEIR_SLICE_ARG(rel->schema), WEIR_SLICE_ARG(rel->name))));
    weir_buf_putz(b, ", \"command\": ");
    if (t->command[0]) {
        weir_json_quote(b, weir_slice_z(t->command));
    } else {
        weir_buf_putz(b, "null");
    }
    if (ev->old_kind != WEIR_OLD_NONE) {
        weir_buf_putz(b, ", \"old\": ");
        row_text(b, rel, &ev->old_row, ev->old_kind == WEIR_OLD_KEY, true);
    }
    if (ev->new_row.n > 0) {
        weir_buf_putz(b, ", \"new\": ");
        row_text(b, rel, &ev->new_row, false, true);
    }
    weir_buf_putz(b, "}\n");
}

static void show_text(struct tail *t, const weir_frame_head *h, const weir_ev *ev,
                      const weir_relation *rel, weir_buf *b)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    if (!t->header_shown) {
        weir_buf_printf(b, "%s%s%s %s%s%s\n", cli_dim(), weir_lsn_print(h->commit_lsn, lsn),
                        cli_plain(), cli_bold(),
                        h->kind == WEIR_FRAME_CHUNK ? "copy"
                        : t->command[0]             ? t->command
                                                    : "sql",
                        cli_plain());
        t->header_shown = true;
    }
    const char *colour = ev->kind == WEIR_EV_INSERT   ? cli_green()
                         : ev->kind == WEIR_EV_UPDATE ? cli_yellow()
                                                      : cli_red();
    weir_buf_printf(b, "  %s%-8s%s " WEIR_SLICE_FMT "  ", colour, weir_ev_op(ev->kind), cli_plain(),
                    WEIR_SLICE_ARG(rel->name));
    bool deleted = ev->kind == WEIR_EV_DELETE;
    row_text(b, rel, deleted ? &ev->old_row : &ev->new_row, deleted && ev->old_kind == WEIR_OLD_KEY,
             false);
    weir_buf_putz(b, "\n");
}

static void show(struct tail *t, const weir_frame_head *h, const weir_ev *ev, uint32_t version)
{
    const weir_relation *rel = relation(t, version);
    if (!rel || !wanted(t, rel)) {
        return;
    }
    weir_buf b;
    weir_buf_init(&b, 64 << 20);
    (t->json ? show_json : show_text)(t, h, ev, rel, &b);
    (void)fwrite(b.p, 1, b.n, stdout);
    weir_buf_fini(&b);
}

static void remember_command(struct tail *t, weir_slice meta)
{
    weir_json *j = NULL;
    weir_error err = {0};
    weir_slice name, id = {0};
    if (weir_json_parse(&j, meta, &err) == WEIR_OK && weir_json_str(j, "name", &name)) {
        (void)weir_json_str(j, "id", &id);
        (void)snprintf(t->command, sizeof t->command, t->json ? "%.*s/%.*s" : "%.*s %.*s",
                       WEIR_SLICE_ARG(name), WEIR_SLICE_ARG(id));
        t->header_shown = false;
    }
    weir_json_free(j);
}

/* What weir.emit said, as it stands: {"topic": …, "payload": …}. */
static void show_event(struct tail *t, const weir_frame_head *h, weir_slice event)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_json *j = NULL;
    weir_error err = {0};
    weir_slice topic;
    if (t->table || !weir_utf8_ok(event) || weir_json_parse(&j, event, &err) != WEIR_OK) {
        return;
    }
    weir_buf b;
    weir_buf_init(&b, 64 << 20);
    if (t->json) {
        weir_buf_printf(&b, "{\"op\": \"event\", \"position\": \"%s\", \"xid\": %u, \"command\": ",
                        weir_lsn_print(h->commit_lsn, lsn), h->xid);
        if (t->command[0]) {
            weir_json_quote(&b, weir_slice_z(t->command));
        } else {
            weir_buf_putz(&b, "null");
        }
        weir_buf_putz(&b, ", \"event\": ");
        weir_buf_puts(&b, weir_json_dump(j, false, t->a));
        weir_buf_putz(&b, "}\n");
    } else if (weir_json_str(j, "topic", &topic)) {
        weir_buf_printf(&b, "  %sevent%s    " WEIR_SLICE_FMT "  " WEIR_SLICE_FMT "\n", cli_yellow(),
                        cli_plain(), WEIR_SLICE_ARG(topic),
                        WEIR_SLICE_ARG(weir_json_dump(weir_json_get(j, "payload"), false, t->a)));
    }
    (void)fwrite(b.p, 1, b.n, stdout);
    weir_buf_fini(&b);
    weir_json_free(j);
}

static bool is_row(weir_ev_kind kind)
{
    return kind == WEIR_EV_INSERT || kind == WEIR_EV_UPDATE || kind == WEIR_EV_DELETE ||
           kind == WEIR_EV_READ;
}

static void show_frame(struct tail *t, weir_slice frame)
{
    weir_error err = {0};
    weir_frame_dec d;
    weir_frame_head h;
    weir_ev ev;
    if (weir_frame_open(&d, frame, &h, &err) != WEIR_OK) {
        return;
    }
    if (h.part == 0) {
        t->command[0] = '\0';
        t->header_shown = false;
    }
    while (weir_frame_next(&d, t->a, &ev, &err) == WEIR_OK) {
        if (ev.kind == WEIR_EV_MESSAGE && weir_slice_eqz(ev.a, "weir.command")) {
            remember_command(t, ev.b);
        } else if (ev.kind == WEIR_EV_MESSAGE && weir_slice_eqz(ev.a, "weir.event")) {
            show_event(t, &h, ev.b);
        } else if (ev.kind == WEIR_EV_TRUNCATE) {
            for (uint32_t i = 0; i < ev.nrels; i++) {
                show(t, &h, &ev, ev.rels[i]);
            }
        } else if (is_row(ev.kind)) {
            show(t, &h, &ev, ev.rel);
        }
    }
}

/* One fetch. WEIR_E_CONN: the bridge is away. */
static weir_rc fetch(struct tail *t, weir_error *err)
{
    weir_buf req, reply;
    weir_feed_reply r;
    weir_feed_req q = {.op = WEIR_FEED_FETCH,
                       .name = WEIR_SLICE_LIT(""),
                       .has_after = t->has_after,
                       .after = t->after,
                       .max_bytes = FETCH_BYTES,
                       .wait_ms = FETCH_WAIT_MS,
                       .known = t->known};
    weir_buf_init(&req, 1 << 16);
    weir_buf_init(&reply, WEIR_FEED_REPLY_MAX_BYTES);
    weir_feed_req_encode(&req, &q);
    weir_arena_reset(t->a);
    weir_rc rc = weir_sp_call(t->app.s.bridge_feed, weir_buf_slice(&req), CALL_MS, &reply, err);
    rc = rc == WEIR_OK ? weir_feed_reply_decode(weir_buf_slice(&reply), t->a, &r, err) : rc;
    if (rc == WEIR_OK && !r.ok) {
        rc = weir_fail(err, weir_slice_eqz(r.code, "notready") ? WEIR_E_AGAIN : WEIR_E_STATE, 0,
                       WEIR_SLICE_FMT, WEIR_SLICE_ARG(r.error));
    }
    for (size_t i = 0; rc == WEIR_OK && i < r.nrelations; i++) {
        learn(t, r.relations[i]);
    }
    for (size_t i = 0; rc == WEIR_OK && i < r.nframes; i++) {
        show_frame(t, r.frames[i]);
    }
    if (rc == WEIR_OK) {
        t->after = r.next;
        t->has_after = true;
        (void)fflush(stdout);
    }
    weir_buf_fini(&req);
    weir_buf_fini(&reply);
    return rc;
}

static int follow(struct tail *t)
{
    bool away = false;
    while (!stop) {
        weir_error err = {0};
        weir_rc rc = fetch(t, &err);
        if (rc == WEIR_OK) {
            away = false;
        } else if (stop) {
            break;
        } else if (rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT || rc == WEIR_E_AGAIN) {
            if (!away) {
                (void)fprintf(stderr, "weir tail: waiting for the bridge: %s\n", err.msg);
            }
            away = true;
            (void)poll(NULL, 0, 200);
        } else {
            return cli_fail("tail", &err);
        }
        if (ferror(stdout)) {
            break;
        }
    }
    return 0;
}

int cli_tail(int argc, char **argv)
{
    struct tail t = {0};
    const char *dir = NULL, *words[1];
    int n = 0;
    weir_error err = {0};
    const cli_flag flags[] = {
        {"--app", &dir, NULL}, {"--table", &t.table, NULL}, {"--json", NULL, &t.json}};
    if (!cli_args("tail", argc, argv, flags, 3, words, 1, &n)) {
        return 2;
    }
    if (cli_app_open_running(&t.app, n ? words[0] : dir, &err) != WEIR_OK) {
        return cli_fail("tail", &err);
    }
    struct sigaction sa = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    const char *note = t.table ? cli_tail_table_note(&t.app, t.table) : NULL;
    if (note) {
        (void)fprintf(stderr, "weir tail: %s\n", note);
    }
    t.a = weir_arena_new(0);
    t.rels = weir_arena_new(0);
    t.by_version = weir_map_new();
    int rc = follow(&t);
    weir_map_free(t.by_version);
    weir_arena_free(t.rels);
    weir_arena_free(t.a);
    cli_app_close(&t.app);
    return rc;
}
