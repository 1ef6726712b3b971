/* log.h - logfmt lines on stderr: time, level, component, a greppable id, key=value text.
 *
 * Process-wide. Log once, where the decision is taken. Never payloads, never passwords. Any thread;
 * one line is one write.
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdbool.h>

#include "libweir/base/err.h"

typedef enum weir_log_level {
    WEIR_LOG_DEBUG,
    WEIR_LOG_INFO,
    WEIR_LOG_WARN,
    WEIR_LOG_ERROR,
    WEIR_LOG_OFF
} weir_log_level;

/* component is copied ("bridge"). level_name: debug, info, warn, error, off; false when unknown
 * (level stays). */
void weir_log_init(const char *component);
WEIR_MUST_CHECK bool weir_log_set_level(const char *level_name);
bool weir_log_on(weir_log_level level);
/* Use the macros: they test the level before the arguments are evaluated. */
void weir_log_write(weir_log_level level, const char *id, const char *fmt, ...) WEIR_PRINTF(3, 4);

#define WEIR_LOG_AT(level, id, ...)                                                                \
    do {                                                                                           \
        if (weir_log_on(level)) {                                                                  \
            weir_log_write(level, id, __VA_ARGS__);                                                \
        }                                                                                          \
    } while (0)
#define WEIR_DEBUG(id, ...) WEIR_LOG_AT(WEIR_LOG_DEBUG, id, __VA_ARGS__)
#define WEIR_INFO(id, ...)  WEIR_LOG_AT(WEIR_LOG_INFO, id, __VA_ARGS__)
#define WEIR_WARN(id, ...)  WEIR_LOG_AT(WEIR_LOG_WARN, id, __VA_ARGS__)
#define WEIR_ERROR(id, ...) WEIR_LOG_AT(WEIR_LOG_ERROR, id, __VA_ARGS__)

#endif
