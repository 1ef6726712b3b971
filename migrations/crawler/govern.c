/* govern.c - the calling thread while workers copy: it watches the source and lets them go slower.
 */
#include "libweir/base/clock.h"
#include "migrations/crawler/job.h"

enum { STEP_MS = 200 };

/* Ends with the work. */
void crw_govern(crw *c, int workers)
{
    (void)workers;
    for (bool all = false; !all && crw_wait(c, STEP_MS);) {
        weir_monitor_lock(c->m);
        all = true;
        for (size_t i = 0; i < c->ntabs; i++) {
            all = all && c->tabs[i].copied;
        }
        weir_monitor_unlock(c->m);
    }
}
