/* report.c - what a deploy did, as a list. */
#include <stdarg.h>
#include <stdio.h>

#include "migrations/deploy/run.h"

enum { DIAGNOSTICS_MAX_BYTES = 4 << 20, TEXT_MAX_BYTES = 2000 };

void dep_report_init(dep_report *r, weir_arena *a, bool colour)
{
    *r = (dep_report){.a = a, .colour = colour};
    weir_buf_init(&r->diagnostics, DIAGNOSTICS_MAX_BYTES);
}

void dep_report_fini(dep_report *r)
{
    weir_buf_fini(&r->diagnostics);
}

const char *dep_kind_name(dep_kind k)
{
    static const char *const names[DEP_KIND_COUNT] = {
        [DEP_PROBLEM] = "problem",
        [DEP_WARNING] = "warning",
        [DEP_CONTROL] = "control",
        [DEP_MIGRATION] = "migration",
        [DEP_COMMAND] = "command",
        [DEP_COMMAND_GONE] = "command dropped",
        [DEP_PUBLISHED] = "published",
        [DEP_UNPUBLISHED] = "unpublished",
        [DEP_LEFT_OUT] = "not published",
        [DEP_MODEL] = "read model",
        [DEP_MODEL_GONE] = "read model dropped",
    };
    return names[k];
}

void dep_add(dep_report *r, dep_kind kind, const char *name, const char *hint, const char *fmt, ...)
{
    dep_item *it = weir_arena_zalloc(r->a, sizeof *it);
    if (!it) {
        return;
    }
    it->kind = kind;
    it->name = weir_arena_strdup(r->a, name);
    it->hint = hint && hint[0] ? weir_arena_strdup(r->a, hint) : NULL;
    if (fmt) {
        char text[TEXT_MAX_BYTES];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        it->text = weir_arena_strdup(r->a, text);
    }
    if (r->last) {
        r->last->next = it;
    } else {
        r->first = it;
    }
    r->last = it;
    r->count[kind]++;
}
