/* main.c - what an application does with libweir-client: a command, a query that sees it, many
 * commands in flight, and the change feed. For the shop:
 *
 *     eval "$(weir env examples/shop)"; build/bin/weir-example-client
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/client.h>

enum { ORDERS = 1000, IN_FLIGHT = 64, EVENTS = 4 };

static int fail(const char *what, const weir_client_error *err)
{
    (void)fprintf(stderr, "%s: %s%s%s%s\n", what, err->title, err->title[0] ? ": " : "",
                  err->detail, err->maybe_executed ? " (it may have been executed)" : "");
    return 1;
}

static weir_client_command order(void)
{
    return (weir_client_command){
        .name = "place_order",
        .args = "{\"customer_id\": 40, \"lines\": [{\"sku\": \"SKU-0007\", \"qty\": 1}]}"};
}

/* A command, and the document that it caused. */
static int one(weir_client *c)
{
    weir_client_error err;
    weir_client_reply reply, document;
    weir_client_command command = order();
    char position[32], id[32];
    if (weir_client_send(c, &command, &reply, &err) != WEIR_CLIENT_OK) {
        return fail("place_order", &err);
    }
    (void)snprintf(position, sizeof position, "%.*s", (int)reply.position.n, reply.position.p);
    const char *number = strstr(reply.result.p, "\"order_id\": "); /* a JSON parser's work */
    (void)snprintf(id, sizeof id, "%ld", number ? strtol(number + 12, NULL, 10) : 0);
    (void)printf("placed: %.*s at %s\n", (int)reply.result.n, reply.result.p, position);
    weir_client_reply_free(&reply);

    const char *const key[] = {id};
    weir_client_query query = {.model = "order_view",
                               .key = key,
                               .key_parts = 1,
                               .min_position = position,
                               .wait_ms = 5000};
    if (weir_client_get(c, &query, &document, &err) != WEIR_CLIENT_OK) {
        return fail("order_view", &err);
    }
    (void)printf("document: %.*s\n", (int)document.body.n, document.body.p);
    weir_client_reply_free(&document);
    return 0;
}

typedef struct tally {
    weir_client *c;
    int started, done, refused;
} tally;

static void start_one(tally *t);

static void on_reply(void *arg, const weir_client_reply *reply, const weir_client_error *err)
{
    tally *t = arg;
    t->done += reply != NULL;
    t->refused += err != NULL;
    start_one(t); /* so many are always in flight */
}

static void start_one(tally *t)
{
    weir_client_error err;
    weir_client_command command = order();
    if (t->started < ORDERS &&
        weir_client_send_start(t->c, &command, on_reply, t, &err) == WEIR_CLIENT_OK) {
        t->started++;
    }
}

static int many(weir_client *c)
{
    tally t = {.c = c};
    for (int i = 0; i < IN_FLIGHT; i++) {
        start_one(&t);
    }
    while (weir_client_run(c, 1000) > 0) {
    }
    (void)printf("of %d orders %d were placed, %d refused\n", t.started, t.done, t.refused);
    return t.done > 0 ? 0 : 1;
}

static int follow(weir_client *c)
{
    weir_client_feed *feed = NULL;
    weir_client_error err;
    weir_client_event ev;
    if (weir_client_feed_open(c, "example", "now", &feed, &err) != WEIR_CLIENT_OK) {
        return fail("feed", &err);
    }
    int rc = one(c);
    for (int i = 0; i < EVENTS && rc == 0; i++) {
        if (weir_client_feed_next(feed, 5000, &ev, &err) != WEIR_CLIENT_OK) {
            rc = fail("feed", &err);
        } else if (ev.kind == WEIR_CLIENT_MESSAGE) {
            (void)printf("%s %.*s %.*s\n", ev.position, (int)ev.prefix.n, ev.prefix.p,
                         (int)ev.content.n, ev.content.p);
        } else {
            (void)printf("%s %.*s %zu columns\n", ev.position, (int)ev.table.n, ev.table.p,
                         ev.columns);
        }
    }
    if (rc == 0 && weir_client_feed_ack(feed, &err) != WEIR_CLIENT_OK) {
        rc = fail("ack", &err);
    }
    weir_client_feed_close(feed);
    return rc;
}

int main(void)
{
    weir_client *c = NULL;
    weir_client_error err;
    const weir_client_conf conf = {.write_url = getenv("WEIR_WRITE_NNG_URL"),
                                   .tls_ca = getenv("WEIR_TLS_CA"), /* of tls+tcp:// */
                                   .read_url = getenv("WEIR_READ_NNG_URL"),
                                   .feed_url = getenv("WEIR_FEED_URL")};
    if (weir_client_open(&c, &conf, &err) != WEIR_CLIENT_OK) {
        return fail("open", &err);
    }
    int rc = one(c);
    if (rc == 0) {
        rc = many(c);
    }
    if (rc == 0 && conf.feed_url) {
        rc = follow(c);
    }
    weir_client_close(c);
    return rc;
}
