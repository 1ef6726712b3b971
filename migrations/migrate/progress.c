/* progress.c - prints what a run does. */
#include "migrations/migrate/progress.h"

#include <stdio.h>

enum { BAR = 30 };

static bool on_bar; /* the terminal's line is unfinished */

void mig_progress_end(const mig_session *s)
{
    if (on_bar && s->terminal) {
        (void)printf("\n");
    }
    on_bar = false;
    (void)fflush(stdout);
}

void mig_progress_phase(const mig_session *s, mig_phase p)
{
    mig_progress_end(s);
    if (s->json) {
        (void)printf("{\"phase\":\"%s\"}\n", mig_phase_name(p));
    } else {
        (void)printf("phase %s\n", mig_phase_name(p));
    }
    (void)fflush(stdout);
}

static void bar(int64_t part, int64_t whole, const char *text)
{
    int n = whole > 0 ? (int)(part * BAR / whole) : BAR;
    n = n > BAR ? BAR : n;
    (void)printf("\r  [%.*s%.*s] %3d%% %s\033[K", n, "##############################", BAR - n,
                 "..............................", n * 100 / BAR, text);
    on_bar = true;
}

void mig_progress_copy(const mig_session *s, const crw_state *st)
{
    char text[400];
    if (s->json) {
        (void)printf("{\"phase\":\"copy\",\"rows\":%lld,\"rows_total\":%lld,\"bytes\":%lld,\"rows_"
                     "per_s\":%lld,\"eta_s\":%lld,\"tables_done\":%lld,\"tables\":%lld,"
                     "\"rejects\":%lld,\"paused\":%s}\n",
                     (long long)st->rows, (long long)st->rows_total, (long long)st->bytes,
                     (long long)st->rows_per_s, (long long)st->eta_s, (long long)st->tables_done,
                     (long long)st->tables, (long long)st->rejects, st->paused ? "true" : "false");
    } else {
        (void)snprintf(text, sizeof text,
                       "%lld of about %lld rows, %lld/s, %lld of %lld tables%s%s%s",
                       (long long)st->rows, (long long)st->rows_total, (long long)st->rows_per_s,
                       (long long)st->tables_done, (long long)st->tables,
                       st->paused ? ", paused" : "", st->waits[0] ? "; waits for " : "", st->waits);
        if (s->terminal) {
            bar(st->rows, st->rows_total, text);
        } else {
            (void)printf("  copy: %s\n", text);
        }
    }
    (void)fflush(stdout);
}

void mig_progress_live(const mig_session *s, const mig_state *st, uint64_t head)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    uint64_t lag = head > st->at.lsn ? head - st->at.lsn : 0;
    (void)weir_lsn_print(st->at.lsn, lsn);
    if (s->json) {
        (void)printf("{\"phase\":\"%s\",\"position\":\"%s\",\"lag_bytes\":%llu,\"changes\":%lld,"
                     "\"rejects\":%lld,\"paused\":%s}\n",
                     mig_phase_name(st->phase), lsn, (unsigned long long)lag,
                     (long long)st->changes, (long long)st->rejects, st->paused ? "true" : "false");
    } else {
        (void)printf("%s  %s: at %s, %llu bytes behind, %lld changes, %lld rejects%s%s",
                     s->terminal ? "\r" : "", mig_phase_name(st->phase), lsn,
                     (unsigned long long)lag, (long long)st->changes, (long long)st->rejects,
                     st->paused ? ", paused" : "", s->terminal ? "\033[K" : "\n");
        on_bar = s->terminal;
    }
    (void)fflush(stdout);
}

void mig_progress_verify(const mig_session *s, const char *table, int64_t rows, int64_t total)
{
    if (s->json) {
        return; /* the result is one object */
    }
    char text[200];
    (void)snprintf(text, sizeof text, "verify %s: %lld rows", table, (long long)rows);
    if (s->terminal) {
        bar(rows, total, text);
    } else {
        (void)printf("  %s\n", text);
    }
    (void)fflush(stdout);
}
