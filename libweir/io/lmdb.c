/* lmdb.c - LMDB behind weir_lmdb: a locked folder, one writer, short readers (MDB_NOTLS), return
 * codes mapped. */
#include "libweir/io/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"

struct weir_lmdb {
    MDB_env *env;
    int lock_fd;
};

struct weir_lmdb_txn {
    MDB_txn *txn;
};

struct weir_lmdb_cursor {
    MDB_cursor *cursor;
};

static weir_rc fail(weir_error *err, int k, const char *what)
{
    switch (k) {
    case MDB_MAP_FULL:
        return weir_fail(err, WEIR_E_LIMIT, 0,
                         "%s: the map is full; raise its size in the configuration", what);
    case MDB_TXN_FULL:
    case MDB_READERS_FULL:
    case MDB_DBS_FULL: return weir_fail(err, WEIR_E_LIMIT, 0, "%s: %s", what, mdb_strerror(k));
    case MDB_BAD_VALSIZE:
        return weir_fail(err, WEIR_E_INPUT, 0, "%s: a key has 1 to %d bytes", what,
                         WEIR_LMDB_MAX_KEY);
    case ENOSPC:
        return weir_fail(err, WEIR_E_LIMIT, WEIR_EF_RETRY, "%s: no space left on the device", what);
    default: return weir_fail(err, WEIR_E_SYS, 0, "%s: %s", what, mdb_strerror(k));
    }
}

static weir_rc lock_folder(const char *dir, int *out, weir_error *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/weir.lock", dir);
    if (n < 0 || (size_t)n >= sizeof path) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the path of the data folder is too long");
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return weir_fail_errno(err, "%s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool held = errno == EWOULDBLOCK;
        weir_rc rc =
            held ? weir_fail(err, WEIR_E_CONFLICT, 0, "%s is in use by another process", dir)
                 : weir_fail_errno(err, "lock %s", path);
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return WEIR_OK;
}

weir_rc weir_lmdb_open(weir_lmdb **out, const char *dir, size_t map_bytes, unsigned max_dbs,
                       bool sync, weir_error *err)
{
    *out = NULL;
    int fd = -1;
    MDB_env *env = NULL;
    weir_rc rc = weir_mkdirs(dir, 0700, err);
    if (rc == WEIR_OK) {
        rc = lock_folder(dir, &fd, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    int k = mdb_env_create(&env);
    if (k == 0) {
        k = mdb_env_set_mapsize(env, map_bytes);
    }
    if (k == 0) {
        k = mdb_env_set_maxdbs(env, max_dbs);
    }
    if (k == 0) {
        k = mdb_env_open(env, dir, MDB_NOTLS | MDB_NOMEMINIT | (sync ? 0u : (unsigned)MDB_NOSYNC),
                         0600);
    }
    if (k == 0) {
        int dead = 0;
        k = mdb_reader_check(env, &dead); /* slots of killed readers would pin old pages for ever */
    }
    if (k != 0) {
        rc = fail(err, k, dir);
        mdb_env_close(env);
        (void)close(fd);
        return rc;
    }
    weir_lmdb *e = weir_xcalloc(1, sizeof *e);
    e->env = env;
    e->lock_fd = fd;
    *out = e;
    return WEIR_OK;
}

void weir_lmdb_close(weir_lmdb *e)
{
    if (e) {
        mdb_env_close(e->env);
        (void)close(e->lock_fd);
        free(e);
    }
}

weir_rc weir_lmdb_db_open(weir_lmdb *e, const char *name, weir_lmdb_db *out, weir_error *err)
{
    MDB_txn *txn = NULL;
    int k = mdb_txn_begin(e->env, NULL, 0, &txn);
    if (k != 0) {
        return fail(err, k, name);
    }
    MDB_dbi dbi = 0;
    k = mdb_dbi_open(txn, name, MDB_CREATE, &dbi);
    if (k != 0) {
        mdb_txn_abort(txn);
        return fail(err, k, name);
    }
    k = mdb_txn_commit(txn);
    if (k != 0) {
        return fail(err, k, name);
    }
    *out = dbi;
    return WEIR_OK;
}

weir_rc weir_lmdb_sync(weir_lmdb *e, weir_error *err)
{
    int k = mdb_env_sync(e->env, 1);
    return k == 0 ? WEIR_OK : fail(err, k, "sync");
}

/* Pages that were freed and wait to be used again; LMDB keeps their lists in its database 0. */
static size_t free_pages(MDB_env *env)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cur = NULL;
    size_t pages = 0;
    if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0) {
        return 0;
    }
    if (mdb_cursor_open(txn, 0, &cur) == 0) {
        MDB_val key;
        MDB_val val;
        while (mdb_cursor_get(cur, &key, &val, MDB_NEXT) == 0) {
            size_t n = 0;
            if (val.mv_size >= sizeof n) {
                memcpy(&n, val.mv_data, sizeof n);
                pages += n;
            }
        }
        mdb_cursor_close(cur);
    }
    mdb_txn_abort(txn);
    return pages;
}

size_t weir_lmdb_used_bytes(weir_lmdb *e)
{
    MDB_envinfo info;
    MDB_stat st;
    if (mdb_env_info(e->env, &info) != 0 || mdb_env_stat(e->env, &st) != 0) {
        return 0;
    }
    size_t pages = info.me_last_pgno + 1;
    size_t unused = free_pages(e->env);
    return (pages > unused ? pages - unused : 0) * st.ms_psize;
}

void weir_lmdb_forget(weir_slice value)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)value.p + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)value.p + value.n) & ~(page - 1);
    if (value.n > 0 && to > from) {
        /* A shared mapping of a file: nothing is lost. Failure costs memory only. */
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
    }
}

weir_rc weir_lmdb_begin(weir_lmdb *e, bool write, weir_lmdb_txn **out, weir_error *err)
{
    *out = NULL;
    MDB_txn *txn = NULL;
    int k = mdb_txn_begin(e->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (k != 0) {
        return fail(err, k, "begin");
    }
    weir_lmdb_txn *t = weir_xcalloc(1, sizeof *t);
    t->txn = txn;
    *out = t;
    return WEIR_OK;
}

weir_rc weir_lmdb_commit(weir_lmdb_txn *t, weir_error *err)
{
    int k = mdb_txn_commit(t->txn);
    free(t);
    return k == 0 ? WEIR_OK : fail(err, k, "commit");
}

void weir_lmdb_abort(weir_lmdb_txn *t)
{
    if (t) {
        mdb_txn_abort(t->txn);
        free(t);
    }
}

static MDB_val val_of(weir_slice s)
{
    MDB_val v = {s.n, (void *)(uintptr_t)s.p};
    return v;
}

static weir_slice slice_of(MDB_val v)
{
    return (weir_slice){v.mv_data, v.mv_size};
}

static bool key_ok(weir_slice key)
{
    return key.n > 0 && key.n <= WEIR_LMDB_MAX_KEY;
}

weir_rc weir_lmdb_get(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key, weir_slice *value,
                      weir_error *err)
{
    *value = (weir_slice){NULL, 0};
    if (!key_ok(key)) {
        return fail(err, MDB_BAD_VALSIZE, "get");
    }
    MDB_val k = val_of(key);
    MDB_val v;
    int rc = mdb_get(t->txn, db, &k, &v);
    if (rc == MDB_NOTFOUND) {
        return WEIR_E_NOTFOUND;
    }
    if (rc != 0) {
        return fail(err, rc, "get");
    }
    *value = slice_of(v);
    return WEIR_OK;
}

static weir_rc put(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key, weir_slice value,
                   unsigned flags, weir_error *err)
{
    if (!key_ok(key)) {
        return fail(err, MDB_BAD_VALSIZE, "put");
    }
    MDB_val k = val_of(key);
    MDB_val v = val_of(value);
    int rc = mdb_put(t->txn, db, &k, &v, flags);
    if (rc == MDB_KEYEXIST) {
        return weir_fail(err, WEIR_E_CONFLICT, 0, "append: the key is not greater than all others");
    }
    return rc == 0 ? WEIR_OK : fail(err, rc, "put");
}

weir_rc weir_lmdb_put(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key, weir_slice value,
                      weir_error *err)
{
    return put(t, db, key, value, 0, err);
}

weir_rc weir_lmdb_append(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key, weir_slice value,
                         weir_error *err)
{
    return put(t, db, key, value, MDB_APPEND, err);
}

weir_rc weir_lmdb_del(weir_lmdb_txn *t, weir_lmdb_db db, weir_slice key, weir_error *err)
{
    if (!key_ok(key)) {
        return fail(err, MDB_BAD_VALSIZE, "delete");
    }
    MDB_val k = val_of(key);
    int rc = mdb_del(t->txn, db, &k, NULL);
    if (rc == MDB_NOTFOUND) {
        return WEIR_E_NOTFOUND;
    }
    return rc == 0 ? WEIR_OK : fail(err, rc, "delete");
}

weir_rc weir_lmdb_drop(weir_lmdb_txn *t, weir_lmdb_db db, weir_error *err)
{
    int rc = mdb_drop(t->txn, db, 0);
    return rc == 0 ? WEIR_OK : fail(err, rc, "empty");
}

size_t weir_lmdb_count(weir_lmdb_txn *t, weir_lmdb_db db)
{
    MDB_stat st;
    return mdb_stat(t->txn, db, &st) == 0 ? st.ms_entries : 0;
}

weir_rc weir_lmdb_cursor_open(weir_lmdb_txn *t, weir_lmdb_db db, weir_lmdb_cursor **out,
                              weir_error *err)
{
    *out = NULL;
    MDB_cursor *cur = NULL;
    int rc = mdb_cursor_open(t->txn, db, &cur);
    if (rc != 0) {
        return fail(err, rc, "cursor");
    }
    weir_lmdb_cursor *c = weir_xcalloc(1, sizeof *c);
    c->cursor = cur;
    *out = c;
    return WEIR_OK;
}

void weir_lmdb_cursor_close(weir_lmdb_cursor *c)
{
    if (c) {
        mdb_cursor_close(c->cursor);
        free(c);
    }
}

static weir_rc move(weir_lmdb_cursor *c, MDB_cursor_op op, weir_slice at, weir_slice *key,
                    weir_slice *value)
{
    MDB_val k = val_of(at);
    MDB_val v = {0, NULL};
    int rc = mdb_cursor_get(c->cursor, &k, &v, op);
    if (rc != 0) {
        *key = (weir_slice){NULL, 0};
        *value = (weir_slice){NULL, 0};
        return rc == MDB_NOTFOUND || rc == EINVAL ? WEIR_E_NOTFOUND : WEIR_E_SYS;
    }
    *key = slice_of(k);
    *value = slice_of(v);
    return WEIR_OK;
}

weir_rc weir_lmdb_seek(weir_lmdb_cursor *c, weir_slice at, weir_slice *key, weir_slice *value)
{
    if (at.n == 0) {
        return move(c, MDB_FIRST, at, key,
                    value); /* LMDB refuses empty keys; every key is >= the empty one */
    }
    return move(c, MDB_SET_RANGE, at, key, value);
}

weir_rc weir_lmdb_next(weir_lmdb_cursor *c, weir_slice *key, weir_slice *value)
{
    return move(c, MDB_NEXT, (weir_slice){NULL, 0}, key, value);
}

weir_rc weir_lmdb_last(weir_lmdb_cursor *c, weir_slice *key, weir_slice *value)
{
    return move(c, MDB_LAST, (weir_slice){NULL, 0}, key, value);
}

weir_rc weir_lmdb_cursor_del(weir_lmdb_cursor *c, weir_error *err)
{
    int rc = mdb_cursor_del(c->cursor, 0);
    return rc == 0 ? WEIR_OK : fail(err, rc, "delete");
}
