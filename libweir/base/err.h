/* err.h - the one closed set of outcomes, and the error a caller owns: code, verdict, SQLSTATE,
 * text. */
#ifndef WEIR_BASE_ERR_H
#define WEIR_BASE_ERR_H

#define WEIR_MUST_CHECK   __attribute__((warn_unused_result))
#define WEIR_PRINTF(f, a) __attribute__((format(printf, f, a)))

typedef enum weir_rc {
    WEIR_OK = 0,
    WEIR_E_AGAIN,    /* nothing there yet; call again later */
    WEIR_E_EOF,      /* the other side ended in order */
    WEIR_E_TIMEOUT,  /* the deadline passed */
    WEIR_E_CONN,     /* the connection failed or was lost */
    WEIR_E_PROTO,    /* the peer broke its own protocol */
    WEIR_E_INPUT,    /* what the user or client gave is wrong */
    WEIR_E_CONFLICT, /* it collides with what is there */
    WEIR_E_NOTFOUND, /* there is no such thing */
    WEIR_E_LIMIT,    /* a configured bound was reached */
    WEIR_E_DENIED,   /* not allowed */
    WEIR_E_STATE,    /* the world is in a state that needs an operator (lost slot, gap, fenced) */
    WEIR_E_SYS,      /* the operating system or a library failed */
    WEIR_RC_COUNT
} weir_rc;

enum {
    WEIR_EF_RETRY = 1,  /* the same call may succeed later */
    WEIR_EF_FATAL = 2,  /* the process must not go on */
    WEIR_EF_CLIENT = 4, /* the client's fault: tell the client, do not log as ours */
};

typedef struct weir_error {
    weir_rc code;
    unsigned flags;   /* WEIR_EF_* */
    char sqlstate[6]; /* "" unless PostgreSQL said one */
    char msg[500];    /* one line, no secrets, names the next step where there is one */
} weir_error;

/* Fills err (which may be NULL) and returns code, so that `return weir_fail(err, ...)` is one line.
 * Any thread. */
weir_rc weir_fail(weir_error *err, weir_rc code, unsigned flags, const char *fmt, ...)
    WEIR_PRINTF(4, 5);

/* Like weir_fail with code WEIR_E_SYS and ": strerror(errno)" appended. */
weir_rc weir_fail_errno(weir_error *err, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* Puts "text: " in front of err->msg (truncating at the end); code and flags stay. err must not be
 * NULL. */
void weir_error_wrap(weir_error *err, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* The constant lower-case name of a code: "timeout". Never NULL. */
const char *weir_rc_name(weir_rc code);

#endif
