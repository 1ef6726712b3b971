/* schedule.c - the keepalive and feedback timetable. */
#include "bridge/schedule.h"

void brg_schedule_init(brg_schedule *s, int64_t now_ms)
{
    *s = (brg_schedule){now_ms, now_ms, now_ms, now_ms};
}

void brg_schedule_arrived(brg_schedule *s, bool transaction, int64_t now_ms)
{
    s->last_arrival_ms = now_ms;
    if (transaction) {
        s->last_tx_ms = now_ms;
    }
}

void brg_schedule_sent(brg_schedule *s, bool asked, int64_t now_ms)
{
    s->last_feedback_ms = now_ms;
    if (asked) {
        s->last_ask_ms = now_ms;
    }
}

/* Counted from the later of the last question and the last arrival: a flowing stream needs no
 * questions. */
static int64_t next_ask_ms(const brg_schedule *s, int64_t now_ms)
{
    int64_t from = s->last_arrival_ms > s->last_ask_ms ? s->last_arrival_ms : s->last_ask_ms;
    return from + (now_ms - s->last_tx_ms < BRG_BUSY_FOR_MS ? BRG_ASK_BUSY_MS : BRG_ASK_IDLE_MS);
}

bool brg_schedule_due(const brg_schedule *s, int64_t now_ms, bool *ask)
{
    *ask = now_ms >= next_ask_ms(s, now_ms);
    return *ask || now_ms - s->last_feedback_ms >= BRG_FEEDBACK_MS;
}

int64_t brg_schedule_wait_ms(const brg_schedule *s, int64_t now_ms)
{
    int64_t at = next_ask_ms(s, now_ms);
    int64_t feedback = s->last_feedback_ms + BRG_FEEDBACK_MS;
    at = feedback < at ? feedback : at;
    return at > now_ms ? at - now_ms : 0;
}
