/* settings_name.c - names of sections, options and variables, and "did you mean". */
#include <stdio.h>

#include "libweir/base/settings_table.h"
#include "libweir/base/str.h"

static char upper(char c)
{
    if (c >= 'a' && c <= 'z') {
        c = (char)(c - 'a' + 'A');
    }
    return c;
}

char weir_opt_lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        c = (char)(c - 'A' + 'a');
    }
    return c;
}

void weir_opt_variable(char out[WEIR_OPT_NAME_BYTES], const weir_opt *o)
{
    (void)snprintf(out, WEIR_OPT_NAME_BYTES, "WEIR_%s_%s", o->section, o->key);
    for (char *p = out; *p; p++) {
        *p = upper(*p);
    }
}

bool weir_opt_known_section(const char *section)
{
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        if (strcmp(weir_settings_table[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

weir_rc weir_opt_unknown_section(const char *section, weir_error *err)
{
    static const char *const sections[] = {"app",    "postgres",  "redis", "write", "read",
                                           "bridge", "projector", "auth",  "tls"};
    const char *near = weir_nearest(section, sections, sizeof sections / sizeof sections[0]);
    if (section[0] == '\0') {
        return weir_fail(err, WEIR_E_INPUT, 0, "an option before the first [section]");
    }
    return weir_fail(
        err, WEIR_E_INPUT, 0, "there is no section [%.50s]%s%s%s", section,
        near ? "; did you mean [" : "",
        near ? near
             : "; there are [app] [postgres] [redis] [write] [read] [bridge] [projector] [auth] "
               "[tls",
        "]");
}

weir_rc weir_opt_unknown_key(const char *section, const char *key, weir_error *err)
{
    const char *keys[WEIR_OPTS_MAX] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        if (strcmp(weir_settings_table[i].section, section) == 0) {
            keys[n++] = weir_settings_table[i].key;
        }
    }
    const char *near = weir_nearest(key, keys, n);
    if (near) {
        return weir_fail(err, WEIR_E_INPUT, 0, "there is no option %s.%.60s; did you mean %s.%s?",
                         section, key, section, near);
    }
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        if (strcmp(weir_settings_table[i].key, key) == 0) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "there is no option %s.%.60s; did you mean %s.%s?", section, key,
                             weir_settings_table[i].section, key);
        }
    }
    return weir_fail(err, WEIR_E_INPUT, 0,
                     "there is no option %s.%.60s; docs/configuration.md lists them", section, key);
}

/* Names that share our prefix without being settings: `weir env` prints some, tests use others. */
static bool other_variable(const char *name)
{
    static const char *const exact[] = {"WEIR_WRITE_URL",     "WEIR_READ_URL",     "WEIR_FEED_URL",
                                        "WEIR_WRITE_NNG_URL", "WEIR_READ_NNG_URL", "WEIR_BIN_DIR",
                                        "WEIR_SOURCE_DIR",    "WEIR_KEY",          "WEIR_KEY_FILE"};
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        if (strcmp(exact[i], name) == 0) {
            return true;
        }
    }
    return strncmp(name, "WEIR_TEST_", 10) == 0 || strncmp(name, "WEIR_BENCH_", 11) == 0;
}

/* WEIR_WRIET_PORT: a known key after a section that is nearly one of ours. Other programs may use
 * the prefix for what they like. */
static bool mistyped_section(const char *name, char guess[WEIR_OPT_NAME_BYTES])
{
    char section[WEIR_OPT_NAME_BYTES];
    const char *rest = strchr(name + 5, '_');
    (void)snprintf(section, sizeof section, "%.*s", rest ? (int)(rest - name - 5) : 0, name + 5);
    for (char *p = section; *p; p++) {
        *p = weir_opt_lower(*p);
    }
    for (size_t i = 0; rest && i < weir_settings_table_len; i++) {
        const weir_opt *o = &weir_settings_table[i];
        weir_opt_variable(guess, o);
        if (weir_nearest(section, &o->section, 1) &&
            strcmp(guess + 5 + strlen(o->section), rest) == 0) {
            return true;
        }
    }
    return false;
}

static weir_rc unknown_variable(const char *name, const char *guess, weir_error *err)
{
    return weir_fail(err, WEIR_E_INPUT, 0, "the environment has %.80s, which is no setting%s%s%s",
                     name, guess ? "; did you mean " : "; docs/configuration.md lists them",
                     guess ? guess : "", guess ? "?" : "");
}

weir_rc weir_opt_check_variable(const char *name, weir_error *err)
{
    char names[WEIR_OPTS_MAX][WEIR_OPT_NAME_BYTES];
    const char *list[WEIR_OPTS_MAX] = {NULL};
    char guess[WEIR_OPT_NAME_BYTES];
    size_t n = 0;
    if (other_variable(name)) {
        return WEIR_OK;
    }
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        const weir_opt *o = &weir_settings_table[i];
        weir_opt_variable(names[n], o);
        if (strcmp(names[n], name) == 0) {
            return WEIR_OK;
        }
        /* Candidates for a guess: the options of the section this variable names. */
        if (strncmp(names[n], name, strlen("WEIR_") + strlen(o->section) + 1) == 0) {
            list[n] = names[n];
            n++;
        }
    }
    if (n > 0) {
        return unknown_variable(name, weir_nearest(name, list, n), err);
    }
    return mistyped_section(name, guess) ? unknown_variable(name, guess, err) : WEIR_OK;
}
