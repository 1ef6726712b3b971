/* pg_lock.c - advisory locks of a session, by name. */
#include "libweir/io/pg_lock.h"

#include <poll.h>

#include "libweir/base/clock.h"

static weir_rc try_lock(weir_pg *pg, const weir_pg_lock_conf *conf, bool *taken, weir_error *err)
{
    const char *params[] = {conf->kind, conf->name};
    weir_pg_rows *rows = NULL;
    weir_rc rc =
        weir_pg_query(pg, "SELECT pg_try_advisory_lock(hashtextextended($1 || ' ' || $2, 0))", 2,
                      params, &rows, err);
    *taken = rc == WEIR_OK && weir_slice_eqz(weir_pg_value(rows, 0, 0), "t");
    weir_pg_rows_free(rows);
    return rc;
}

static bool rest(const weir_pg_lock_conf *conf)
{
    return conf->rest ? conf->rest(conf->arg) : poll(NULL, 0, WEIR_PG_LOCK_STEP_MS) <= 0;
}

weir_rc weir_pg_lock(weir_pg *pg, const weir_pg_lock_conf *conf, weir_error *err)
{
    bool taken = false;
    int64_t end = weir_mono_ms() + conf->wait_ms;
    weir_rc rc = try_lock(pg, conf, &taken, err);
    while (rc == WEIR_OK && !taken) {
        if (weir_mono_ms() >= end || !rest(conf)) {
            return weir_fail(err, WEIR_E_CONFLICT, 0, "another session holds the lock");
        }
        rc = try_lock(pg, conf, &taken, err);
    }
    return rc;
}
