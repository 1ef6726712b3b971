/* settings_table.h - private to settings*.c: one row per option. */
#ifndef WEIR_BASE_SETTINGS_TABLE_H
#define WEIR_BASE_SETTINGS_TABLE_H

#include "libweir/base/settings.h"

typedef enum weir_opt_type {
    WEIR_OPT_TEXT,  /* min and max bound the length */
    WEIR_OPT_NAME,  /* the same, of a-z 0-9 _ only: it becomes part of an SQL name */
    WEIR_OPT_LEVEL, /* debug, info, warn, error, off */
    WEIR_OPT_PATH,  /* text; relative paths start at the app directory */
    WEIR_OPT_INT,
    WEIR_OPT_BYTES, /* plain, or with k, M, G (1024) */
    WEIR_OPT_MS     /* plain milliseconds, or with ms, s, m, h */
} weir_opt_type;

/* In the order people read a row of the table, not the order without padding. */
typedef struct weir_opt { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *section, *key;
    weir_opt_type type;
    size_t offset; /* into weir_settings */
    const char *def;
    int64_t min, max;
    bool secret;          /* the value appears in no message */
    const char *doc;      /* one line */
    const char *def_text; /* how --help shows a default that depends on others; NULL: def */
} weir_opt;

extern const weir_opt weir_settings_table[];
extern const size_t weir_settings_table_len;

enum { WEIR_OPTS_MAX = 128, WEIR_OPT_NAME_BYTES = 96 };

bool weir_opt_is_text(const weir_opt *o);
/* Parse and check one value; err says what is wrong and never shows a secret. */
weir_rc weir_opt_set_number(const weir_opt *o, const char *text, weir_settings *s, weir_error *err);
weir_rc weir_opt_check_text(const weir_opt *o, const char *text, weir_error *err);

bool weir_opt_known_section(const char *section);
weir_rc weir_opt_unknown_section(const char *section, weir_error *err);
weir_rc weir_opt_unknown_key(const char *section, const char *key, weir_error *err);
char weir_opt_lower(char c); /* ASCII only, whatever the locale */
/* WEIR_<SECTION>_<KEY> */
void weir_opt_variable(char out[WEIR_OPT_NAME_BYTES], const weir_opt *o);
/* Refuses an environment variable that looks like a setting and is none. */
weir_rc weir_opt_check_variable(const char *name, weir_error *err);

#endif
