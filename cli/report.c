/* report.c - shows what a deploy or a check did. */
#include "cli/report.h"

#include <stdio.h>

#include "cli/app.h"
#include "libweir/base/str.h"

enum { JSON_MAX_BYTES = 64 << 20 };

static const char *mark(dep_kind k, const char **colour)
{
    switch (k) {
    case DEP_PROBLEM: *colour = cli_red(); return "✗";
    case DEP_WARNING:
    case DEP_LEFT_OUT: *colour = cli_yellow(); return "!";
    case DEP_COMMAND_GONE:
    case DEP_UNPUBLISHED:
    case DEP_MODEL_GONE: *colour = cli_dim(); return "-";
    default: *colour = cli_green(); return "✓";
    }
}

static void print_item(const dep_item *it)
{
    const char *colour;
    const char *sign = mark(it->kind, &colour);
    FILE *f = it->kind == DEP_PROBLEM ? stderr : stdout;
    /* a command's text is its signature, which begins with its name */
    const char *name = it->kind == DEP_COMMAND ? it->text : it->name;
    const char *text = it->kind == DEP_COMMAND ? NULL : it->text;
    (void)fprintf(f, "  %s%s%s %-18s %s%s%s\n", colour, sign, cli_plain(), dep_kind_name(it->kind),
                  name, text ? ": " : "", text ? text : "");
    if (it->hint) {
        (void)fprintf(f, "    %-18s %s→ %s%s\n", "", cli_dim(), it->hint, cli_plain());
    }
}

void cli_report_print(const dep_report *r)
{
    (void)fflush(stdout);
    if (r->diagnostics.n) {
        (void)fprintf(stderr, WEIR_SLICE_FMT, WEIR_SLICE_ARG(r->diagnostics));
    }
    for (const dep_item *it = r->first; it; it = it->next) {
        print_item(it);
    }
    (void)fflush(stdout);
}

static void member(weir_buf *b, const char *key, const char *text)
{
    weir_buf_printf(b, ",\"%s\":", key);
    if (text) {
        weir_json_quote(b, weir_slice_z(text));
    } else {
        weir_buf_putz(b, "null");
    }
}

void cli_report_json(const dep_report *r, const weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, JSON_MAX_BYTES);
    weir_buf_printf(&b,
                    "{\"ok\":%s,\"changed\":%s,\"revision\":%lld,\"commands\":%d,\"read_models\":%"
                    "d,\"tables\":%d",
                    err ? "false" : "true", r->changed ? "true" : "false", (long long)r->revision,
                    r->commands, r->models, r->tables);
    member(&b, "error", err ? err->msg : NULL);
    weir_buf_putz(&b, ",\"diagnostics\":");
    weir_json_quote(&b, weir_buf_slice(&r->diagnostics));
    weir_buf_putz(&b, ",\"items\":[");
    for (const dep_item *it = r->first; it; it = it->next) {
        weir_buf_printf(&b, "%s{\"kind\":\"%s\"", it == r->first ? "" : ",",
                        dep_kind_name(it->kind));
        member(&b, "name", it->name);
        member(&b, "text", it->text);
        member(&b, "hint", it->hint);
        weir_buf_putz(&b, "}");
    }
    weir_buf_putz(&b, "]}\n");
    (void)fwrite(b.p, 1, b.n, stdout);
    weir_buf_fini(&b);
}
