/* err.c - the closed set of outcomes and the error a caller owns. */
#include "libweir/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const rc_names[WEIR_RC_COUNT] = {
    [WEIR_OK] = "ok",
    [WEIR_E_AGAIN] = "again",
    [WEIR_E_EOF] = "eof",
    [WEIR_E_TIMEOUT] = "timeout",
    [WEIR_E_CONN] = "connection",
    [WEIR_E_PROTO] = "protocol",
    [WEIR_E_INPUT] = "input",
    [WEIR_E_CONFLICT] = "conflict",
    [WEIR_E_NOTFOUND] = "notfound",
    [WEIR_E_LIMIT] = "limit",
    [WEIR_E_DENIED] = "denied",
    [WEIR_E_STATE] = "state",
    [WEIR_E_SYS] = "system",
};

/* Error texts are one line by contract: what a library or server put into them must not break the
 * log. */
static void one_line(char *s)
{
    for (; *s; s++) {
        if (*s == '\n' || *s == '\r' || *s == '\t') {
            *s = ' ';
        }
    }
}

static void trim_end(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && s[n - 1] == ' ') {
        s[--n] = '\0';
    }
}

/* A text that was cut after n bytes ends with a whole character: it may be told in JSON. */
static void end_whole(char *s, size_t n)
{
    while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80) {
        n--; /* within a character */
    }
    if (n > 0 && (unsigned char)s[n - 1] >= 0xc0) {
        s[n - 1] = '\0';
    }
}

static void format(char *text, size_t size, const char *fmt, va_list ap)
{
    if (vsnprintf(text, size, fmt, ap) >= (int)size) {
        end_whole(text, size - 1);
    }
}

static void set_text(weir_error *err, const char *fmt, va_list ap)
{
    /* The arguments may be err->msg itself, so format beside it. */
    char text[sizeof err->msg];
    format(text, sizeof text, fmt, ap);
    one_line(text);
    trim_end(text);
    memcpy(err->msg, text, strlen(text) + 1);
}

weir_rc weir_fail(weir_error *err, weir_rc code, unsigned flags, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_text(err, fmt, ap);
        va_end(ap);
        err->code = code;
        err->flags = flags;
        err->sqlstate[0] = '\0';
    }
    return code;
}

weir_rc weir_fail_errno(weir_error *err, const char *fmt, ...)
{
    int saved = errno;
    if (err) {
        char text[sizeof err->msg];
        char reason[128];
        va_list ap;
        va_start(ap, fmt);
        format(text, sizeof text, fmt, ap);
        va_end(ap);
        (void)weir_fail(err, WEIR_E_SYS, 0, "%s: %s", text,
                        strerror_r(saved, reason, sizeof reason));
    }
    errno = saved;
    return WEIR_E_SYS;
}

void weir_error_wrap(weir_error *err, const char *fmt, ...)
{
    char front[sizeof err->msg];
    char old[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    format(front, sizeof front, fmt, ap);
    va_end(ap);
    one_line(front);
    memcpy(old, err->msg, sizeof old);
    old[sizeof old - 1] = '\0';
    size_t n = strlen(front);
    size_t room = sizeof err->msg - 1;
    memcpy(err->msg, front, n);
    for (const char *part = ": "; *part && n < room; part++) {
        err->msg[n++] = *part;
    }
    const char *part = old;
    for (; *part && n < room; part++) {
        err->msg[n++] = *part;
    }
    err->msg[n] = '\0';
    if (*part) {
        end_whole(err->msg, n);
    }
}

const char *weir_rc_name(weir_rc code)
{
    if ((unsigned)code >= WEIR_RC_COUNT) {
        return "unknown";
    }
    return rc_names[code];
}
