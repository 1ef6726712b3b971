/* session.c - reading the mapping, connecting, checking, stop signals. */
#include "migrations/migrate/session.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "libweir/base/clock.h"

enum { PRINT_MAX_BYTES = 8 << 20, STATEMENT_WAIT_MS = 3600000 };

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

void mig_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGINT, &sa, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool mig_stopped(void)
{
    return stopped != 0;
}

void mig_pause_ms(int64_t ms)
{
    for (int64_t until = weir_mono_ms() + ms; !stopped && weir_mono_ms() < until;) {
        int64_t left = until - weir_mono_ms();
        (void)poll(NULL, 0, (int)(left < 100 ? (left > 0 ? left : 0) : 100));
    }
}

int mig_fail(const weir_error *err)
{
    (void)fprintf(stderr, "weir migrate: %s\n", err->msg);
    return 1;
}

static void print_problems(const mig_session *s)
{
    weir_buf b;
    weir_buf_init(&b, PRINT_MAX_BYTES);
    if (s->json) {
        weir_buf_printf(&b,
                        "{\"ok\":%s,\"errors\":%d,\"problems\":", s->m->nerrors ? "false" : "true",
                        s->m->nerrors);
        mig_problems_json(s->m, &b);
        weir_buf_putz(&b, "}\n");
        (void)fwrite(b.p, 1, b.n, stdout);
    } else {
        mig_problems_print(s->m, &b);
        (void)fwrite(b.n ? b.p : "", 1, b.n, stderr);
    }
    (void)fflush(stdout);
    weir_buf_fini(&b);
}

bool mig_session_read(mig_session *s, const char *path)
{
    weir_error err = {0};
    if (mig_mapping_read(s->a, path, &s->m, &err) != WEIR_OK) {
        (void)mig_fail(&err);
        return false;
    }
    if (s->m->nerrors) {
        print_problems(s);
        return false;
    }
    if (!s->feed) {
        s->feed = s->m->source_feed.z;
    }
    return true;
}

static weir_rc connect_to(const mig_session *s, bool source, bool read_only, weir_pg **out,
                          weir_error *err)
{
    weir_pg_conf conf = {.uri = source ? s->m->source_uri.z : s->m->target_uri.z,
                         .application_name =
                             weir_arena_printf(s->a, "weir-migrate %s", s->m->name.z),
                         .wait_max_ms = STATEMENT_WAIT_MS,
                         .options = read_only ? "-c default_transaction_read_only=on"
                                              : "-c default_transaction_read_only=off"};
    weir_rc rc = weir_pg_open(out, &conf, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the %s", source ? "source" : "target");
    }
    return rc;
}

weir_rc mig_connect(const mig_session *s, bool source, weir_pg **out, weir_error *err)
{
    return connect_to(s, source, false, out, err);
}

weir_rc mig_session_connect(mig_session *s, bool read_only, weir_error *err)
{
    weir_rc rc = connect_to(s, true, read_only, &s->source, err);
    return rc == WEIR_OK ? connect_to(s, false, read_only, &s->target, err) : rc;
}

void mig_session_disconnect(mig_session *s)
{
    weir_pg_close(s->source);
    weir_pg_close(s->target);
    s->source = s->target = NULL;
    s->m->nproblems = s->m->nerrors = 0;
}

weir_rc mig_session_check(mig_session *s, bool running, bool sample, weir_error *err)
{
    mig_check_opts opts = {.running = running, .sample = sample};
    weir_rc rc = mig_check(s->m, s->source, s->target, &opts, &s->plan, err);
    if (rc == WEIR_OK && s->m->nerrors) {
        print_problems(s);
        rc = weir_fail(err, WEIR_E_INPUT, 0, "%d problem%s; nothing was changed", s->m->nerrors,
                       s->m->nerrors == 1 ? "" : "s");
    } else if (rc == WEIR_OK && (s->json ? sample : s->m->nproblems)) {
        print_problems(s);
    }
    return rc;
}

void mig_session_close(mig_session *s)
{
    weir_pg_close(s->source);
    weir_pg_close(s->target);
    weir_arena_free(s->a);
}

int mig_dry_run(mig_session *s)
{
    weir_error err = {0};
    weir_rc rc = mig_session_connect(s, true, &err);
    rc = rc == WEIR_OK ? mig_session_check(s, false, true, &err) : rc;
    if (rc != WEIR_OK) {
        return mig_fail(&err);
    }
    for (int i = 0; !s->json && i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        (void)printf("  %-32s <- %-32s about %lld rows, %d columns%s%s\n", t->label, t->map->from.z,
                     (long long)t->src.rows, t->ncols, t->dst.found ? "" : ", to be made",
                     t->map->where.z ? ", filtered" : "");
    }
    if (!s->json) {
        (void)printf("no problems; nothing was changed. Begin with: weir migrate %s run\n",
                     s->m->file);
    }
    return 0;
}
