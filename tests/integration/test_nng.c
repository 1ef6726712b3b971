/* test_nng.c - NNG's own library at the other end: its REQ contexts ask our server, its REP
 * contexts answer our client, over tcp and ipc, with messages of all sizes.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/io/sp.h"
#include "libweir/io/sp_client.h"
#include "tests/support/check.h"

enum { CONTEXTS = 40, ROUNDS = 5, WAIT_MS = 20000 };

/* The same for both ends: each context once with each size, then larger ones. */
static const size_t sizes[ROUNDS] = {0, 1, 1000, 70 * 1000, 3 << 20};

typedef struct peer {
    weir_loop *l;
    weir_sp_server *server;
    char dir[64], url[100];
    weir_sp_req *late; /* answered after the next one */
    weir_slice late_body;
    size_t served;
} peer;

typedef struct ask {
    nng_ctx ctx;
    nng_aio *aio;
    atomic_bool done;
} ask;

static void open_peer(peer *p, bool tcp)
{
    *p = (peer){.served = 0};
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/weir-nng-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    assert_rc(WEIR_OK, weir_loop_new(&p->l, NULL), NULL);
    (void)snprintf(p->url, sizeof p->url, tcp ? "tcp://127.0.0.1:0" : "ipc://%s/s", p->dir);
}

static void close_peer(peer *p)
{
    weir_sp_server_close(p->server);
    weir_loop_free(p->l);
    (void)unlink(p->url + 6);
    (void)rmdir(p->dir);
}

static size_t want_of(size_t i)
{
    return sizes[i / CONTEXTS % ROUNDS] + i % CONTEXTS;
}

static char byte_of(size_t i)
{
    return (char)('a' + i % 26);
}

/* --- its REQ, our server --- */

/* Every second request is answered after the one behind it. */
static void on_request(void *arg, weir_sp_req *req, weir_slice body)
{
    peer *p = arg;
    p->served++;
    if (!p->late) {
        p->late = req;
        p->late_body.p = malloc(body.n + 1);
        memcpy((char *)(uintptr_t)p->late_body.p, body.n ? body.p : "", body.n);
        p->late_body.n = body.n;
        return;
    }
    weir_sp_reply(req, body);
    weir_sp_reply(p->late, p->late_body);
    free((char *)(uintptr_t)p->late_body.p);
    p->late = NULL;
}

static void on_done(void *arg)
{
    atomic_store(&((ask *)arg)->done, true);
}

static void await(peer *p, ask *k)
{
    while (!atomic_exchange(&k->done, false)) { /* the aio's time ends it */
        weir_loop_turn(p->l, 1);
    }
    assert_int_equal(nng_aio_result(k->aio), 0);
}

static void one_round(peer *p, nng_socket sock, size_t first)
{
    static ask asks[CONTEXTS];
    for (size_t i = 0; i < CONTEXTS; i++) {
        nng_msg *m = NULL;
        size_t n = want_of(first + i);
        assert_int_equal(nng_ctx_open(&asks[i].ctx, sock), 0);
        assert_int_equal(nng_aio_alloc(&asks[i].aio, on_done, &asks[i]), 0);
        nng_aio_set_timeout(asks[i].aio, WAIT_MS * weir_test_timeout_x());
        assert_int_equal(nng_msg_alloc(&m, n), 0);
        memset(nng_msg_body(m), byte_of(first + i), n);
        nng_aio_set_msg(asks[i].aio, m);
        nng_ctx_send(asks[i].ctx, asks[i].aio);
    }
    for (size_t i = 0; i < CONTEXTS; i++) {
        await(p, &asks[i]);
        nng_ctx_recv(asks[i].ctx, asks[i].aio);
    }
    for (size_t i = 0; i < CONTEXTS; i++) {
        await(p, &asks[i]);
        nng_msg *m = nng_aio_get_msg(asks[i].aio);
        size_t n = nng_msg_len(m);
        assert_int_equal(n, want_of(first + i));
        const char *body = nng_msg_body(m);
        assert_true(n == 0 || (body[0] == byte_of(first + i) && body[n - 1] == byte_of(first + i)));
        nng_msg_free(m);
        nng_aio_free(asks[i].aio);
        assert_int_equal(nng_ctx_close(asks[i].ctx), 0);
    }
}

static void its_requests(bool tcp)
{
    peer p;
    nng_socket sock;
    char url[100];
    open_peer(&p, tcp);
    const weir_sp_conf conf = {.url = p.url,
                               .connections_max = 4,
                               .unanswered_max = 100,
                               .message_max_bytes = 8 << 20,
                               .fn = on_request,
                               .arg = &p};
    assert_rc(WEIR_OK, weir_sp_serve(&p.server, p.l, &conf, NULL), NULL);
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", weir_sp_port(p.server));
    assert_int_equal(nng_req0_open(&sock), 0);
    assert_int_equal(nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, 0), 0);
    assert_int_equal(nng_dial(sock, tcp ? url : p.url, NULL, NNG_FLAG_NONBLOCK), 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        one_round(&p, sock, i * CONTEXTS);
    }
    assert_int_equal(p.served, ROUNDS * CONTEXTS);
    (void)nng_close(sock);
    close_peer(&p);
}

static void its_requests_over_tcp(void **state)
{
    (void)state;
    its_requests(true);
}

static void its_requests_over_ipc(void **state)
{
    (void)state;
    its_requests(false);
}

/* --- its REP, our client --- */

typedef struct echo {
    nng_ctx ctx;
    nng_aio *aio;
    bool sending;
} echo;

static void on_echo(void *arg)
{
    echo *e = arg;
    if (nng_aio_result(e->aio) != 0) {
        return; /* closing */
    }
    e->sending = !e->sending;
    if (e->sending) { /* the message it received is the one it sends */
        nng_ctx_send(e->ctx, e->aio);
    } else {
        nng_ctx_recv(e->ctx, e->aio);
    }
}

typedef struct told {
    size_t i;
    size_t *answered;
} told;

static void on_reply(void *arg, weir_rc rc, weir_slice reply)
{
    const told *t = arg;
    assert_int_equal(rc, WEIR_OK);
    assert_int_equal(reply.n, want_of(t->i));
    assert_true(reply.n == 0 || reply.p[reply.n - 1] == byte_of(t->i));
    (*t->answered)++;
}

static void its_answers(void **state)
{
    static echo echoes[CONTEXTS];
    static told tolds[ROUNDS * CONTEXTS];
    peer p;
    nng_socket sock;
    weir_sp_client *c = NULL;
    size_t answered = 0;
    (void)state;
    open_peer(&p, false);
    assert_int_equal(nng_rep0_open(&sock), 0);
    assert_int_equal(nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, 0), 0);
    assert_int_equal(nng_listen(sock, p.url, NULL, 0), 0);
    for (size_t i = 0; i < CONTEXTS; i++) {
        assert_int_equal(nng_ctx_open(&echoes[i].ctx, sock), 0);
        assert_int_equal(nng_aio_alloc(&echoes[i].aio, on_echo, &echoes[i]), 0);
        nng_ctx_recv(echoes[i].ctx, echoes[i].aio);
    }
    assert_rc(WEIR_OK, weir_sp_client_open(&c, p.l, p.url, 8 << 20, NULL), NULL);
    char *body = malloc(4 << 20);
    for (size_t i = 0; i < ROUNDS * CONTEXTS; i++) {
        tolds[i] = (told){i, &answered};
        memset(body, byte_of(i), want_of(i));
        assert_rc(WEIR_OK,
                  weir_sp_request(c, weir_slice_of(body, want_of(i)),
                                  (int64_t)WAIT_MS * weir_test_timeout_x(), on_reply, &tolds[i]),
                  NULL);
        while (answered < i / CONTEXTS * CONTEXTS) {
            weir_loop_turn(p.l, 20);
        }
    }
    while (answered < ROUNDS * CONTEXTS) {
        weir_loop_turn(p.l, 20);
    }
    free(body);
    weir_sp_client_close(c);
    for (size_t i = 0; i < CONTEXTS; i++) {
        nng_aio_free(echoes[i].aio);
        assert_int_equal(nng_ctx_close(echoes[i].ctx), 0);
    }
    (void)nng_close(sock);
    close_peer(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_requests_over_tcp),
        cmocka_unit_test(its_requests_over_ipc),
        cmocka_unit_test(its_answers),
    };
    return cmocka_run_group_tests_name("nng", tests, NULL, NULL);
}
