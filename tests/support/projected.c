/* projected.c - what a projector left behind. */
#include "tests/support/projected.h"

#include "libweir/io/lmdb.h"
#include "tests/support/check.h"

enum { MAP_BYTES = 1 << 30, DATABASES = 16, EMIT_FLAGS_AT = 24 };

void projected_count(const char *dir, size_t *live, size_t *dead)
{
    weir_error err;
    weir_lmdb *env = NULL;
    weir_lmdb_db db;
    weir_lmdb_txn *t = NULL;
    weir_lmdb_cursor *c = NULL;
    weir_slice k;
    weir_slice v;
    assert_rc(WEIR_OK, weir_lmdb_open(&env, dir, MAP_BYTES, DATABASES, true, &err), &err);
    assert_rc(WEIR_OK, weir_lmdb_db_open(env, "emit", &db, &err), &err);
    assert_rc(WEIR_OK, weir_lmdb_begin(env, false, &t, &err), &err);
    assert_rc(WEIR_OK, weir_lmdb_cursor_open(t, db, &c, &err), &err);
    *live = *dead = 0;
    weir_rc got = weir_lmdb_seek(c, (weir_slice){NULL, 0}, &k, &v);
    for (; got == WEIR_OK; got = weir_lmdb_next(c, &k, &v)) {
        bool deleted = v.n > EMIT_FLAGS_AT && (v.p[EMIT_FLAGS_AT] & 1);
        *dead += deleted;
        *live += !deleted;
    }
    weir_lmdb_cursor_close(c);
    weir_lmdb_abort(t);
    weir_lmdb_close(env);
}

static bool is_write(weir_slice verb)
{
    static const char *const verbs[] = {"MULTI", "MSET", "SET", "UNLINK", "HSET", "PUBLISH"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (weir_slice_eqz(verb, verbs[i])) {
            return true;
        }
    }
    return false;
}

projected_writes projected_log(const weir_redis_reply *log, const char *document,
                               const char *position)
{
    projected_writes w = {.document = false};
    for (size_t i = 0; i < weir_redis_reply_len(log); i++) {
        const weir_redis_reply *words = weir_redis_reply_at(weir_redis_reply_at(log, i), 3);
        weir_slice verb = weir_redis_reply_str(weir_redis_reply_at(words, 0));
        w.first = is_write(verb) ? verb : w.first;
        if (weir_redis_reply_len(words) > 1) {
            weir_slice key = weir_redis_reply_str(weir_redis_reply_at(words, 1));
            w.document |= weir_slice_eqz(verb, "MSET") && weir_slice_eqz(key, document);
            w.position |= weir_slice_eqz(verb, "SET") && weir_slice_eqz(key, position);
        }
    }
    return w;
}
