/* heat.c - how long a command that collided on rows stays on the serial lane. */
#include "write-service/heat.h"

bool wsvc_heat_hot(const wsvc_heat *h, int64_t now_ms)
{
    return now_ms < h->until_ms;
}

void wsvc_heat_collided(wsvc_heat *h, int64_t now_ms)
{
    if (wsvc_heat_hot(h, now_ms)) {
        return; /* a neighbour of the collision that is known already */
    }
    bool soon = h->penalty_ms > 0 && now_ms - h->until_ms < h->penalty_ms;
    h->penalty_ms = soon ? h->penalty_ms * 2 : WSVC_HEAT_MIN_MS;
    if (h->penalty_ms > WSVC_HEAT_MAX_MS) {
        h->penalty_ms = WSVC_HEAT_MAX_MS;
    }
    h->until_ms = now_ms + h->penalty_ms;
}
