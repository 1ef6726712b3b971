/* pulse.h - whether what a feed says is fresh: its bridge is there, and has its database.
 *
 * A bridge without its database goes on answering fetches: nothing new comes, which looks like
 * being caught up. So its status is asked for, too, once a second.
 */
#ifndef WEIR_MIGRATIONS_SYNC_PULSE_H
#define WEIR_MIGRATIONS_SYNC_PULSE_H

#include "libweir/io/sp_client.h"

typedef struct sync_pulse sync_pulse;

/* On client's loop, borrowed until closed. Never NULL. */
sync_pulse *sync_pulse_open(weir_loop *l, weir_sp_client *client);
/* On the loop, before the client is closed, or after the loop has ended. NULL is fine. */
void sync_pulse_close(sync_pulse *p);
/* Any thread: true, and why in text: nothing new can come now. */
bool sync_pulse_lost(sync_pulse *p, char *text, size_t size);

#endif
