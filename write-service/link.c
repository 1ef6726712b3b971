/* link.c - a background thread's own connection to PostgreSQL. */
#include "write-service/link.h"

#include "libweir/base/clock.h"
#include "libweir/base/log.h"

enum { BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 1000, CONNECT_MAX_MS = 2000, ANSWER_MAX_MS = 15000 };

void wsvc_link_init(wsvc_link *l, const char *uri, const char *application_name)
{
    *l = (wsvc_link){.uri = uri, .application_name = application_name};
    weir_backoff_init(&l->backoff, BACKOFF_MIN_MS, BACKOFF_MAX_MS, 0);
}

static void complain(wsvc_link *l, const char *text)
{
    if (!l->complained) {
        WEIR_WARN("WSVC-LINK", "%s: %s", l->application_name, text);
        l->complained = true;
    }
    l->next_try_ms = weir_mono_ms() + weir_backoff_next_ms(&l->backoff);
}

bool wsvc_link_up(wsvc_link *l, bool *fresh)
{
    *fresh = false;
    if (weir_mono_ms() < l->next_try_ms) {
        return false;
    }
    if (l->pg && !weir_pg_alive(l->pg)) {
        wsvc_link_close(l);
    }
    if (l->pg) {
        return true;
    }
    weir_error err = {0};
    weir_pg_conf conf = {.uri = l->uri,
                         .application_name = l->application_name,
                         .connect_timeout_ms = CONNECT_MAX_MS,
                         .wait_max_ms = ANSWER_MAX_MS};
    if (weir_pg_open(&l->pg, &conf, &err) != WEIR_OK) {
        l->pg = NULL;
        complain(l, err.msg);
        return false;
    }
    *fresh = true;
    return true;
}

void wsvc_link_failed(wsvc_link *l, const weir_error *err)
{
    complain(l, err->msg);
    if (!l->pg || !weir_pg_ok(l->pg)) {
        wsvc_link_close(l);
    }
}

void wsvc_link_close(wsvc_link *l)
{
    weir_pg_close(l->pg);
    l->pg = NULL;
}
