/* instep.c - waits until a copy is in step with its source, and costs the machine next to nothing
 * meanwhile.
 *
 * usage: instep SOURCE TARGET SQL PID MEMORY_FILE
 *
 * In step: SQL, asked in the target with a position of the source as $1, answers t within a second
 * of the moment the source was there; before that it must answer t for 0/0. What it cannot answer
 * yet counts as no. The most memory that PID and its children had of their own (not the file pages
 * of a log) goes into MEMORY_FILE, in MiB, when it is more than what stands there. Fails when PID
 * has ended, or after half an hour.
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

enum { LOOK_MS = 250, AGAIN_MS = 50, STEP_MS = 1000, LIMIT_MS = 1800 * 1000, TREE_MAX = 64 };

static int64_t now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
    struct timespec ts = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* --- memory ----------------------------------------------------------------------------------- */

static long number_after(const char *path, const char *word)
{
    char line[256];
    long sum = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        size_t n = strcspn(line, ":");
        if (strlen(word) == n && memcmp(line, word, n) == 0) {
            sum = strtol(line + n + 1, NULL, 10);
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return sum;
}

static size_t children(const char *path, long *pids, size_t n)
{
    FILE *f = fopen(path, "re");
    while (f && n < TREE_MAX && fscanf(f, "%ld", &pids[n]) == 1) {
        n++;
    }
    if (f) {
        (void)fclose(f);
    }
    return n;
}

/* Of a process and all below it; those of each thread are listed apart. */
static long tree_kib(long root)
{
    long pids[TREE_MAX] = {root}, kib = 0;
    char path[400];
    for (size_t i = 0, n = 1; i < n; i++) {
        (void)snprintf(path, sizeof path, "/proc/%ld/status", pids[i]);
        kib += number_after(path, "RssAnon") + number_after(path, "RssShmem");
        (void)snprintf(path, sizeof path, "/proc/%ld/task", pids[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            (void)snprintf(path, sizeof path, "/proc/%ld/task/%s/children", pids[i], e->d_name);
            n = e->d_name[0] == '.' ? n : children(path, pids, n);
        }
        if (d) {
            (void)closedir(d);
        }
    }
    return kib;
}

static void keep_most(const char *path, long mib)
{
    FILE *f = fopen(path, "r+e");
    char had[32] = "";
    if (f && fgets(had, sizeof had, f) && strtol(had, NULL, 10) < mib) {
        rewind(f);
        (void)fprintf(f, "%ld\n", mib);
    }
    if (f) {
        (void)fclose(f);
    }
}

/* --- positions -------------------------------------------------------------------------------- */

static bool asks_t(PGconn *target, const char *sql, const char *lsn)
{
    PGresult *r = PQexecParams(target, sql, 1, NULL, &lsn, NULL, NULL, 0);
    bool yes = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 &&
               strcmp(PQgetvalue(r, 0, 0), "t") == 0;
    PQclear(r);
    return yes;
}

static bool in_step(PGconn *source, PGconn *target, const char *sql)
{
    bool yes = false;
    if (!asks_t(target, sql, "0/0")) {
        return false;
    }
    PGresult *r = PQexec(source, "SELECT pg_current_wal_flush_lsn()");
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        int64_t end = now_ms() + STEP_MS;
        while (!(yes = asks_t(target, sql, PQgetvalue(r, 0, 0))) && now_ms() < end) {
            sleep_ms(AGAIN_MS);
        }
    }
    PQclear(r);
    return yes;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fprintf(stderr, "usage: instep SOURCE TARGET SQL PID MEMORY_FILE\n");
        return 2;
    }
    long pid = strtol(argv[4], NULL, 10);
    PGconn *source = PQconnectdb(argv[1]), *target = PQconnectdb(argv[2]);
    bool ok = PQstatus(source) == CONNECTION_OK && PQstatus(target) == CONNECTION_OK, in = false;
    if (!ok) {
        (void)fprintf(stderr, "instep: %s%s", PQerrorMessage(source), PQerrorMessage(target));
    }
    for (int64_t end = now_ms() + LIMIT_MS; ok && !in && now_ms() < end;) {
        ok = kill((pid_t)pid, 0) == 0;
        keep_most(argv[5], tree_kib(pid) / 1024);
        in = ok && in_step(source, target, argv[3]);
        if (!in) {
            sleep_ms(LOOK_MS);
        }
    }
    PQfinish(source);
    PQfinish(target);
    return in ? 0 : 1;
}
