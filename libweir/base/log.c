/* log.c - logfmt lines on stderr. */
#include "libweir/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libweir/base/clock.h"

/* At most PIPE_BUF, so that lines of several processes on one pipe never mix. */
enum { LINE_MAX_BYTES = 4096 };

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};
static char log_component[32] = "weir";
static atomic_int threshold = WEIR_LOG_INFO;

void weir_log_init(const char *component)
{
    (void)snprintf(log_component, sizeof log_component, "%s", component);
}

bool weir_log_set_level(const char *level_name)
{
    for (int i = WEIR_LOG_DEBUG; i <= WEIR_LOG_OFF; i++) {
        if (strcmp(level_names[i], level_name) == 0) {
            atomic_store_explicit(&threshold, i, memory_order_relaxed);
            return true;
        }
    }
    return false;
}

bool weir_log_on(weir_log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static size_t put_head(char *line, weir_log_level level, const char *id)
{
    int64_t us = weir_wall_us();
    time_t sec = (time_t)(us / 1000000);
    struct tm tm;
    char stamp[32] = "";
    if (gmtime_r(&sec, &tm)) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    int n = snprintf(line, LINE_MAX_BYTES, "time=%s.%03dZ level=%s component=%s id=%.64s ", stamp,
                     (int)(us / 1000 % 1000), level_names[level], log_component, id);
    return n < 0 ? 0 : (size_t)n;
}

void weir_log_write(weir_log_level level, const char *id, const char *fmt, ...)
{
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t n = put_head(line, level, id);
    va_list ap;
    va_start(ap, fmt);
    int text = vsnprintf(line + n, sizeof line - n, fmt, ap);
    va_end(ap);
    size_t end = text < 0 ? n : n + (size_t)text;
    if (end > sizeof line - 1) {
        end = sizeof line - 1;
    }
    for (size_t i = n; i < end; i++) {
        if ((unsigned char)line[i] < ' ') {
            line[i] = ' ';
        }
    }
    line[end] = '\n';
    /* A log that cannot be written has nobody to tell. */
    ssize_t ignored = write(STDERR_FILENO, line, end + 1);
    (void)ignored;
    errno = saved;
}
