/* folder.c - which files are complete, which are loaded, and what becomes of them then.
 *
 * What this process knows of a file, by name: since when it looks as it does, or that there is
 * nothing more to do with it as long as it looks so. The truth about what is loaded is in the
 * database.
 */
#include "migrations/lake/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/base/log.h"
#include "libweir/base/map.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/pg_lock.h"
#include "migrations/crawler/crawler.h"
#include "migrations/lake/disk.h"
#include "migrations/lake/load.h"
#include "migrations/lake/watch.h"

extern const char weir_sql_lake_schema[];

enum { KNOWN_MAX = 1000000, HASH_BLOCK_BYTES = 1 << 20, LOCK_WAIT_MS = 2000 };

typedef struct known {
    char stamp[120];
    int64_t since_ms;
    bool over;     /* loaded and kept, or refused: nothing to do while the stamp stays */
    uint64_t look; /* the last look that saw it */
} known;

struct lake_folder {
    lake_folder_conf conf;
    const char **patterns;
    lake_table *tables; /* of conf.files */
    weir_arena *tables_arena;
    weir_pg *pg;
    lake_watch *watch;
    weir_map *known;
    atomic_bool stop;
    lake_folder_counts counts;
    uint64_t look;
    int64_t next_look_ms; /* something becomes stable then */
    bool pending;         /* a turn ended before it saw everything */
};

/* --- open ------------------------------------------------------------------------------------- */

static weir_rc schema(weir_pg *pg, weir_error *err)
{
    weir_rc rc = crw_schema(pg, err);
    return rc == WEIR_OK ? crw_schema_part(pg, weir_sql_lake_schema, err) : rc;
}

static weir_rc take_lock(lake_folder *f, weir_error *err)
{
    const weir_pg_lock_conf conf = {"weir_sync.file", f->conf.flow, LOCK_WAIT_MS, NULL, NULL};
    weir_rc rc = weir_pg_lock(f->pg, &conf, err);
    return rc == WEIR_E_CONFLICT
               ? weir_fail(err, rc, WEIR_EF_RETRY,
                           "the flow \"%s\" loads files into this database elsewhere; stop it "
                           "there first",
                           f->conf.flow)
               : rc;
}

static weir_rc check_key(const lake_files *how, const lake_table *t, weir_error *err)
{
    for (size_t i = 0; how->upsert && i < t->n; i++) {
        if (t->cols[i].key > 0) {
            return WEIR_OK;
        }
    }
    return how->upsert ? weir_fail(err, WEIR_E_INPUT, 0, "%s has no primary key: upsert needs one",
                                   t->quoted)
                       : WEIR_OK;
}

static weir_rc read_tables(lake_folder *f, weir_error *err)
{
    weir_arena_reset(f->tables_arena);
    for (size_t i = 0; i < f->conf.nfiles; i++) {
        const lake_files *how = &f->conf.files[i];
        weir_rc rc =
            lake_table_read(f->pg, how->schema, how->table, f->tables_arena, &f->tables[i], err);
        if (rc == WEIR_OK) {
            rc = check_key(how, &f->tables[i], err);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc connect_target(lake_folder *f, weir_error *err)
{
    weir_pg_conf conf = {.uri = f->conf.uri,
                         .application_name = "weir-sync files",
                         .options = "-c synchronous_commit=on -c statement_timeout=0"};
    if (f->pg && weir_pg_alive(f->pg)) {
        return WEIR_OK;
    }
    weir_pg_close(f->pg);
    f->pg = NULL;
    weir_rc rc = weir_pg_open(&f->pg, &conf, err);
    if (rc == WEIR_OK) {
        rc = schema(f->pg, err);
    }
    if (rc == WEIR_OK) {
        rc = take_lock(f, err);
    }
    if (rc == WEIR_OK) {
        rc = read_tables(f, err);
    }
    if (rc != WEIR_OK) {
        weir_pg_close(f->pg);
        f->pg = NULL;
    }
    return rc;
}

static void defaults(lake_folder_conf *c)
{
    c->stable_ms = c->stable_ms ? c->stable_ms : 3000;
    c->scan_ms = c->scan_ms ? c->scan_ms : 10000;
}

weir_rc lake_folder_open(lake_folder **out, const lake_folder_conf *conf, weir_error *err)
{
    lake_folder *f = weir_xcalloc(1, sizeof *f);
    f->conf = *conf;
    defaults(&f->conf);
    f->patterns = weir_xcalloc(conf->nfiles + 1, sizeof *f->patterns);
    f->tables = weir_xcalloc(conf->nfiles + 1, sizeof *f->tables);
    f->tables_arena = weir_arena_new(0);
    f->known = weir_map_new();
    for (size_t i = 0; i < conf->nfiles; i++) {
        f->patterns[i] = conf->files[i].pattern;
    }
    weir_rc rc = lake_watch_open(&f->watch, conf->dir, err);
    if (rc == WEIR_OK && conf->after == LAKE_MOVE) {
        rc = lake_mkdirs_synced(conf->move_to, err);
    }
    if (rc == WEIR_OK) {
        rc = connect_target(f, err);
    }
    if (rc != WEIR_OK) {
        lake_folder_close(f);
        return rc;
    }
    *out = f;
    return WEIR_OK;
}

static void forget_known(lake_folder *f)
{
    weir_map_iter it = {0};
    while (weir_map_next(f->known, &it)) {
        free(it.value);
    }
    weir_map_clear(f->known);
}

void lake_folder_close(lake_folder *f)
{
    if (!f) {
        return;
    }
    forget_known(f);
    weir_map_free(f->known);
    weir_pg_close(f->pg);
    lake_watch_close(f->watch);
    weir_arena_free(f->tables_arena);
    free(f->tables);
    free(f->patterns);
    free(f);
}

/* --- one file --------------------------------------------------------------------------------- */

static known *known_of(lake_folder *f, const char *name, const char *stamp)
{
    bool created;
    if (weir_map_len(f->known) >= KNOWN_MAX && !weir_map_has(f->known, weir_slice_z(name))) {
        forget_known(f); /* costs another look into the database per file, no more */
    }
    void **slot = weir_map_slot(f->known, weir_slice_z(name), &created);
    if (created) {
        *slot = weir_xcalloc(1, sizeof(known));
    }
    known *k = *slot;
    if (strcmp(k->stamp, stamp) != 0) {
        *k = (known){.since_ms = weir_mono_ms()};
        (void)snprintf(k->stamp, sizeof k->stamp, "%s", stamp);
    }
    k->look = f->look;
    return k;
}

static bool has_done_file(const lake_found *x)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s.done", x->path);
    return access(path, F_OK) == 0;
}

static bool is_complete(lake_folder *f, const lake_found *x, const known *k)
{
    int64_t ready;
    switch (f->conf.complete) {
    case LAKE_RENAMED: return true;
    case LAKE_DONE_FILE: return has_done_file(x);
    case LAKE_STABLE: break;
    }
    ready = k->since_ms + f->conf.stable_ms;
    if (weir_mono_ms() >= ready) {
        return true;
    }
    if (ready < f->next_look_ms) {
        f->next_look_ms = ready;
    }
    return false;
}

static weir_rc hash_file(int fd, char hex[33], weir_error *err)
{
    char *block = weir_xmalloc(HASH_BLOCK_BYTES);
    weir_hasher *h = weir_hasher_new();
    weir_rc rc = WEIR_OK;
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(fd, block, HASH_BLOCK_BYTES, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            rc = n < 0 ? weir_fail_errno(err, "cannot read it") : WEIR_OK;
            break;
        }
        weir_hasher_add(h, weir_slice_of(block, (size_t)n));
        at += n;
    }
    weir_hash128_hex(weir_hasher_get(h), hex);
    weir_hasher_free(h);
    free(block);
    return rc;
}

/* Loaded before, and the stamp says that it is still the same file: no need to read it. */
static weir_rc was_loaded(lake_folder *f, const char *name, const char *stamp, bool *loaded,
                          weir_error *err)
{
    const char *params[] = {f->conf.flow, name, stamp};
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(f->pg,
                               "SELECT 1 FROM weir_sync.file WHERE flow = $1 AND name = $2"
                               " AND stamp = $3 AND done_at IS NOT NULL",
                               3, params, &rows, err);
    if (rc == WEIR_OK) {
        *loaded = weir_pg_nrows(rows) > 0;
        weir_pg_rows_free(rows);
    }
    return rc;
}

/* To move_to/name; a file of that name that is there gets company, never replaced. */
static weir_rc move_away(const lake_folder *f, const lake_found *x, const char *hash,
                         weir_error *err)
{
    char to[4096], folder[4096];
    weir_rc rc;
    (void)snprintf(to, sizeof to, "%s/%s", f->conf.move_to, x->name);
    (void)snprintf(folder, sizeof folder, "%s", to);
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    rc = lake_mkdirs_synced(folder, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (renameat2(AT_FDCWD, x->path, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return WEIR_OK;
    }
    if (errno == EEXIST) {
        (void)snprintf(to, sizeof to, "%s/%s.%.12s", f->conf.move_to, x->name, hash);
        if (rename(x->path, to) == 0) {
            return WEIR_OK;
        }
    }
    return errno == EXDEV ? weir_fail(err, WEIR_E_INPUT, 0,
                                      "move_to (%s) is on another file system than the folder; "
                                      "choose one on the same",
                                      f->conf.move_to)
                          : lake_fail_disk(err, "cannot move %s to %s", x->path, to);
}

/* Somebody may have put another file under the name since it was opened: that one stays. */
static bool is_same(const char *path, int fd)
{
    struct stat now, then;
    return stat(path, &now) == 0 && fstat(fd, &then) == 0 && now.st_dev == then.st_dev &&
           now.st_ino == then.st_ino && now.st_size == then.st_size &&
           now.st_mtim.tv_sec == then.st_mtim.tv_sec && now.st_mtim.tv_nsec == then.st_mtim.tv_nsec;
}

static weir_rc put_away(const lake_folder *f, const lake_found *x, int fd, const char *hash,
                        weir_error *err)
{
    char done[4096];
    weir_rc rc = WEIR_OK;
    if (f->conf.after == LAKE_KEEP || !is_same(x->path, fd)) {
        return WEIR_OK;
    }
    if (f->conf.complete == LAKE_DONE_FILE) {
        (void)snprintf(done, sizeof done, "%s.done", x->path);
        (void)unlink(done);
    }
    if (f->conf.after == LAKE_MOVE) {
        rc = move_away(f, x, hash, err);
    } else if (unlink(x->path) != 0 && errno != ENOENT) {
        rc = weir_fail_errno(err, "cannot delete %s", x->path);
    }
    return rc;
}

static weir_rc load_open(lake_folder *f, const lake_found *x, lake_job *job, weir_error *err)
{
    weir_rc rc = hash_file(job->fd, job->hash, err);
    char again[120];
    uint64_t size;
    if (rc == WEIR_OK && strcmp(lake_stamp_of(job->fd, &size, again), job->stamp) != 0) {
        return weir_fail(err, WEIR_E_AGAIN, 0, "it is still being written");
    }
    if (rc == WEIR_OK) {
        rc = lake_load(f->pg, job, err);
    }
    if (rc == WEIR_OK) {
        WEIR_INFO("LAKE-LOADED", "file=%s bytes=%" PRIu64 " table=%s", x->name, job->size,
                  job->table->quoted);
        atomic_fetch_add(&f->counts.files, 1);
        if (f->conf.step) {
            f->conf.step(f->conf.step_arg, "loaded");
        }
    }
    return rc;
}

/* Neither the connection nor a thing that passes. */
static bool is_of_file(const lake_folder *f, weir_rc rc, const weir_error *err)
{
    return (rc == WEIR_E_INPUT || rc == WEIR_E_LIMIT || rc == WEIR_E_SYS) && weir_pg_ok(f->pg) &&
           !(err->flags & WEIR_EF_RETRY);
}

/* WEIR_OK also for a file that is refused: told here, and not touched again as long as it looks so.
 */
static weir_rc one_file(lake_folder *f, const lake_found *x, weir_error *err)
{
    char stamp[120];
    bool loaded = false;
    lake_job job = {.conf = &f->conf,
                    .how = &f->conf.files[x->rule],
                    .table = &f->tables[x->rule],
                    .counts = &f->counts,
                    .stop = &f->stop,
                    .name = x->name,
                    .stamp = stamp};
    job.fd = open(x->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (job.fd < 0) {
        if (errno != ENOENT) {
            WEIR_WARN("LAKE-OPEN", "file=%s errno=%d", x->name, errno);
        }
        return WEIR_OK;
    }
    (void)lake_stamp_of(job.fd, &job.size, stamp);
    known *k = known_of(f, x->name, stamp);
    weir_rc rc = WEIR_OK;
    if (!k->over && is_complete(f, x, k)) {
        rc = was_loaded(f, x->name, stamp, &loaded, err);
        if (rc == WEIR_OK && (!loaded || f->conf.after == LAKE_MOVE)) {
            rc = loaded ? hash_file(job.fd, job.hash, err) : load_open(f, x, &job, err);
        }
        if (rc == WEIR_OK) {
            rc = put_away(f, x, job.fd, job.hash, err);
        }
        k->over = rc == WEIR_OK;
        if (rc == WEIR_E_AGAIN) {
            rc = WEIR_OK;
        } else if (is_of_file(f, rc, err)) {
            WEIR_ERROR("LAKE-REFUSED", "file=%s %s", x->name, err->msg);
            atomic_fetch_add(&f->counts.refused, 1);
            k->over = true;
            rc = WEIR_OK;
        }
    }
    (void)close(job.fd);
    return rc;
}

/* --- a look ----------------------------------------------------------------------------------- */

/* Files that are gone need no memory; their names may come again with other content. */
static void forget_gone(lake_folder *f)
{
    weir_map_iter it = {0};
    size_t gone = 0;
    while (weir_map_next(f->known, &it)) {
        gone += ((known *)it.value)->look != f->look;
    }
    if (gone == 0) {
        return;
    }
    weir_map *keep = weir_map_new();
    it = (weir_map_iter){0};
    while (weir_map_next(f->known, &it)) {
        if (((known *)it.value)->look == f->look) {
            *weir_map_slot(keep, it.key, NULL) = it.value;
        } else {
            free(it.value);
        }
    }
    weir_map_free(f->known);
    f->known = keep;
}

weir_rc lake_folder_turn(lake_folder *f, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    lake_found *found = NULL;
    size_t n = 0, done = 0;
    bool more = false;
    f->look++;
    f->pending = true;
    f->next_look_ms = weir_mono_ms() + f->conf.scan_ms;
    weir_rc rc = connect_target(f, err);
    if (rc == WEIR_OK) {
        rc = lake_look(f->conf.dir, f->patterns, f->conf.nfiles, a, &found, &n, &more, err);
    }
    for (; done < n && rc == WEIR_OK && !atomic_load(&f->stop); done++) {
        rc = one_file(f, &found[done], err);
    }
    if (more) {
        WEIR_WARN("LAKE-MANY", "folder=%s more than %d files; move or delete what is loaded",
                  f->conf.dir, LAKE_LOOK_MAX);
    }
    if (rc == WEIR_OK && done == n && !more) {
        forget_gone(f);
        f->pending = false;
    }
    size_t waiting = n - done;
    weir_map_iter it = {0};
    while (weir_map_next(f->known, &it)) {
        waiting += !((known *)it.value)->over;
    }
    atomic_store(&f->counts.waiting, waiting);
    free(found);
    weir_arena_free(a);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

void lake_folder_wait(lake_folder *f, int64_t max_ms)
{
    int64_t ms = f->next_look_ms - weir_mono_ms();
    if (atomic_load(&f->stop) || ms <= 0) {
        return;
    }
    lake_watch_wait(f->watch, ms < max_ms ? ms : max_ms);
}

void lake_folder_stop(lake_folder *f)
{
    atomic_store(&f->stop, true);
    lake_watch_wake(f->watch);
}

const lake_folder_counts *lake_folder_progress(const lake_folder *f)
{
    return &f->counts;
}
