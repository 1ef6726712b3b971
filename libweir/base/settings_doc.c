/* settings_doc.c - the table of options as --help text and as docs/configuration.md; URIs without
 * their secrets. */
#include <ctype.h>
#include <stdio.h>

#include "libweir/base/settings_table.h"

static const char *shown_default(const weir_opt *o)
{
    return o->def_text ? o->def_text : o->def;
}

static bool listed(const char *sections, const char *section)
{
    size_t n = strlen(section);
    for (const char *p = sections; p && (p = strstr(p, section)); p += n) {
        bool starts = p == sections || p[-1] == ' ';
        if (starts && (p[n] == ' ' || p[n] == '\0')) {
            return true;
        }
    }
    return sections == NULL;
}

weir_rc weir_settings_need_servers(const weir_settings *s, const char *sections, weir_error *err)
{
    const char *missing = listed(sections, "postgres") && !s->postgres_uri[0] ? "postgres"
                          : listed(sections, "redis") && !s->redis_uri[0]     ? "redis"
                                                                              : NULL;
    return missing ? weir_fail(err, WEIR_E_INPUT, 0,
                               "%s.uri is not set: name the server in weir.ini, or start private "
                               "ones with `weir up`",
                               missing)
                   : WEIR_OK;
}

void weir_settings_help(weir_buf *out, const char *sections)
{
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        const weir_opt *o = &weir_settings_table[i];
        char name[64];
        if (!listed(sections, o->section)) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s.%s", o->section, o->key);
        weir_buf_printf(out, "  %-30s %-22s %s\n", name, shown_default(o), o->doc);
    }
}

static void put_range(weir_buf *out, const weir_opt *o)
{
    static const char *const units[] = {"", "", "", "", "", " bytes", " ms"};
    if (weir_opt_is_text(o)) {
        static const char *const kinds[] = {[WEIR_OPT_TEXT] = "text",
                                            [WEIR_OPT_NAME] = "`a-z 0-9 _`",
                                            [WEIR_OPT_LEVEL] = "a level",
                                            [WEIR_OPT_PATH] = "a folder"};
        weir_buf_putz(out, kinds[o->type]);
    } else {
        weir_buf_printf(out, "%lld to %lld%s", (long long)o->min, (long long)o->max,
                        units[o->type]);
    }
}

void weir_settings_markdown(weir_buf *out)
{
    const char *section = "";
    weir_buf_putz(out,
                  "# Configuration\n\n"
                  "One file, `weir.ini`, serves every service. An overlay file wins over it "
                  "(`--overlay`), the\n"
                  "environment variable wins over both. An option that does not exist is an "
                  "error, not a guess.\n"
                  "Byte values take `k`, `M`, `G` (powers of 1024), durations `ms`, `s`, `m`, "
                  "`h`; plain numbers are\n"
                  "bytes and milliseconds. Relative folders start at the app directory.\n\n"
                  "This page is made from the table in `libweir/base/settings_table.c`; a "
                  "test compares them.\n"
                  "`build/tests/lint.configuration > docs/configuration.md` writes it anew.\n");
    for (size_t i = 0; i < weir_settings_table_len; i++) {
        const weir_opt *o = &weir_settings_table[i];
        if (strcmp(section, o->section) != 0) {
            section = o->section;
            weir_buf_printf(out,
                            "\n## [%s]\n\n| Option | Default | Range | Meaning | Variable "
                            "|\n|---|---|---|---|---|\n",
                            section);
        }
        weir_buf_printf(out, "| `%s` | %s%s%s | ", o->key, o->def_text ? "" : "`", shown_default(o),
                        o->def_text ? "" : "`");
        put_range(out, o);
        weir_buf_printf(out, " | %s%s | ", o->doc, o->secret ? ". Secret: never shown" : "");
        char variable[WEIR_OPT_NAME_BYTES];
        weir_opt_variable(variable, o);
        weir_buf_printf(out, "`%s` |\n", variable);
    }
}

static bool key_is_harmless(weir_slice key)
{
    static const char *const known[] = {"host",    "hostaddr",         "port", "dbname", "user",
                                        "sslmode", "application_name", "db"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (weir_slice_eqz(key, known[i])) {
            return true;
        }
    }
    return false;
}

/* libpq's other form, "host=h user=u password='a b'": only harmless words are kept. */
static void put_conninfo(weir_buf *out, const char *p)
{
    while (*p) {
        p += strspn(p, " \t\n");
        size_t kn = strcspn(p, " \t\n=");
        weir_slice key = {p, kn};
        p += kn;
        p += strspn(p, " \t\n");
        if (*p != '=') {
            return; /* not of this form: show nothing rather than too much */
        }
        p++;
        p += strspn(p, " \t\n");
        const char *from = p;
        bool quoted = *p == '\'';
        for (p += quoted; *p && (quoted ? *p != '\'' : !isspace((unsigned char)*p)); p++) {
            p += *p == '\\' && p[1];
        }
        p += quoted && *p;
        if (key_is_harmless(key)) {
            weir_buf_printf(out, "%s%.*s=%.*s", out->n ? " " : "", (int)key.n, key.p,
                            (int)(p - from), from);
        }
    }
}

static void put_query(weir_buf *out, const char *p)
{
    char sep = '?';
    while (*p) {
        size_t n = strcspn(p, "&");
        weir_slice key = {p, strcspn(p, "&=")};
        if (key_is_harmless(key)) {
            weir_buf_printf(out, "%c%.*s", sep, (int)n, p);
            sep = '&';
        }
        p += n;
        p += *p == '&';
    }
}

static void put_uri(weir_buf *out, const char *uri, const char *after_scheme)
{
    /* The last @ ends the credentials even where a password has unescaped / ? or @ in it. */
    const char *at = strrchr(after_scheme, '@');
    const char *host = at ? at + 1 : after_scheme;
    weir_buf_put(out, uri, (size_t)(after_scheme - uri));
    if (at) {
        size_t user = strcspn(after_scheme, ":@");
        weir_buf_put(out, after_scheme, user);
        weir_buf_putz(out, user ? "@" : "");
    }
    size_t n = strcspn(host, "?");
    weir_buf_put(out, host, n);
    if (host[n] == '?') {
        put_query(out, host + n + 1);
    }
}

const char *weir_uri_safe(weir_arena *a, const char *uri)
{
    weir_buf b;
    weir_buf_init(&b, 8192);
    const char *scheme_end = strstr(uri, "://");
    if (scheme_end) {
        put_uri(&b, uri, scheme_end + 3);
    } else {
        put_conninfo(&b, uri);
    }
    const char *safe = b.failed ? NULL : weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return safe ? safe : "(too long to show)";
}
