/* conflict.c - the table of conflicts and policies. */
#include "migrations/sync/conflict.h"

const char *sync_conflict_name(sync_conflict_kind k)
{
    static const char *const names[] = {"none",           "insert_exists",  "update_origin_differs",
                                        "update_missing", "update_deleted", "delete_origin_differs",
                                        "delete_missing"};
    return names[k];
}

bool sync_conflict_real(sync_conflict_kind k)
{
    return k == SYNC_INSERT_EXISTS || k == SYNC_UPDATE_ORIGIN_DIFFERS || k == SYNC_UPDATE_DELETED ||
           k == SYNC_DELETE_ORIGIN_DIFFERS;
}

sync_conflict_kind sync_conflict_find(sync_change change, const sync_local *local)
{
    switch (change) {
    case SYNC_CHANGE_INSERT:
        if (local->there) {
            return local->unknown ? SYNC_INSERT_EXISTS : SYNC_NO_CONFLICT;
        }
        return local->deleted && local->unknown ? SYNC_UPDATE_DELETED : SYNC_NO_CONFLICT;
    case SYNC_CHANGE_UPDATE:
        if (local->there) {
            return local->unknown ? SYNC_UPDATE_ORIGIN_DIFFERS : SYNC_NO_CONFLICT;
        }
        return local->deleted && local->unknown ? SYNC_UPDATE_DELETED : SYNC_UPDATE_MISSING;
    case SYNC_CHANGE_DELETE:
        if (local->there) {
            return local->unknown ? SYNC_DELETE_ORIGIN_DIFFERS : SYNC_NO_CONFLICT;
        }
        return local->deleted ? SYNC_NO_CONFLICT : SYNC_DELETE_MISSING;
    }
    return SYNC_NO_CONFLICT;
}

static sync_verdict by_time(const sync_local *local, int64_t remote_us, bool from_source, bool last)
{
    if (!local->has_time) {
        return SYNC_APPLY; /* older than anything that is remembered */
    }
    if (remote_us == local->us) {
        return from_source ? SYNC_APPLY : SYNC_KEEP;
    }
    return (remote_us > local->us) == last ? SYNC_APPLY : SYNC_KEEP;
}

sync_verdict sync_conflict_decide(const sync_rules *r, sync_conflict_kind kind,
                                  const sync_local *local, int64_t remote_us, bool from_source)
{
    if (kind == SYNC_NO_CONFLICT) {
        return SYNC_APPLY;
    }
    if (!sync_conflict_real(kind)) {
        return r->missing == SYNC_MISSING_ERROR                                 ? SYNC_STOP
               : r->missing == SYNC_MISSING_SKIP || kind == SYNC_DELETE_MISSING ? SYNC_KEEP
                                                                                : SYNC_APPLY;
    }
    switch (r->policy) {
    case SYNC_ERROR: return SYNC_STOP;
    case SYNC_APPLY_REMOTE: return SYNC_APPLY;
    case SYNC_KEEP_LOCAL: return SYNC_KEEP;
    case SYNC_LAST_UPDATE_WINS: return by_time(local, remote_us, from_source, true);
    case SYNC_FIRST_UPDATE_WINS: return by_time(local, remote_us, from_source, false);
    case SYNC_PRIORITY: return r->source_wins == from_source ? SYNC_APPLY : SYNC_KEEP;
    case SYNC_FUNCTION: return SYNC_ASK;
    }
    return SYNC_STOP;
}
