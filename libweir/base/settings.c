/* settings.c - loads weir.ini, then an overlay, then WEIR_<SECTION>_<KEY>; checks every value.
 *
 * An option that is set twice in one file is an error: one of the two would be ignored.
 */
#include "libweir/base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/settings_ini.h"
#include "libweir/base/settings_table.h"
#include "libweir/base/str.h"

typedef struct loader {
    weir_settings *out;
    const char *app_dir; /* "" when unknown */
    weir_arena *a;
    weir_error *err;
    weir_rc rc;
    bool set_here[WEIR_OPTS_MAX]; /* by this file */
    bool set_any[WEIR_OPTS_MAX];
} loader;

static const char **text_at(weir_settings *s, const weir_opt *o)
{
    return (const char **)(void *)((char *)s + o->offset);
}

static weir_rc set_value(loader *l, size_t i, const char *text, weir_error *err)
{
    const weir_opt *o = &weir_settings_table[i];
    if (!weir_opt_is_text(o)) {
        return weir_opt_set_number(o, text, l->out, err);
    }
    weir_rc rc = weir_opt_check_text(o, text, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    bool under_app = o->type == WEIR_OPT_PATH && text[0] != '/' && l->app_dir[0];
    const char *kept = under_app ? weir_arena_printf(l->a, "%s/%s", l->app_dir, text)
                                 : weir_arena_strdup(l->a, text);
    if (!kept) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "no room left for the settings");
    }
    *text_at(l->out, o) = kept;
    return WEIR_OK;
}

static weir_rc take_option(loader *l, const char *section, const char *key, const char *value)
{
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        const weir_opt *o = &weir_settings_table[i];
        if (strcmp(o->section, section) != 0 || strcmp(o->key, key) != 0) {
            continue;
        }
        if (l->set_here[i]) {
            return weir_fail(l->err, WEIR_E_INPUT, 0, "%s.%s is set for the second time", section,
                             key);
        }
        l->set_here[i] = true;
        l->set_any[i] = true;
        return set_value(l, i, value, l->err);
    }
    return weir_opt_known_section(section) ? weir_opt_unknown_key(section, key, l->err)
                                           : weir_opt_unknown_section(section, l->err);
}

static weir_rc on_option(void *arg, const char *section, const char *key, const char *value,
                         weir_error *err)
{
    (void)err; /* the loader's own */
    return take_option(arg, section, key, value);
}

static weir_rc load_file(loader *l, const char *path, bool may_be_absent)
{
    if (!path) {
        return WEIR_OK;
    }
    memset(l->set_here, 0, sizeof l->set_here);
    l->rc = weir_ini_read(path, l->a, on_option, l, l->err);
    if (l->rc == WEIR_E_NOTFOUND && may_be_absent) {
        l->rc = WEIR_OK;
    } else if (l->rc == WEIR_E_NOTFOUND || l->rc == WEIR_E_LIMIT) {
        l->rc = WEIR_E_INPUT;
        if (l->err) {
            l->err->code = WEIR_E_INPUT;
        }
    }
    return l->rc;
}

static weir_rc load_environment(loader *l)
{
    for (char **e = environ; e && *e; e++) {
        size_t n = strcspn(*e, "=");
        if (strncmp(*e, "WEIR_", 5) != 0 || n >= WEIR_OPT_NAME_BYTES) {
            continue;
        }
        char name[WEIR_OPT_NAME_BYTES];
        (void)snprintf(name, sizeof name, "%.*s", (int)n, *e);
        weir_rc rc = weir_opt_check_variable(name, l->err);
        if (rc != WEIR_OK) {
            return rc;
        }
        for (size_t i = 0; i < weir_settings_table_len; i++) {
            char known[WEIR_OPT_NAME_BYTES];
            weir_opt_variable(known, &weir_settings_table[i]);
            if (strcmp(known, name) != 0) {
                continue;
            }
            rc = set_value(l, i, *e + n + ((*e)[n] == '='), l->err);
            if (rc != WEIR_OK) {
                weir_error_wrap(l->err, "environment variable %s", name);
                return rc;
            }
            l->set_any[i] = true;
        }
    }
    return WEIR_OK;
}

static size_t index_of(size_t offset)
{
    size_t i = 0;
    while (weir_settings_table[i].offset != offset) {
        i++;
    }
    return i;
}

static weir_rc load_defaults(loader *l)
{
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        const weir_opt *o = &weir_settings_table[i];
        if (o->def[0] == '\0') {
            if (weir_opt_is_text(o)) {
                *text_at(l->out, o) = "";
            }
            continue;
        }
        weir_rc rc = set_value(l, i, o->def, l->err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

/* "My-Shop 2" becomes "my_shop_2". */
static const char *name_of_dir(weir_arena *a, const char *dir)
{
    const char *slash = strrchr(dir, '/');
    char name[41];
    size_t n = 0;
    for (const char *p = slash ? slash + 1 : dir; *p && n < sizeof name - 1; p++) {
        char c = weir_opt_lower(*p);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        name[n] = '_';
        if (plain) {
            name[n] = c;
        }
        n++;
    }
    name[n] = '\0';
    return n ? weir_arena_strdup(a, name) : "weir";
}

static weir_rc fill_rest(loader *l)
{
    weir_settings *s = l->out;
    if (!l->set_any[index_of(offsetof(weir_settings, app_name))]) {
        s->app_name = l->app_dir[0] ? name_of_dir(l->a, l->app_dir) : "weir";
    }
    if (!l->set_any[index_of(offsetof(weir_settings, redis_namespace))]) {
        s->redis_namespace = s->app_name;
    }
    const char *own = weir_arena_printf(l->a, "weir_%s", s->app_name ? s->app_name : "");
    if (!s->app_name || !own) {
        return weir_fail(l->err, WEIR_E_LIMIT, 0, "no room left for the settings");
    }
    if (!l->set_any[index_of(offsetof(weir_settings, bridge_slot))]) {
        s->bridge_slot = own;
    }
    if (!l->set_any[index_of(offsetof(weir_settings, bridge_publication))]) {
        s->bridge_publication = own;
    }
    if (!l->set_any[index_of(offsetof(weir_settings, bridge_log_max_bytes))]) {
        s->bridge_log_max_bytes = s->bridge_log_map_bytes / 4;
    }
    if (s->bridge_log_max_bytes >= s->bridge_log_map_bytes) {
        return weir_fail(l->err, WEIR_E_INPUT, 0,
                         "bridge.log_max_bytes (%lld) must be less than bridge.log_map_bytes "
                         "(%lld), or the log is full "
                         "before a subscriber is given up",
                         (long long)s->bridge_log_max_bytes, (long long)s->bridge_log_map_bytes);
    }
    return WEIR_OK;
}

static weir_rc resolve_app_dir(loader *l, const char *app_dir)
{
    if (!app_dir) {
        l->app_dir = "";
        return WEIR_OK;
    }
    /* Absolute, so that a service started elsewhere finds the same folders; as given while it does
     * not exist. */
    char *real = realpath(app_dir, NULL);
    l->app_dir = weir_arena_strdup(l->a, real ? real : app_dir);
    free(real);
    return l->app_dir ? WEIR_OK
                      : weir_fail(l->err, WEIR_E_LIMIT, 0, "no room left for the settings");
}

weir_rc weir_settings_load(weir_settings *out, const char *app_dir, const char *path,
                           const char *overlay_path, weir_arena *a, weir_error *err)
{
    weir_error own;
    loader l = {.out = out, .a = a, .err = err ? err : &own, .rc = WEIR_OK};
    memset(out, 0, sizeof *out);
    weir_rc rc = resolve_app_dir(&l, app_dir);
    if (rc == WEIR_OK) {
        rc = load_defaults(&l);
    }
    if (rc == WEIR_OK) {
        rc = load_file(&l, path, false);
    }
    if (rc == WEIR_OK) {
        rc = load_file(&l, overlay_path, true);
    }
    if (rc == WEIR_OK) {
        rc = load_environment(&l);
    }
    return rc == WEIR_OK ? fill_rest(&l) : rc;
}
