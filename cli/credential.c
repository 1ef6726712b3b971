/* credential.c - the key or token the command line shows to the services. */
#include "cli/credential.h"

#include <stdlib.h>

#include "libweir/base/str.h"

enum { CREDENTIAL_MAX_BYTES = 8192 };

static bool is_credential(weir_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n > 0;
}

weir_rc cli_credential(const char **line, const char *file, weir_arena *a, weir_error *err)
{
    const char *value = file ? NULL : getenv("WEIR_KEY");
    const char *path = file ? file : getenv("WEIR_KEY_FILE");
    weir_slice text = {NULL, 0};
    *line = NULL;
    if (value && value[0]) {
        text = weir_slice_z(value);
    } else if (path && path[0]) {
        weir_rc rc = weir_file_read(path, CREDENTIAL_MAX_BYTES, a, &text, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    } else {
        return WEIR_OK;
    }
    text = weir_slice_trim(text);
    if (!is_credential(text)) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "%s holds no key or token: one word is expected",
                         value && value[0] ? "WEIR_KEY" : path);
    }
    *line = weir_arena_printf(a, "Authorization: Bearer " WEIR_SLICE_FMT, WEIR_SLICE_ARG(text));
    return WEIR_OK;
}
