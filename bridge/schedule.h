/* schedule.h - when to ask the server for a keepalive, and when to say something ourselves.
 *
 * An idle stream must advance, or a reader waiting for its own write would wait for ever (the flush
 * position it was told may lie past its commit record). So while nothing arrives a keepalive is
 * asked for every 10 ms during the two seconds after the last transaction, and every second after
 * that. Feedback leaves at least every second in any case. Pure.
 */
#ifndef WEIR_BRIDGE_SCHEDULE_H
#define WEIR_BRIDGE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BRG_BUSY_FOR_MS = 2000,
    BRG_ASK_BUSY_MS = 10,
    BRG_ASK_IDLE_MS = 1000,
    BRG_FEEDBACK_MS = 1000
};

typedef struct brg_schedule {
    int64_t last_tx_ms;      /* when the last transaction arrived */
    int64_t last_arrival_ms; /* when anything arrived */
    int64_t last_ask_ms;
    int64_t last_feedback_ms;
} brg_schedule;

void brg_schedule_init(brg_schedule *s, int64_t now_ms);
void brg_schedule_arrived(brg_schedule *s, bool transaction, int64_t now_ms);
void brg_schedule_sent(brg_schedule *s, bool asked, int64_t now_ms);
/* Is it time to send feedback; *ask: with the wish for a keepalive. */
bool brg_schedule_due(const brg_schedule *s, int64_t now_ms, bool *ask);
/* How long a wait may last until something is due (at least 0). */
int64_t brg_schedule_wait_ms(const brg_schedule *s, int64_t now_ms);

#endif
