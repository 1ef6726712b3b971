/* client.h - libweir-client: commands, queries and the change feed of Weir, over NNG.
 *
 * One header, C ABI, no further dependency. A client belongs to one thread at a time; there is no
 * thread inside. One thread keeps as many calls in flight as it likes:
 *
 *     weir_client_send_start(c, &command, on_reply, mine, &err);     as often as wanted
 *     while (weir_client_run(c, 1000) > 0) {}                           on_reply is called in here
 *
 * or makes one call after the other: weir_client_send(c, &command, &reply, &err).
 *
 * What happens when a connection is lost:
 *   - a query, and everything of the feed, is sent again on the next connection: it changes
 * nothing;
 *   - a command with an Idempotency-Key is sent again: the service executes a key at most once and
 *     answers a repetition with the first answer. `keys` in the configuration gives each one a key;
 *   - any other command that had left completely is not sent again. It fails with WEIR_CLIENT_LOST
 *     and maybe_executed: ask the tables before you send it anew.
 * Nothing is ever executed twice in silence. Connections are made anew by themselves, with growing
 * pauses up to a second; calls wait for that until their time is over.
 */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_CLIENT_API __attribute__((visibility("default")))

typedef enum weir_client_rc {
    WEIR_CLIENT_OK = 0,
    WEIR_CLIENT_REFUSED, /* the service answered with a problem: status, type, detail … say which */
    WEIR_CLIENT_TIMEOUT,  /* no answer in time */
    WEIR_CLIENT_LOST,     /* the connection was lost after a command without a key had left */
    WEIR_CLIENT_INPUT,    /* what was given cannot be sent */
    WEIR_CLIENT_BUSY,     /* in_flight_max calls are under way */
    WEIR_CLIENT_PROTOCOL, /* the peer answered with something else */
    WEIR_CLIENT_NOTHING   /* weir_client_feed_next: no event in time */
} weir_client_rc;

typedef struct weir_client_error {
    int code;            /* weir_client_rc */
    bool maybe_executed; /* of a command: it may have taken effect; false: it certainly has not */
    int status;          /* REFUSED: as over HTTP, 422, 409, 503 … (docs/commands.md) */
    int retry_after_s;   /* REFUSED: when another try may help; else -1 */
    char type[120];      /* of the problem, "about:blank" mostly */
    char title[64];
    char detail[512];  /* for all codes: what happened, one line */
    char pointer[256]; /* JSON pointer to the field of args; "" where it does not apply, as below */
    char sqlstate[6];
    char constraint[128];
    char hint[256];
    char command_id[40];
} weir_client_error;

typedef struct weir_client weir_client;

typedef struct weir_client_conf {
    /* tcp://host:port, tls+tcp://host:port or ipc:///path, as in write.nng, read.nng and
     * bridge.feed of weir.ini (which has no TLS); NULL: not used */
    const char *write_url, *read_url, *feed_url;
    const char *credentials; /* sent with each call, like the header Authorization; NULL: none */
    int64_t timeout_ms;      /* of a call, from start to answer; 0: 30000 */
    unsigned in_flight_max;  /* 0: 1024; at most 4096 */
    bool keys;               /* each command gets an Idempotency-Key of its own unless it has one */
    /* of tls+tcp:// */
    const char *tls_ca;   /* PEM file of the certificates to trust; NULL: the system's */
    const char *tls_name; /* host or IP address the peer's certificate must name; NULL: the URL's */
} weir_client_conf;

/* A text with its length; not NUL-terminated. */
typedef struct weir_client_text {
    const char *p;
    size_t n;
} weir_client_text;

/* Connects when the first call needs it. On failure *out is NULL. Strings are copied. */
WEIR_CLIENT_API int weir_client_open(weir_client **out, const weir_client_conf *conf,
                                     weir_client_error *err);
/* Calls in flight get no callback any more. NULL is fine. */
WEIR_CLIENT_API void weir_client_close(weir_client *c);

/* --- commands and queries --- */

typedef struct weir_client_command {
    const char *name;
    const char *args;  /* a JSON object; NULL: {} */
    size_t args_bytes; /* 0: args ends with NUL */
    /* all of these may be NULL or 0 */
    const char *idempotency_key, *if_match, *correlation_id, *traceparent;
    int64_t
        deadline_ms; /* not begun after so long: not executed (status 504); asynchronous: dead */
    bool async;      /* stored and executed later: the answer is 202 with a command_id */
    int priority;    /* 1 to 9; with async, as below */
    int64_t not_before_ms;
    const char *ordering_key, *callback;
    int64_t timeout_ms; /* 0: the client's */
} weir_client_command;

typedef struct weir_client_query {
    const char *model;
    const char *const *key; /* one text per key column */
    size_t key_parts;
    const char *min_position; /* of a reply: the answer contains what that command did; or NULL */
    int64_t wait_ms;          /* for min_position; 0: the service's own */
    const char *etag;         /* status 304 and no body when the document still has it; or NULL */
    int64_t timeout_ms;
} weir_client_query;

/* Valid during the callback; of the blocking calls until weir_client_reply_free. */
typedef struct weir_client_reply {
    int status;              /* 200, 202, 304 */
    weir_client_text body;   /* JSON: of a query the document */
    weir_client_text result; /* of a command, JSON */
    weir_client_text command_id;
    weir_client_text position; /* "0/1A2B3C8" */
    weir_client_text correlation_id, etag, model_state;
    bool replayed; /* the answer of an earlier command of the same key */
    void *memory;
} weir_client_reply;

/* reply is NULL when err is not. May start calls, but neither run nor close the client. */
typedef void weir_client_fn(void *arg, const weir_client_reply *reply,
                            const weir_client_error *err);

/* OK: fn will be called by weir_client_run. Anything else: it will not. */
WEIR_CLIENT_API int weir_client_send_start(weir_client *c, const weir_client_command *command,
                                           weir_client_fn *fn, void *arg, weir_client_error *err);
WEIR_CLIENT_API int weir_client_get_start(weir_client *c, const weir_client_query *query,
                                          weir_client_fn *fn, void *arg, weir_client_error *err);
/* What became of an asynchronous command; waits for its end at most wait_ms. */
WEIR_CLIENT_API int weir_client_status_start(weir_client *c, const char *command_id,
                                             int64_t wait_ms, weir_client_fn *fn, void *arg,
                                             weir_client_error *err);
/* Sends and receives; returns when something was answered or wait_ms have passed. How many calls
 * are in flight. */
WEIR_CLIENT_API size_t weir_client_run(weir_client *c, int64_t wait_ms);

/* Blocking; other calls in flight go on meanwhile, and their callbacks are called. */
WEIR_CLIENT_API int weir_client_send(weir_client *c, const weir_client_command *command,
                                     weir_client_reply *reply, weir_client_error *err);
WEIR_CLIENT_API int weir_client_get(weir_client *c, const weir_client_query *query,
                                    weir_client_reply *reply, weir_client_error *err);
WEIR_CLIENT_API int weir_client_status(weir_client *c, const char *command_id, int64_t wait_ms,
                                       weir_client_reply *reply, weir_client_error *err);
WEIR_CLIENT_API void weir_client_reply_free(weir_client_reply *reply); /* only after OK */

/* --- the change feed --- */

typedef struct weir_client_feed weir_client_feed;

typedef enum weir_client_event_kind {
    WEIR_CLIENT_INSERT = 1,
    WEIR_CLIENT_UPDATE,
    WEIR_CLIENT_DELETE,
    WEIR_CLIENT_TRUNCATE, /* one per table */
    WEIR_CLIENT_MESSAGE,  /* "weir.event": weir.emit; "weir.command": the command of what follows */
    WEIR_CLIENT_READ      /* a row as it is at this place in the stream: copied, not changed */
} weir_client_event_kind;

typedef enum weir_client_value_state {
    WEIR_CLIENT_NULL,
    WEIR_CLIENT_TEXT,     /* as PostgreSQL prints it */
    WEIR_CLIENT_UNCHANGED /* a large value that did not change and was not sent */
} weir_client_value_state;

typedef struct weir_client_value {
    weir_client_text column;
    weir_client_value_state state;
    weir_client_text text;
    bool key;
} weir_client_value;

/* Valid until the next weir_client_feed_next. */
typedef struct weir_client_event {
    int kind;          /* weir_client_event_kind */
    char position[24]; /* commit of the transaction */
    uint32_t xid;
    int64_t commit_us; /* since 1970 */
    weir_client_text schema, table;
    const weir_client_value *row; /* INSERT, UPDATE, READ: the new one */
    size_t columns;
    const weir_client_value *old; /* UPDATE, DELETE: what is known of the old one: key or all */
    size_t old_columns;
    weir_client_text prefix, content; /* MESSAGE */
} weir_client_event;

/* A durable subscription by name: it goes on where it was acknowledged. start: "earliest" or "now",
 * for a name that is new. Blocks up to the client's timeout. */
WEIR_CLIENT_API int weir_client_feed_open(weir_client *c, const char *name, const char *start,
                                          weir_client_feed **out, weir_client_error *err);
/* The next event, waiting up to wait_ms: OK, NOTHING, or what went wrong. Each event comes at least
 * once, in commit order, whole transactions one after the other. */
WEIR_CLIENT_API int weir_client_feed_next(weir_client_feed *f, int64_t wait_ms,
                                          weir_client_event *event, weir_client_error *err);
/* Says that everything up to the last whole transactions given is done with; durable when this
 * returns OK. After a restart the feed goes on behind it. */
WEIR_CLIENT_API int weir_client_feed_ack(weir_client_feed *f, weir_client_error *err);
/* The name stays subscribed. NULL is fine. */
WEIR_CLIENT_API void weir_client_feed_close(weir_client_feed *f);
/* Forgets the name and its position. */
WEIR_CLIENT_API int weir_client_unsubscribe(weir_client *c, const char *name,
                                            weir_client_error *err);

#ifdef __cplusplus
}
#endif

#endif
