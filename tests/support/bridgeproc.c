/* bridgeproc.c - start, stop and read a bridge. */
#include "tests/support/bridgeproc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/sp_client.h"
#include "tests/support/check.h"
#include "tests/support/pgserver.h"

bool bridgeproc_init(bridgeproc *b, const char *bin_dir, const char *pg_uri, const char *extra)
{
    memset(b, 0, sizeof *b);
    b->bin_dir = bin_dir;
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/weir-bridge-XXXXXX");
    if (!mkdtemp(b->dir)) {
        return false;
    }
    (void)snprintf(b->feed, sizeof b->feed, "ipc://%s/feed.sock", b->dir);
    char path[200];
    (void)snprintf(path, sizeof path, "%s/weir.ini", b->dir);
    FILE *f = fopen(path, "w");
    if (!f) {
        return false;
    }
    (void)fprintf(f,
                  "[app]\nname = t\nlog_level = debug\n[postgres]\nuri = %s\n[bridge]\nfeed = "
                  "%s\nport = 0\ndata_dir = %s/data\n"
                  "slot = weir_t\npublication = weir_t\n%s",
                  pg_uri, b->feed, b->dir, extra ? extra : "");
    return fclose(f) == 0;
}

bool bridgeproc_start(bridgeproc *b)
{
    pid_t pid = fork();
    if (pid < 0) {
        return false;
    }
    if (pid == 0) {
        char config[200];
        char log[200];
        char bin[400];
        (void)snprintf(config, sizeof config, "%s/weir.ini", b->dir);
        (void)snprintf(log, sizeof log, "%s/log", b->dir);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        (void)setpgid(0, 0);
        (void)snprintf(bin, sizeof bin, "%s/weir-bridge", b->bin_dir);
        execl(bin, "weir-bridge", "--config", config, (char *)NULL);
        _exit(127);
    }
    b->pid = pid;
    return true;
}

bool bridgeproc_call(bridgeproc *b, const weir_feed_req *req, weir_arena *a, weir_feed_reply *out)
{
    weir_buf q;
    weir_buf reply;
    weir_error err;
    weir_buf_init(&q, 1 << 20);
    weir_buf_init(&reply, WEIR_FEED_REPLY_MAX_BYTES);
    weir_feed_req_encode(&q, req);
    bool ok =
        weir_sp_call(b->feed, weir_buf_slice(&q), 15000, &reply, &err) == WEIR_OK &&
        weir_feed_reply_decode(weir_arena_dup(a, weir_buf_slice(&reply)), a, out, &err) == WEIR_OK;
    weir_buf_fini(&q);
    weir_buf_fini(&reply);
    return ok;
}

const char *bridgeproc_status_text(bridgeproc *b, weir_arena *a)
{
    weir_feed_req req = {.op = WEIR_FEED_STATUS};
    weir_feed_reply r;
    return bridgeproc_call(b, &req, a, &r) && r.ok ? weir_arena_dupz(a, r.status) : "";
}

int64_t bridgeproc_status(bridgeproc *b, const char *key)
{
    weir_arena *a = weir_arena_new(0);
    char pattern[100];
    (void)snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *p = strstr(bridgeproc_status_text(b, a), pattern);
    int64_t v = p ? strtoll(p + strlen(pattern), NULL, 10) : -1;
    weir_arena_free(a);
    return v;
}

typedef struct state_wait {
    bridgeproc *b;
    char pattern[80];
} state_wait;

static bool in_state(void *arg)
{
    state_wait *w = arg;
    weir_arena *a = weir_arena_new(0);
    bool is = strstr(bridgeproc_status_text(w->b, a), w->pattern) != NULL;
    weir_arena_free(a);
    return is;
}

bool bridgeproc_wait_state(bridgeproc *b, const char *state, int64_t ms)
{
    state_wait w = {.b = b};
    (void)snprintf(w.pattern, sizeof w.pattern, "\"slot\":{\"state\":\"%s\"", state);
    return wait_until(in_state, &w, ms * weir_test_timeout_x());
}

static bool has_status(void *arg)
{
    weir_arena *a = weir_arena_new(0);
    bool has = bridgeproc_status_text(arg, a)[0] != '\0';
    weir_arena_free(a);
    return has;
}

bool bridgeproc_wait_answer(bridgeproc *b, int64_t ms)
{
    return wait_until(has_status, b, ms * weir_test_timeout_x());
}

static bool ended(void *arg)
{
    bridgeproc *b = arg;
    int st = 0;
    if (waitpid(b->pid, &st, WNOHANG) != b->pid) {
        return false;
    }
    b->pid = -(WIFEXITED(st) ? WEXITSTATUS(st) : 200);
    return true;
}

int bridgeproc_stop(bridgeproc *b)
{
    if (b->pid <= 0) {
        return -1;
    }
    (void)kill(b->pid, SIGTERM);
    if (!wait_until(ended, b, INT64_C(12000) * weir_test_timeout_x())) {
        bridgeproc_kill(b);
        return -1;
    }
    int code = -b->pid;
    b->pid = 0;
    return code;
}

void bridgeproc_kill(bridgeproc *b)
{
    if (b->pid > 0) {
        (void)kill(b->pid, SIGKILL);
        (void)waitpid(b->pid, NULL, 0);
        b->pid = 0;
    }
}

void bridgeproc_remove(bridgeproc *b)
{
    bridgeproc_kill(b);
    if (strncmp(b->dir, "/tmp/weir-bridge-", 17) == 0 && !getenv("WEIR_KEEP")) {
        char cmd[256];
        (void)snprintf(cmd, sizeof cmd, "rm -rf %s", b->dir);
        if (system(cmd) != 0) { /* banned-ok: rm -r of our own folder */
            (void)fprintf(stderr, "%s is left\n", b->dir);
        }
    }
}

int64_t bridgeproc_rss_max_kib(const bridgeproc *b)
{
    char path[64];
    char line[256];
    int64_t kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", b->pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtoll(line + 6, NULL, 10);
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return kib;
}

/* --- the feed as text
 * ---------------------------------------------------------------------------------------------- */

void feedlines_init(feedlines *f, bridgeproc *b)
{
    memset(f, 0, sizeof *f);
    f->b = b;
    f->rels_arena = weir_arena_new(0);
    f->max_bytes = 1 << 20;
}

void feedlines_clear(feedlines *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->line[i]);
    }
    f->n = 0;
}

void feedlines_fini(feedlines *f)
{
    feedlines_clear(f);
    free(f->line);
    weir_arena_free(f->rels_arena);
}

static void add(feedlines *f, weir_buf *b)
{
    weir_buf_u8(b, 0);
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 256;
        f->line = weir_xrealloc(f->line, f->cap * sizeof(char *));
    }
    f->line[f->n++] = weir_xstrdup(b->p);
    weir_buf_reset(b);
}

static void put_name(feedlines *f, weir_buf *b, uint32_t version)
{
    const weir_relation *rel = version < 4096 ? f->rels[version] : NULL;
    if (rel) {
        weir_buf_printf(b, " %.*s.%.*s", WEIR_SLICE_ARG(rel->schema), WEIR_SLICE_ARG(rel->name));
    } else {
        weir_buf_printf(b, " ?%u", version);
    }
}

static void put_row(feedlines *f, weir_buf *b, uint32_t version, const weir_tuple *row, bool keys)
{
    const weir_relation *rel = version < 4096 ? f->rels[version] : NULL;
    for (uint16_t i = 0; i < row->n; i++) {
        if (keys && rel && i < rel->n && !rel->cols[i].key) {
            continue;
        }
        weir_buf_printf(b, " %.*s=", rel && i < rel->n ? (int)rel->cols[i].name.n : 1,
                        rel && i < rel->n ? rel->cols[i].name.p : "?");
        if (row->v[i].kind != WEIR_VAL_TEXT) {
            weir_buf_putz(b, row->v[i].kind == WEIR_VAL_NULL ? "NULL" : "~");
        } else if (row->v[i].text.n > 60) {
            weir_buf_printf(b, "%.8s..%zu", row->v[i].text.p, row->v[i].text.n);
        } else {
            weir_buf_puts(b, row->v[i].text);
        }
    }
}

static void put_old(feedlines *f, weir_buf *b, const weir_ev *ev)
{
    if (ev->old_kind != WEIR_OLD_NONE) {
        weir_buf_putz(b, ev->old_kind == WEIR_OLD_KEY ? " [K" : " [O");
        put_row(f, b, ev->rel, &ev->old_row, ev->old_kind == WEIR_OLD_KEY);
        weir_buf_putz(b, "]");
    }
}

static void put_bound(weir_buf *b, const weir_tuple *t)
{
    weir_buf_putz(b, " ");
    for (uint16_t i = 0; i < t->n; i++) {
        weir_buf_printf(b, "%s%.*s", i ? "," : "", WEIR_SLICE_ARG(t->v[i].text));
    }
    if (t->n == 0) {
        weir_buf_putz(b, "-");
    }
}

static void put_event(feedlines *f, weir_buf *b, const weir_ev *ev)
{
    static const char letters[] = "?IUDTMOYR";
    if (ev->kind <= WEIR_EV_READ) {
        weir_buf_u8(b, (uint8_t)letters[ev->kind]);
    }
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_UPDATE:
    case WEIR_EV_DELETE:
    case WEIR_EV_READ:
        put_name(f, b, ev->rel);
        put_old(f, b, ev);
        put_row(f, b, ev->rel, &ev->new_row, false);
        break;
    case WEIR_EV_TRUNCATE:
        weir_buf_printf(b, " %u", ev->flags);
        for (uint32_t i = 0; i < ev->nrels; i++) {
            put_name(f, b, ev->rels[i]);
        }
        break;
    case WEIR_EV_MESSAGE:
        weir_buf_printf(b, " %s %.*s %.*s", ev->transactional ? "t" : "n", WEIR_SLICE_ARG(ev->a),
                        WEIR_SLICE_ARG(ev->b));
        break;
    case WEIR_EV_ORIGIN: weir_buf_printf(b, " %.*s", WEIR_SLICE_ARG(ev->a)); break;
    case WEIR_EV_TYPE:
        weir_buf_printf(b, " %.*s.%.*s", WEIR_SLICE_ARG(ev->a), WEIR_SLICE_ARG(ev->b));
        break;
    case WEIR_EV_RANGE:
        weir_buf_putz(b, "RANGE");
        put_name(f, b, ev->rel);
        put_bound(b, &ev->old_row);
        put_bound(b, &ev->new_row);
        break;
    case WEIR_EV_COPIED:
        weir_buf_printf(b, "COPIED %.*s.%.*s %.*s", WEIR_SLICE_ARG(ev->a), WEIR_SLICE_ARG(ev->b),
                        WEIR_SLICE_ARG(ev->copy_id));
        break;
    }
}

static void say(feedlines *f, const char *text)
{
    weir_buf b;
    weir_buf_init(&b, 4096);
    weir_buf_putz(&b, text);
    add(f, &b);
    weir_buf_fini(&b);
}

static bool read_frame(feedlines *f, weir_slice frame)
{
    weir_frame_dec dec;
    weir_frame_head head;
    weir_ev ev;
    weir_error err;
    weir_arena *a = weir_arena_new(0);
    weir_buf b;
    weir_buf_init(&b, 1 << 26);
    weir_rc rc = weir_frame_open(&dec, frame, &head, &err);
    f->frame_kind = rc == WEIR_OK ? head.kind : f->frame_kind;
    f->frame_lsn = rc == WEIR_OK ? head.commit_lsn : f->frame_lsn;
    f->frame_xid = rc == WEIR_OK ? head.xid : f->frame_xid;
    if (rc == WEIR_OK && head.kind == WEIR_FRAME_TX && head.part == 0) {
        if (head.commit_lsn <= f->last_commit) {
            say(f, "ERROR: a transaction came twice or out of order");
            rc = WEIR_E_PROTO;
        }
        f->last_commit = head.commit_lsn;
    }
    while (rc == WEIR_OK) {
        rc = weir_frame_next(&dec, a, &ev, &err);
        if (rc == WEIR_OK) {
            f->events++;
            if (f->on_event) {
                f->on_event(f->arg, f, ev.rel < 4096 ? f->rels[ev.rel] : NULL, &ev);
            }
            if (!f->count_only) {
                put_event(f, &b, &ev);
                add(f, &b);
            } else {
                weir_arena_reset(a);
            }
        }
    }
    if (rc == WEIR_E_EOF && head.kind == WEIR_FRAME_TX && head.last) {
        f->commits++;
        if (!f->count_only) {
            say(f, "C");
        }
    }
    f->frames++;
    weir_buf_fini(&b);
    weir_arena_free(a);
    return rc == WEIR_E_EOF;
}

static bool take(feedlines *f, const weir_feed_reply *r)
{
    weir_error err;
    for (size_t i = 0; i < r->nrelations; i++) {
        weir_relation *rel = weir_arena_zalloc(f->rels_arena, sizeof *rel);
        if (weir_relation_decode(weir_arena_dup(f->rels_arena, r->relations[i]), f->rels_arena, rel,
                                 &err) != WEIR_OK ||
            rel->version >= 4096) {
            return false;
        }
        f->rels[rel->version] = rel;
        f->known = rel->version > f->known ? rel->version : f->known;
    }
    for (size_t i = 0; i < r->nframes; i++) {
        if (!read_frame(f, r->frames[i])) {
            return false;
        }
    }
    f->at = r->next;
    f->head = r->head;
    return true;
}

bool feedlines_until(feedlines *f, uint64_t lsn, int64_t ms)
{
    int64_t end = weir_mono_ms() + ms * weir_test_timeout_x();
    weir_arena *a = weir_arena_new(0);
    bool ok = true;
    while (ok && (f->at.at.lsn < lsn || weir_cursor_cmp(f->at.at, f->head) < 0)) {
        weir_arena_reset(a);
        weir_feed_req req = {.op = WEIR_FEED_FETCH,
                             .has_after = true,
                             .after = f->at,
                             .max_bytes = f->max_bytes,
                             .wait_ms = 500,
                             .known = f->known};
        weir_feed_reply r;
        if (!bridgeproc_call(f->b, &req, a, &r)) {
            say(f, "ERROR: no answer");
            ok = false;
        } else if (!r.ok) {
            bool later = weir_slice_eqz(r.code, "notready");
            if (!later) {
                say(f, weir_arena_printf(a, "REFUSED %.*s", WEIR_SLICE_ARG(r.code)));
            }
            ok = later;
        } else {
            ok = take(f, &r);
        }
        if (weir_mono_ms() > end) {
            ok = false;
        }
    }
    weir_arena_free(a);
    return ok;
}

char *feedlines_text(const feedlines *f, bool all)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 28);
    for (size_t i = 0; i < f->n; i++) {
        const char *l = f->line[i];
        if (all || (strncmp(l, "RANGE", 5) != 0 && strncmp(l, "COPIED", 6) != 0 &&
                    strncmp(l, "Y ", 2) != 0)) {
            weir_buf_printf(&b, "%s\n", l);
        }
    }
    weir_buf_u8(&b, 0);
    return weir_buf_take(&b, &(size_t){0});
}
