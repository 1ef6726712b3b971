/* route.c - which request is what. */
#include <stdio.h>

#include "write-service/async.h"
#include "write-service/batch.h"

enum { DOCUMENT_MAX_BYTES = 64 << 20 };

static bool is_method(const weir_http_req *req, const char *method)
{
    return strcmp(weir_http_method(req), method) == 0;
}

/* true: answered, because the method is not one of `allow`. */
static bool wrong_method(wsvc_service *s, weir_http_req *req, const char *allow, bool fits)
{
    if (fits) {
        return false;
    }
    weir_http_set_header(req, "Allow", allow);
    if (is_method(req, "OPTIONS")) {
        weir_http_reply(req, 204, NULL, (weir_slice){NULL, 0});
    } else {
        char detail[96];
        (void)snprintf(detail, sizeof detail, "this path answers %s", allow);
        wsvc_refuse(s, req, 405, detail);
    }
    return true;
}

static void reply_document(wsvc_service *s, weir_http_req *req, bool openapi)
{
    bool get = is_method(req, "GET") || is_method(req, "HEAD");
    if (wrong_method(s, req, openapi ? "GET, HEAD, OPTIONS" : "GET, HEAD, POST, OPTIONS", get)) {
        return;
    }
    if (!s->catalog) {
        weir_http_set_header(req, "Retry-After", "1");
        wsvc_refuse(s, req, 503, s->seen_text);
        return;
    }
    weir_buf b;
    weir_buf_init(&b, DOCUMENT_MAX_BYTES);
    if (openapi) {
        wsvc_catalog_openapi(s->catalog, s->settings->app_name, weir_auth_on(s->auth), &b);
    } else {
        wsvc_catalog_list(s->catalog, &b);
    }
    weir_http_set_header(req, "Cache-Control", "no-cache");
    if (b.failed) {
        wsvc_refuse(s, req, 500, "the document is too large");
    } else {
        weir_http_reply(req, 200, "application/json", weir_buf_slice(&b));
    }
    weir_buf_fini(&b);
}

static void route_command(wsvc_service *s, weir_http_req *req, weir_slice name)
{
    bool get = is_method(req, "GET") || is_method(req, "HEAD");
    if (get && !wsvc_catalog_find(s->catalog, name)) {
        wsvc_async_look(s->async, req, name);
    } else if (!wrong_method(s, req, "POST, OPTIONS", is_method(req, "POST"))) {
        wsvc_submit(s, req, name, false);
    }
}

bool wsvc_route_admit(void *service, weir_http_req *req)
{
    wsvc_service *s = service;
    return weir_gate_admit(s->auth, req);
}

void wsvc_route(void *service, weir_http_req *req)
{
    wsvc_service *s = service;
    weir_slice seg[2];
    size_t n = 0;
    if (weir_health_path(weir_http_path(req))) {
        wsvc_status_refresh(s);
        (void)!weir_gate_health(s->auth, s->health, req);
        return;
    }
    if (!weir_gate_pass(s->auth, req, 1)) {
        return;
    }
    if (weir_http_segments(req, seg, 2, &n)) {
        if (n == 2 && weir_slice_eqz(seg[0], "commands")) {
            route_command(s, req, seg[1]);
            return;
        }
        if (n == 1 && weir_slice_eqz(seg[0], "commands") && is_method(req, "POST")) {
            wsvc_batch_submit(s, req);
            return;
        }
        if (n == 1 &&
            (weir_slice_eqz(seg[0], "commands") || weir_slice_eqz(seg[0], "openapi.json"))) {
            reply_document(s, req, seg[0].p[0] == 'o');
            return;
        }
    }
    wsvc_refuse(s, req, 404,
                "there is no such path; commands are at /commands/{name}, their contract at "
                "/openapi.json");
}
