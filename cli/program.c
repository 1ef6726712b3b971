/* program.c - paths of the programs beside this one. */
#include "cli/program.h"

#include <string.h>
#include <unistd.h>

#include "libweir/base/slice.h"

enum { PATH_MAX_BYTES = 4096 };

const char *cli_program(weir_arena *a, const char *name)
{
    char path[PATH_MAX_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    int dir_len = slash ? (int)(slash + 1 - path) : 0;
    return weir_arena_printf(a, "%.*s%s", dir_len, path, name);
}

weir_rc cli_program_find(weir_arena *a, const char *name, const char **path, weir_error *err)
{
    *path = cli_program(a, name);
    if (access(*path, X_OK) == 0) {
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_NOTFOUND, 0, "%s is not there; build or install all programs",
                     *path);
}
