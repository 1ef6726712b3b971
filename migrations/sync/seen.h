/* seen.h - which of our transactions the other side had applied when it made the change at hand, by
 * their commit times.
 *
 * The other side's stream tells them back (origin), with the commit time each had here. Exact for
 * the newest ones; older ones are below the floor. Pure.
 */
#ifndef WEIR_MIGRATIONS_SYNC_SEEN_H
#define WEIR_MIGRATIONS_SYNC_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYNC_SEEN_SLOTS = 1 << 17, SYNC_SEEN_MAX = 1 << 16 };

typedef struct sync_seen {
    int64_t floor_us; /* everything up to here is known */
    int64_t newest_us;
    int64_t *ring; /* in order of arrival */
    size_t first, n;
    int64_t *slots; /* open addressing; 0 empty */
} sync_seen;

void sync_seen_init(sync_seen *s, int64_t floor_us);
void sync_seen_fini(sync_seen *s);
void sync_seen_add(sync_seen *s, int64_t commit_us);
bool sync_seen_has(const sync_seen *s, int64_t commit_us);
/* Everything seen lies at or below. */
int64_t sync_seen_newest(const sync_seen *s);
/* The same exactly, for a restart: the latest times, ascending, at most SYNC_SEEN_KEPT; what is
 * known lies at or below *floor_us, or is one of them. Commit times are no order: a transaction
 * that is not known yet may be older than one that is. */
enum { SYNC_SEEN_KEPT = 128 };
size_t sync_seen_keep(const sync_seen *s, int64_t *floor_us, int64_t kept_us[SYNC_SEEN_KEPT]);

#endif
