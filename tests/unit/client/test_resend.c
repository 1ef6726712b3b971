/* test_resend.c - a command that was sent again: what a refusal says of the first time. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <weir/client.h>

#include "libweir/base/sp.h"
#include "libweir/base/thread.h"
#include "libweir/codec/ask.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

typedef struct service {
    int listener, lose; /* so many connections end when the request is there */
    int status;         /* of the answer then */
    const char *problem;
} service;

static void read_all(int fd, unsigned char *p, size_t n)
{
    for (ssize_t got = 0; n > 0 && (got = read(fd, p, n)) > 0;) {
        p += got;
        n -= (size_t)got;
    }
}

static void write_all(int fd, const void *p, size_t n)
{
    ssize_t done = write(fd, p, n);
    (void)done;
}

static void answer(int fd, const service *s, const unsigned char id[4])
{
    weir_buf b, out;
    unsigned char head[WEIR_SP_HEAD_MAX];
    weir_answer a = {.status = s->status, .retry_after_s = 1, .body = weir_slice_z(s->problem)};
    weir_buf_init(&b, 1 << 16);
    weir_buf_init(&out, 1 << 16);
    weir_answer_encode(&b, &a);
    weir_buf_put(&out, head, weir_sp_head(head, true, b.n + 4));
    weir_buf_put(&out, id, 4);
    weir_buf_puts(&out, weir_buf_slice(&b));
    write_all(fd, out.p, out.n);
    weir_buf_fini(&b);
    weir_buf_fini(&out);
}

static void serve(void *arg)
{
    const service *s = arg;
    for (int i = 0; i <= s->lose; i++) {
        unsigned char greeting[WEIR_SP_GREETING_BYTES], head[9], message[4096];
        int fd = accept(s->listener, NULL, NULL);
        weir_sp_greeting(greeting, WEIR_SP_REP);
        write_all(fd, greeting, sizeof greeting);
        read_all(fd, greeting, sizeof greeting);
        read_all(fd, head, sizeof head);
        size_t n = (size_t)head[7] << 8 | head[8];
        read_all(fd, message, n < sizeof message ? n : sizeof message);
        if (i == s->lose) {
            answer(fd, s, message);
            read_all(fd, head, 1); /* until the client has gone */
        }
        (void)close(fd);
    }
}

/* Does a refusal say that the command may have been executed? */
static bool maybe(int lose, int status, const char *problem)
{
    char dir[96], url[256];
    weir_error e;
    weir_thread *thread = NULL;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    service s = {socket(AF_UNIX, SOCK_STREAM, 0), lose, status, problem};
    assert_true(folder_make(dir, sizeof dir));
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/s", dir);
    (void)snprintf(url, sizeof url, "ipc://%s/s", dir);
    assert_int_equal(bind(s.listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s.listener, 4), 0);
    assert_rc(WEIR_OK, weir_thread_start(&thread, "service", serve, &s, &e), &e);

    weir_client *c = NULL;
    weir_client_error err;
    weir_client_reply r;
    const weir_client_conf conf = {.write_url = url, .keys = true, .timeout_ms = 10000};
    const weir_client_command command = {.name = "pay"};
    assert_int_equal(weir_client_open(&c, &conf, &err), WEIR_CLIENT_OK);
    assert_int_equal(weir_client_send(c, &command, &r, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, status);
    weir_client_close(c);
    weir_thread_join(thread);
    (void)close(s.listener);
    folder_remove(dir);
    return err.maybe_executed;
}

static const char problem[] = "{\"type\":\"about:blank\",\"status\":503,\"detail\":\"not now\"}";

static void one_try_that_is_refused_did_nothing(void **state)
{
    (void)state;
    assert_false(maybe(0, 503, problem));
    assert_false(maybe(0, 422, problem));
    assert_true(maybe(0, 503, "{\"type\":\"urn:weir:problem:outcome-unknown\"}"));
}

/* The service that answers did not get as far as the key: the first one may have executed it. */
static void refused_the_second_time_says_nothing_of_the_first(void **state)
{
    (void)state;
    static const int before_the_key[] = {401, 403, 404, 413, 429, 500, 503, 504};
    for (size_t i = 0; i < sizeof before_the_key / sizeof *before_the_key; i++) {
        assert_true(maybe(1, before_the_key[i], problem));
    }
}

/* These are what became of the key, or a request that was as wrong the first time. */
static void an_outcome_is_one(void **state)
{
    (void)state;
    static const int outcomes[] = {400, 409, 412, 422};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        assert_false(maybe(2, outcomes[i], problem));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_try_that_is_refused_did_nothing),
        cmocka_unit_test(refused_the_second_time_says_nothing_of_the_first),
        cmocka_unit_test(an_outcome_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
