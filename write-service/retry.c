/* retry.c - what happens to a command after it was refused, failed with its group, or lost its
 * connection. */
#include "write-service/retry.h"

#include <string.h>

#include "write-service/outcome.h"

wsvc_next wsvc_retry_after_error(const wsvc_retry_in *in)
{
    bool again = wsvc_sqlstate_again(in->sqlstate);
    if (!in->own) { /* nobody knows whose error it is until each has run by itself */
        return in->tries < WSVC_TRIES_MAX ? WSVC_NEXT_ALONE : WSVC_NEXT_BUSY;
    }
    if (!again) {
        return WSVC_NEXT_ANSWER;
    }
    if (strcmp(in->sqlstate, "55P03") == 0) { /* a row somebody holds: however often, so long */
        bool on = in->waited_ms < in->patience_ms || in->tries < WSVC_TRIES_MIN;
        return on ? WSVC_NEXT_WAIT : WSVC_NEXT_BUSY;
    }
    return in->tries < WSVC_TRIES_MAX ? WSVC_NEXT_WAIT : WSVC_NEXT_BUSY;
}

wsvc_next wsvc_retry_after_loss(int lost)
{
    /* A command that takes its backend down each time must not go on for ever. */
    return lost < WSVC_LOST_MAX ? WSVC_NEXT_ALONE : WSVC_NEXT_BUSY;
}

wsvc_fate wsvc_fate_judge(const char *status, bool same_system, bool same_history, bool forgotten)
{
    if (!status || !same_system) {
        return WSVC_FATE_UNKNOWN;
    }
    if (forgotten) {
        return WSVC_FATE_NOT_RUN;
    }
    /* If a crash made the server forget our id and give it to another, ours had not committed
     * either. */
    if (strcmp(status, "aborted") == 0 || strcmp(status, "future") == 0) {
        return WSVC_FATE_NOT_RUN;
    }
    if (strcmp(status, "in progress") == 0) {
        return WSVC_FATE_WAIT;
    }
    return strcmp(status, "committed") == 0 && same_history ? WSVC_FATE_COMMITTED
                                                            : WSVC_FATE_UNKNOWN;
}
