/* receiver.c - an HTTP receiver of callbacks. */
#include "tests/support/receiver.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "write-service/callback.h"

static void note(receiver *r, weir_slice body)
{
    json_t *doc = json_loadb(body.p, body.n, 0, NULL);
    const char *id = json_string_value(json_object_get(doc, "command_id"));
    const char *key = json_string_value(json_object_get(doc, "ordering_key"));
    json_int_t n = json_integer_value(json_object_get(json_object_get(doc, "result"), "n"));
    if (!id) {
        r->malformed++;
        json_decref(doc);
        return;
    }
    void **slot = weir_map_slot(r->acks, weir_slice_z(id), NULL);
    bool again = *slot != NULL;
    *slot = (char *)*slot + 1;
    if (key && !again) {
        slot = weir_map_slot(r->last, weir_slice_z(key), NULL);
        if ((intptr_t)*slot > n) { /* n + 1 was acknowledged before */
            r->out_of_order++;
        }
        *slot = (void *)(intptr_t)(n + 1);
    }
    json_decref(doc);
}

static bool signature_ok(const receiver *r, weir_http_req *req)
{
    const char *stamp = weir_http_header(req, "Weir-Timestamp");
    const char *sig = weir_http_header(req, "Weir-Signature");
    weir_buf want;
    weir_buf_init(&want, 1024);
    bool ok = stamp && sig && wsvc_callback_sign(&want, r->secret, stamp, weir_http_body(req)) &&
              weir_slice_eqz(weir_buf_slice(&want), sig);
    weir_buf_fini(&want);
    return ok;
}

static void handle(void *arg, weir_http_req *req)
{
    receiver *r = arg;
    int status = 204;
    atomic_fetch_add(&r->got, 1);
    if (!signature_ok(r, req)) {
        r->bad_signature++;
    }
    if ((int)(weir_test_random(&r->random) % 100) < r->fail_percent) {
        status = weir_test_random(&r->random) % 2 ? 500 : 302;
        weir_http_set_header(req, "Location", "/elsewhere"); /* nobody may follow */
    } else {
        note(r, weir_http_body(req));
        atomic_fetch_add(&r->acknowledged, 1);
    }
    weir_http_reply(req, status, NULL, (weir_slice){NULL, 0});
}

static void receiver_main(void *arg)
{
    receiver *r = arg;
    weir_loop_run(r->loop);
}

void receiver_start(receiver *r, const char *secret, int fail_percent, uint64_t seed)
{
    weir_error err = {0};
    memset(r, 0, sizeof *r);
    r->secret = secret;
    r->fail_percent = fail_percent;
    r->random = seed;
    r->acks = weir_map_new();
    r->last = weir_map_new();
    assert_rc(WEIR_OK, weir_loop_new(&r->loop, &err), &err);
    weir_http_conf conf = {.listen = "127.0.0.1",
                           .body_max_bytes = 1 << 20,
                           .connections_max = 256,
                           .handler = handle,
                           .arg = r};
    assert_rc(WEIR_OK, weir_http_open(&r->http, r->loop, &conf, &err), &err);
    r->port = weir_http_port(r->http);
    assert_rc(WEIR_OK, weir_thread_start(&r->thread, "receiver", receiver_main, r, &err), &err);
}

static void on_stop(void *arg)
{
    weir_loop_stop(arg);
}

void receiver_stop(receiver *r)
{
    if (r->thread) {
        assert_true(weir_loop_post(r->loop, on_stop, r->loop));
        weir_thread_join(r->thread);
        weir_http_close(r->http);
        weir_loop_free(r->loop);
        r->thread = NULL;
    }
}

void receiver_free(receiver *r)
{
    receiver_stop(r);
    weir_map_free(r->acks);
    weir_map_free(r->last);
    r->acks = r->last = NULL;
}

int receiver_acks(const receiver *r, const char *id)
{
    return (int)(intptr_t)weir_map_get(r->acks, weir_slice_z(id));
}
