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
    weir_map *roles;   /* role → wsvc_role */
    weir_arena *arena; /* of the process's life; one entry per name ever deployed */
};

typedef struct wsvc_role {
    const char *name;
    size_t number;
    weir_map *calls; /* command → wsvc_call */
} wsvc_role;

static const int statuses[WSVC_STATUSES] = {200, 202, 400, 403, 404, 409, 412,
                                            415, 422, 500, 501, 503, 504, 0};

wsvc_registry *wsvc_registry_new(weir_metrics *ms)
{
    wsvc_registry *r = weir_xcalloc(1, sizeof *r);
    r->ms = ms;
    r->map = weir_map_new();
    r->roles = weir_map_new();
    r->arena = weir_arena_new(0);
    return r;
}

void wsvc_registry_free(wsvc_registry *r)
{
    weir_map_iter it = {0};
    if (r) {
        while (weir_map_next(r->roles, &it)) {
            weir_map_free(((wsvc_role *)it.value)->calls);
        }
        weir_map_free(r->roles);
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
        c->call.many_stmt = weir_arena_printf(r->arena, "*%s", run);
        c->call.many_sql = weir_arena_printf(
            r->arena,
            "SELECT weir.%s(u.m, u.b)::text FROM unnest($1::text[], $2::text[]) AS u(m, b)", ident);
        c->rules.self = wsvc_domain_of_command(name);
        *slot = c;
    }
    return *slot;
}

static wsvc_role *role_of(wsvc_registry *r, const char *role)
{
    size_t number = weir_map_len(r->roles);
    void **slot = weir_map_slot(r->roles, weir_slice_z(role), NULL);
    if (!*slot) {
        wsvc_role *k = weir_arena_zalloc(r->arena, sizeof *k);
        k->name = weir_arena_strdup(r->arena, role);
        k->number = number;
        k->calls = weir_map_new();
        *slot = k;
    }
    return *slot;
}

const char *wsvc_registry_role(wsvc_registry *r, const char *role)
{
    return role ? role_of(r, role)->name : NULL;
}

const wsvc_call *wsvc_registry_call(wsvc_registry *r, wsvc_command *c, const char *role)
{
    if (!role) {
        return &c->call;
    }
    wsvc_role *k = role_of(r, role);
    void **slot = weir_map_slot(k->calls, weir_slice_z(c->call.name), NULL);
    if (!*slot) {
        wsvc_call *call = weir_arena_zalloc(r->arena, sizeof *call);
        const char *home = weir_arena_printf(r->arena, "weir_as_%s", role);
        call->name = c->call.name;
        /* Short, because a statement's name has as much room as a command's and four more. */
        call->stmt = weir_arena_printf(r->arena, "%zx:%s", k->number & 0xfff, c->call.name);
        call->sql = weir_arena_printf(r->arena, "SELECT %s.%s($1::text, $2::text, $3::text)::text",
                                      weir_pg_ident(r->arena, weir_slice_z(home)),
                                      weir_pg_ident(r->arena, weir_slice_z(c->call.name)));
        call->takes_claims = true;
        call->many_stmt = weir_arena_printf(r->arena, "*%s", call->stmt);
        call->many_sql = weir_arena_printf(
            r->arena,
            "SELECT %s.%s(u.c, u.m, u.b)::text FROM unnest($1::text[], $2::text[], $3::text[]) AS "
            "u(c, m, b)",
            weir_pg_ident(r->arena, weir_slice_z(home)),
            weir_pg_ident(r->arena, weir_slice_z(c->call.name)));
        *slot = call;
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
