/* heat.h - how long a command that collided on rows stays on the serial lane. Pure.
 *
 * A collision sends it there for a second; one that comes back and collides again soon stays twice
 * as long, up to half a minute.
 */
#ifndef WEIR_WRITE_HEAT_H
#define WEIR_WRITE_HEAT_H

#include <stdbool.h>
#include <stdint.h>

enum { WSVC_HEAT_MIN_MS = 1000, WSVC_HEAT_MAX_MS = 30000 };

typedef struct wsvc_heat { /* zeroed: cold */
    int64_t until_ms, penalty_ms;
} wsvc_heat;

bool wsvc_heat_hot(const wsvc_heat *h, int64_t now_ms);
void wsvc_heat_collided(wsvc_heat *h, int64_t now_ms);

#endif
