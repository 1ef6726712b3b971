/* notice.c - what the projector publishes after each change. */
#include "read-service/notice.h"

#include "libweir/codec/lsn.h"

static weir_slice take_line(weir_slice *rest)
{
    const char *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    weir_slice line = {rest->p, nl ? (size_t)(nl - rest->p) : rest->n};
    size_t taken = line.n + (nl ? 1 : 0);
    rest->p += taken;
    rest->n -= taken;
    return line;
}

bool rsvc_notice_parse(weir_slice payload, rsvc_notice *out)
{
    weir_slice rest = payload;
    out->models = false;
    if (!weir_lsn_parse(take_line(&rest), &out->position)) {
        return false;
    }
    while (rest.n > 0 && !out->models) {
        weir_slice line = take_line(&rest);
        out->models = line.n >= 2 && line.p[line.n - 1] == '*' && line.p[line.n - 2] == '\t';
    }
    return true;
}
