/* settings_ini.c - reads an ini file option by option. */
#include "libweir/base/settings_ini.h"

#include <ini.h>

#include "libweir/base/str.h"

/* Debian's inih can be told its line length at run time; one that cannot keeps its own limit, which
 * read_line checks. */
#pragma weak ini_max_line
#pragma weak ini_initial_alloc
#pragma weak ini_use_stack

typedef struct ini_read {
    weir_ini_fn *fn;
    void *arg;
    weir_error *err;
    weir_rc rc;
    const char *file;
    weir_slice rest;
    int line;
} ini_read;

/* The place goes in front of what the caller said, err or not. */
static int on_option(void *user, const char *section, const char *key, const char *value)
{
    ini_read *r = user;
    if (r->rc == WEIR_OK && key) {
        r->rc = r->fn(r->arg, section, key, value ? value : "", r->err);
        if (r->rc != WEIR_OK && r->err) {
            weir_error_wrap(r->err, "%s:%d", r->file, r->line);
        }
    }
    return r->rc == WEIR_OK;
}

/* inih's fgets: one trimmed line, or NULL at the end. */
static char *read_line(char *str, int size, void *stream)
{
    ini_read *r = stream;
    if (r->rest.n == 0 || r->rc != WEIR_OK) {
        return NULL;
    }
    const char *nl = memchr(r->rest.p, '\n', r->rest.n);
    weir_slice line = {r->rest.p, nl ? (size_t)(nl - r->rest.p) : r->rest.n};
    size_t used = line.n + (nl ? 1 : 0);
    r->rest.p += used;
    r->rest.n -= used;
    r->line++;
    line = weir_slice_trim(line);
    /* Room for newline and NUL; inih itself wants one more. */
    if (size < 3 || line.n > (size_t)size - 3) {
        r->rc = weir_fail(r->err, WEIR_E_INPUT, 0, "%s:%d: the line is longer than %d characters",
                          r->file, r->line, size - 3);
        return NULL;
    }
    if (memchr(line.p, '\0', line.n)) {
        r->rc = weir_fail(r->err, WEIR_E_INPUT, 0, "%s:%d: there is a NUL byte in the line",
                          r->file, r->line);
        return NULL;
    }
    if (line.n && line.p[0] == '[' && !memchr(line.p, ']', line.n)) {
        /* inih would go on and blame the line after. */
        r->rc = weir_fail(r->err, WEIR_E_INPUT, 0, "%s:%d: the section has no closing ]", r->file,
                          r->line);
        return NULL;
    }
    memcpy(str, line.p, line.n);
    str[line.n] = '\n';
    str[line.n + 1] = '\0';
    return str;
}

static void allow_long_lines(void)
{
    if (&ini_max_line && &ini_initial_alloc && &ini_use_stack) {
        ini_use_stack = false;
        ini_initial_alloc = WEIR_INI_LINE_MAX_BYTES;
        ini_max_line = WEIR_INI_LINE_MAX_BYTES;
    }
}

weir_rc weir_ini_read(const char *path, weir_arena *a, weir_ini_fn *fn, void *arg, weir_error *err)
{
    ini_read r = {.fn = fn, .arg = arg, .err = err, .file = path};
    weir_rc rc = weir_file_read(path, WEIR_INI_FILE_MAX_BYTES, a, &r.rest, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    allow_long_lines();
    int bad_line = ini_parse_stream(read_line, &r, on_option, &r);
    if (r.rc == WEIR_OK && bad_line != 0) {
        r.rc = bad_line < 0 ? weir_fail(err, WEIR_E_SYS, 0, "%s: out of memory", path)
                            : weir_fail(err, WEIR_E_INPUT, 0,
                                        "%s:%d: neither [section] nor key = value", path, bad_line);
    }
    return r.rc;
}
