/* meta.c - the meta object of a command. */
#include "write-service/meta.h"

#include <time.h>

#include "libweir/base/str.h"

static void put_instant(weir_buf *out, int64_t wall_us)
{
    time_t sec = (time_t)(wall_us / 1000000);
    struct tm tm;
    char stamp[32] = "";
    if (gmtime_r(&sec, &tm)) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    weir_buf_printf(out, "\"%s.%06dZ\"", stamp, (int)(wall_us % 1000000));
}

void wsvc_meta_put(weir_buf *out, const wsvc_job *j, int64_t wall_us)
{
    weir_buf_putz(out, "{\"id\":\"");
    weir_buf_putz(out, j->id);
    weir_buf_putz(out, "\",\"name\":");
    weir_json_quote(out, weir_slice_z(j->call->name));
    weir_buf_putz(out, ",\"correlation_id\":");
    weir_json_quote(out, weir_slice_z(j->correlation_id));
    if (j->traceparent) {
        weir_buf_putz(out, ",\"traceparent\":");
        weir_json_quote(out, weir_slice_z(j->traceparent));
    }
    if (j->caller) {
        weir_buf_putz(out, ",\"caller\":");
        weir_json_quote(out, weir_slice_z(j->caller));
    }
    weir_buf_putz(out, ",\"at\":");
    put_instant(out, wall_us);
    weir_buf_putz(out, "}");
}
