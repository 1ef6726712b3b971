/* error.c - what a caller is told when a call did not succeed. */
#include <stdarg.h>
#include <stdio.h>

#include "libweir/client/priv.h"
#include "libweir/codec/json.h"

int weir_cl_error(weir_client_error *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        memset(err, 0, sizeof *err);
        err->code = code;
        err->retry_after_s = -1;
        va_start(ap, fmt);
        (void)vsnprintf(err->detail, sizeof err->detail, fmt, ap);
        va_end(ap);
    }
    return code;
}

static void copy(const weir_json *doc, const char *member, char *out, size_t size)
{
    weir_slice s;
    if (weir_json_str(doc, member, &s)) {
        (void)snprintf(out, size, WEIR_SLICE_FMT, WEIR_SLICE_ARG(s));
    }
}

void weir_cl_error_problem(weir_client_error *err, int status, weir_slice problem)
{
    weir_json *doc = NULL;
    weir_error ignored;
    (void)weir_cl_error(err, WEIR_CLIENT_REFUSED, "the service answered %d", status);
    err->status = status;
    if (weir_json_parse(&doc, problem, &ignored) != WEIR_OK) {
        return;
    }
    copy(doc, "type", err->type, sizeof err->type);
    copy(doc, "title", err->title, sizeof err->title);
    copy(doc, "detail", err->detail, sizeof err->detail);
    copy(doc, "pointer", err->pointer, sizeof err->pointer);
    copy(doc, "sqlstate", err->sqlstate, sizeof err->sqlstate);
    copy(doc, "constraint", err->constraint, sizeof err->constraint);
    copy(doc, "hint", err->hint, sizeof err->hint);
    copy(doc, "command_id", err->command_id, sizeof err->command_id);
    weir_json_free(doc);
}
