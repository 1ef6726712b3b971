/* registry.c - what the service remembers of a command beyond one catalog. */
#include "write-service/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/arena.h"
#include "libweir/base/map.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/pg.h"

struct wsvc_registry {
    weir_metrics *ms;
    weir_map *map;
    weir_arena *arena; /* of the process's life; one entry per name ever deployed */
};

static const int statuses[WSVC_STATUSES] = {200, 202, 400, 403, 404, 409, 412,
                                            415, 422, 500, 501, 503, 504, 0};

wsvc_registry *wsvc_registry_new(weir_metrics *ms)
{
    wsvc_registry *r = weir_xcalloc(1, sizeof *r);
    r->ms = ms;
    r->map = weir_map_new();
    r->arena = weir_arena_new(0);
    return r;
}

void wsvc_registry_free(wsvc_registry *r)
{
    if (r) {
        weir_map_free(r->map);
        weir_arena_free(r->arena);
        free(r);
    }
}

wsvc_command *wsvc_registry_get(wsvc_registry *r, weir_slice name)
{
    void **slot = weir_map_slot(r->map, name, NULL);
    if (!*slot) {
        wsvc_command *c = weir_arena_zalloc(r->arena, sizeof *c);
        const char *run = weir_arena_printf(r->arena, "run_%.*s", WEIR_SLICE_ARG(name));
        const char *ident = weir_pg_ident(r->arena, weir_slice_z(run));
        c->call.name = weir_arena_dupz(r->arena, name);
        /* A command's name has at most 59 bytes, because its wrapper's name must fit
         * PostgreSQL's 63. */
        c->call.stmt = run;
        c->call.sql =
            weir_arena_printf(r->arena, "SELECT weir.%s($1::text, $2::text)::text", ident);
        c->rules.self = wsvc_domain_of_command(name);
        *slot = c;
    }
    return *slot;
}

void wsvc_registry_count(wsvc_registry *r, wsvc_command *c, int status)
{
    size_t k = 0;
    while (k < WSVC_STATUSES - 1 && statuses[k] != status) {
        k++;
    }
    if (!c->by_status[k]) {
        weir_buf b;
        weir_buf_init(&b, 1024);
        weir_buf_putz(&b, "command=");
        weir_json_quote(&b, weir_slice_z(c->call.name));
        weir_buf_printf(&b, ",status=\"%d\"", statuses[k]);
        weir_buf_u8(&b, 0);
        c->by_status[k] = weir_counter(r->ms, "weir_write_commands_total",
                                       "Commands answered, by name and status.", b.p);
        weir_buf_fini(&b);
    }
    weir_metric_add(c->by_status[k], 1);
    c->count++;
}
