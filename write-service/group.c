/* group.c - which waiting jobs share one transaction. */
#include "write-service/group.h"

#include <assert.h>

/* One role after the other: a transaction has commands of one role only, see
 * migrations/control/roles.sql. Commands that may have to keep an order stay where they are. */
static void gather_roles(wsvc_job **jobs, size_t n)
{
    wsvc_job *in[WSVC_GROUP_MAX];
    size_t k = 0;
    bool taken[WSVC_GROUP_MAX] = {false}, one = true;
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->keys.n > 0) {
            return;
        }
        one = one && jobs[i]->role == jobs[0]->role;
        in[i] = jobs[i];
    }
    for (size_t i = 0; i < n && !one; i++) {
        for (size_t j = i; j < n && !taken[i]; j++) {
            if (!taken[j] && in[j]->role == in[i]->role && j != i) {
                jobs[k++] = in[j];
                taken[j] = true;
            } else if (j == i) {
                jobs[k++] = in[i];
            }
        }
    }
}

/* Stable: those that share first, those that do not behind. Returns how many share. */
static size_t partition(wsvc_job **jobs, size_t n)
{
    wsvc_job *apart[WSVC_GROUP_MAX];
    size_t share = 0, rest = 0;
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->alone || jobs[i]->serializable) {
            apart[rest++] = jobs[i];
        } else {
            jobs[share++] = jobs[i];
        }
    }
    for (size_t i = 0; i < rest; i++) {
        jobs[share + i] = apart[i];
    }
    return share;
}

size_t wsvc_group_plan(wsvc_job **jobs, size_t n, size_t group_max, size_t bytes_max,
                       wsvc_run *runs)
{
    assert(n <= WSVC_GROUP_MAX && group_max >= 1);
    size_t share = partition(jobs, n);
    gather_roles(jobs, share);
    size_t k = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bool open = k > 0 && i < share && runs[k - 1].n < group_max &&
                    bytes + jobs[i]->body.n <= bytes_max && jobs[i]->role == jobs[i - 1]->role;
        if (open) {
            runs[k - 1].n++;
            bytes += jobs[i]->body.n;
        } else {
            runs[k++] = (wsvc_run){i, 1, i >= share};
            bytes = jobs[i]->body.n;
        }
    }
    return k;
}
