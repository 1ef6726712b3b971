/* test_tlsstream.c - TLS over a pair of sockets in one thread, so that every call may find them
 * empty or full. */
#include "libweir/io/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/certs.h"
#include "tests/support/check.h"

enum { BYTES = 300 * 1000, ROOM = 2 * WEIR_TLS_RECORD_MAX_BYTES, TURNS_MAX = 100000 };

static char dir[] = "/tmp/weir-tls-XXXXXX";
static certs own, foreign;

/* One side: what it has sent and received of BYTES bytes. */
typedef struct side {
    int fd;
    weir_tls_stream *s;
    size_t sent, got;
    bool ended, wrong;
    int error;
} side;

static char byte_at(size_t at)
{
    return (char)(at * 31 + at / 251);
}

static weir_tls_trust *trust;
static weir_tls *served;
static weir_tls_pair *pair;

static void side_close(side *d)
{
    weir_tls_stream_free(d->s);
    (void)close(d->fd);
}

static void side_fail(side *d)
{
    if (errno != EAGAIN) {
        d->error = errno;
        d->ended = true;
    }
}

static void close_pair(side *client, side *server)
{
    side_close(client);
    side_close(server);
    weir_tls_trust_free(trust);
    weir_tls_drop(pair);
    weir_tls_close(served);
}

/* Everything that goes without waiting. */
static void side_turn(side *d, size_t bytes)
{
    static char room[ROOM];
    while (!d->ended && d->sent < bytes) {
        char part[5000];
        size_t n = bytes - d->sent < sizeof part ? bytes - d->sent : sizeof part;
        for (size_t i = 0; i < n; i++) {
            part[i] = byte_at(d->sent + i);
        }
        ssize_t r = weir_tls_send(d->s, part, n);
        if (r <= 0) {
            side_fail(d);
            break;
        }
        d->sent += (size_t)r;
    }
    while (!d->ended) {
        ssize_t r = weir_tls_recv(d->s, room, sizeof room);
        if (r < 0) {
            side_fail(d);
            break;
        }
        d->ended = r == 0;
        for (ssize_t i = 0; i < r; i++) {
            d->wrong |= room[i] != byte_at(d->got + (size_t)i);
        }
        d->got += (size_t)r;
    }
}

static void open_pair(side *client, side *server, const char *ca, const char *name)
{
    const int small = 4096;
    int fds[2];
    weir_error err = {0};
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(0, setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    }
    assert_rc(WEIR_OK, weir_tls_trust_new(&trust, ca, &err), &err);
    assert_rc(WEIR_OK, weir_tls_open(&served, own.cert, own.key, NULL, &err), &err);
    pair = weir_tls_take(served);
    *client = (side){.fd = fds[0], .s = weir_tls_stream_client(trust, fds[0], name)};
    *server = (side){.fd = fds[1], .s = weir_tls_accept(pair, fds[1])};
    assert_true(client->s && server->s);
}

/* Until both have everything, or one has ended. */
static void talk(side *client, side *server, size_t bytes)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        side_turn(client, bytes);
        side_turn(server, bytes);
        bool all = client->got == bytes && server->got == bytes;
        if (all || client->ended || server->ended) {
            return;
        }
    }
    fail_msg("no end in sight: client sent %zu got %zu, server sent %zu got %zu", client->sent,
             client->got, server->sent, server->got);
}

static void both_ways_in_small_pieces(void **state)
{
    side client, server;
    (void)state;
    open_pair(&client, &server, own.ca, "127.0.0.1");
    side_turn(&client, BYTES);
    assert_false(weir_tls_up(client.s) || weir_tls_wants_out(client.s)); /* the server's turn */
    talk(&client, &server, BYTES);
    assert_true(weir_tls_up(client.s) && weir_tls_up(server.s));
    assert_int_equal(client.got, BYTES);
    assert_int_equal(server.got, BYTES);
    assert_false(client.wrong || server.wrong);
    /* Nothing is left in a stream when its socket is empty; a full socket is what a sender waits
     * for, an empty one what he does not. */
    assert_false(weir_tls_wants_out(client.s));
    char part[64] = {0};
    ssize_t r = 0;
    while ((r = weir_tls_send(client.s, part, sizeof part)) > 0) {
    }
    assert_int_equal(r, -1);
    assert_int_equal(errno, EAGAIN);
    assert_true(weir_tls_wants_out(client.s));
    close_pair(&client, &server);
}

static void the_end_is_told(void **state)
{
    side client, server;
    (void)state;
    open_pair(&client, &server, own.ca, "127.0.0.1");
    talk(&client, &server, 10);
    weir_tls_stream_free(client.s);
    client.s = NULL;
    side_turn(&server, 10);
    assert_true(server.ended);
    assert_int_equal(server.error, 0);
    close_pair(&client, &server);
}

static void strangers_are_not_trusted(void **state)
{
    static const struct {
        bool foreign;
        const char *name, *says;
    } cases[] = {{true, "127.0.0.1", "NOT trusted"},
                 {false, "other.example.org", "name"},
                 {false, "127.0.0.2", "name"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        side client, server;
        open_pair(&client, &server, cases[i].foreign ? foreign.ca : own.ca, cases[i].name);
        talk(&client, &server, 10);
        assert_true(client.ended);
        assert_int_equal(client.error, EPROTO);
        assert_has(weir_tls_why(client.s), cases[i].says);
        assert_int_equal(client.sent, 0);
        assert_int_equal(server.got, 0);
        close_pair(&client, &server);
    }
}

static void what_is_no_tls_has_no_answer(void **state)
{
    static const char *const bytes[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\x01",
                                        "\x16\x03\x01\x00\x04\x01\xff\xff\xff"};
    static const size_t n[] = {18, 6, 9};
    (void)state;
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++) {
        side client, server;
        char answer[64];
        open_pair(&client, &server, own.ca, "127.0.0.1");
        assert_int_equal(n[i], send(client.fd, bytes[i], n[i], MSG_NOSIGNAL));
        assert_int_equal(0, shutdown(client.fd, SHUT_WR));
        side_turn(&server, 10);
        assert_true(server.ended);
        assert_int_equal(server.got, 0);
        assert_int_equal(server.sent, 0);
        weir_tls_stream_free(server.s);
        server.s = NULL;
        assert_true(recv(client.fd, answer, sizeof answer, MSG_DONTWAIT) <= 0);
        close_pair(&client, &server);
    }
}

static void files_that_do_not_fit(void **state)
{
    weir_tls *t;
    weir_tls_trust *whom;
    weir_error err = {0};
    (void)state;
    assert_rc(WEIR_E_INPUT, weir_tls_open(&t, own.cert, foreign.key, NULL, &err), NULL);
    assert_null(t);
    assert_rc(WEIR_E_INPUT, weir_tls_trust_new(&whom, "/nowhere", &err), NULL);
    assert_has(err.msg, "/nowhere");
    assert_rc(WEIR_E_INPUT, weir_tls_trust_new(&whom, own.key, &err), NULL);
    assert_null(whom);
}

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    certs_make_in(&own, dir, "own");
    certs_make_in(&foreign, dir, "foreign");
    return 0;
}

static int remove_files(void **state)
{
    const certs *all[] = {&own, &foreign};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        (void)unlink(all[i]->ca);
        (void)unlink(all[i]->ca_key);
        (void)unlink(all[i]->cert);
        (void)unlink(all[i]->key);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_in_small_pieces), cmocka_unit_test(the_end_is_told),
        cmocka_unit_test(strangers_are_not_trusted), cmocka_unit_test(what_is_no_tls_has_no_answer),
        cmocka_unit_test(files_that_do_not_fit),
    };
    return cmocka_run_group_tests_name("tls", tests, make_files, remove_files);
}
