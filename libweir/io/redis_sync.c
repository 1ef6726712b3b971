/* redis_sync.c - the blocking Redis client for tools and single-threaded writers. */
#include <hiredis/hiredis.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/time.h>

#include "libweir/base/xalloc.h"
#include "libweir/io/redis.h"
#include "libweir/io/redis_uri.h"

struct weir_redisc {
    redisContext *rc;
    void *reply; /* the last one given out */
    size_t expected;
};

static weir_rc context_failed(const redisContext *rc, const char *what, weir_error *err)
{
    if (!rc) {
        return weir_fail(err, WEIR_E_SYS, 0, "%s: out of memory", what);
    }
    bool timeout =
        rc->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT);
    return weir_fail(err, timeout ? WEIR_E_TIMEOUT : WEIR_E_CONN, WEIR_EF_RETRY, "%s: %s", what,
                     timeout ? "no answer in time" : rc->errstr);
}

static weir_rc greet_one(weir_redisc *c, size_t argc, const weir_slice *argv, weir_error *err)
{
    const weir_redis_reply *reply = NULL;
    weir_rc rc = weir_redisc_call(c, &reply, argc, argv, err);
    if (rc == WEIR_OK && weir_redis_reply_type(reply) == WEIR_REDIS_ERROR) {
        weir_slice text = weir_redis_reply_str(reply);
        bool loading = weir_slice_starts(text, WEIR_SLICE_LIT("LOADING"));
        rc = weir_fail(err, loading ? WEIR_E_CONN : WEIR_E_DENIED, loading ? WEIR_EF_RETRY : 0,
                       "Redis refused: %.*s%s", (int)(text.n > 200 ? 200 : text.n), text.p,
                       weir_redis_login_hint(text));
    }
    return rc;
}

static weir_rc greet(weir_redisc *c, const weir_redis_uri *uri, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    char db[16];
    if (uri->password[0]) {
        weir_slice argv[3] = {WEIR_SLICE_LIT("AUTH"), weir_slice_z(uri->user),
                              weir_slice_z(uri->password)};
        if (!uri->user[0]) {
            argv[1] = argv[2];
        }
        rc = greet_one(c, uri->user[0] ? 3 : 2, argv, err);
    }
    if (rc == WEIR_OK && uri->db > 0) {
        (void)snprintf(db, sizeof db, "%d", uri->db);
        weir_slice argv[2] = {WEIR_SLICE_LIT("SELECT"), weir_slice_z(db)};
        rc = greet_one(c, 2, argv, err);
    }
    if (rc == WEIR_OK) {
        rc = greet_one(c, 1, &(weir_slice){"PING", 4}, err);
    }
    return rc;
}

weir_rc weir_redisc_open(weir_redisc **out, const char *uri_text, int64_t timeout_ms,
                         weir_error *err)
{
    weir_redis_uri uri;
    weir_redisc *c = NULL;
    weir_rc rc = weir_redis_uri_parse(uri_text, &uri, err);
    *out = NULL;
    if (rc != WEIR_OK) {
        return rc;
    }
    c = weir_xcalloc(1, sizeof *c);
    const struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    c->rc = uri.path[0] ? redisConnectUnixWithTimeout(uri.path, tv)
                        : redisConnectWithTimeout(uri.host, uri.port, tv);
    if (!c->rc || c->rc->err || redisSetTimeout(c->rc, tv) != REDIS_OK) {
        char at[WEIR_REDIS_WHERE_BYTES];
        rc = context_failed(c->rc, weir_redis_uri_where(&uri, at), err);
        weir_error_wrap(err, "cannot connect to Redis");
        goto out;
    }
    rc = greet(c, &uri, err);
out:
    if (rc != WEIR_OK) {
        weir_redisc_close(c);
        return rc;
    }
    *out = c;
    return WEIR_OK;
}

static void drop_reply(weir_redisc *c)
{
    if (c->reply) {
        freeReplyObject(c->reply);
        c->reply = NULL;
    }
}

void weir_redisc_close(weir_redisc *c)
{
    if (!c) {
        return;
    }
    drop_reply(c);
    if (c->rc) {
        redisFree(c->rc);
    }
    free(c);
}

weir_rc weir_redisc_append(weir_redisc *c, size_t argc, const weir_slice *argv, weir_error *err)
{
    if (argc == 0 || argc > INT_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "%zu arguments are not a Redis command", argc);
    }
    drop_reply(c);
    const char **p = weir_xcalloc(argc, sizeof *p);
    size_t *n = weir_xcalloc(argc, sizeof *n);
    for (size_t i = 0; i < argc; i++) {
        p[i] = argv[i].p ? argv[i].p : "";
        n[i] = argv[i].n;
    }
    int ok = redisAppendCommandArgv(c->rc, (int)argc, p, n);
    free(p);
    free(n);
    if (ok != REDIS_OK) {
        return context_failed(c->rc, "cannot send to Redis", err);
    }
    c->expected++;
    return WEIR_OK;
}

weir_rc weir_redisc_get(weir_redisc *c, const weir_redis_reply **reply, weir_error *err)
{
    *reply = NULL;
    drop_reply(c);
    if (c->expected == 0) {
        return weir_fail(err, WEIR_E_EOF, 0, "no command is waiting for a reply");
    }
    errno = 0;
    if (redisGetReply(c->rc, &c->reply) != REDIS_OK || !c->reply) {
        return context_failed(c->rc, "no answer from Redis", err);
    }
    c->expected--;
    *reply = (const weir_redis_reply *)c->reply;
    return WEIR_OK;
}

weir_rc weir_redisc_call(weir_redisc *c, const weir_redis_reply **reply, size_t argc,
                         const weir_slice *argv, weir_error *err)
{
    *reply = NULL;
    if (c->expected > 0) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "replies of an earlier pipeline have not been taken");
    }
    weir_rc rc = weir_redisc_append(c, argc, argv, err);
    return rc == WEIR_OK ? weir_redisc_get(c, reply, err) : rc;
}
