/* name.c - identifiers as SQL writes them: folded to lower case, or quoted. */
#include "migrations/migrate/mapping.h"

enum { NAME_MAX_BYTES = 63 };

static bool start_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

/* One identifier at *p, *p behind it; NULL when there is none. */
static const char *ident(weir_arena *a, const char **p)
{
    const char *z = *p;
    char out[NAME_MAX_BYTES + 1];
    size_t n = 0;
    if (*z == '"') {
        for (z++; *z && (*z != '"' || z[1] == '"'); z++) {
            z += *z == '"';
            if (n == NAME_MAX_BYTES) {
                return NULL;
            }
            out[n++] = *z;
        }
        if (*z != '"' || n == 0) {
            return NULL;
        }
        z++;
    } else {
        if (!start_char(*z)) {
            return NULL;
        }
        while (start_char(*z) || (*z >= '0' && *z <= '9') || *z == '$') {
            if (n == NAME_MAX_BYTES) {
                return NULL;
            }
            out[n++] = (char)(*z >= 'A' && *z <= 'Z' ? *z + 32 : *z);
            z++;
        }
    }
    *p = z;
    return weir_arena_dupz(a, weir_slice_of(out, n));
}

bool mig_name_split(weir_arena *a, const char *z, const char **schema, const char **name)
{
    *schema = NULL;
    *name = ident(a, &z);
    if (*name && *z == '.') {
        z++;
        *schema = *name;
        *name = ident(a, &z);
    }
    return *name && *z == '\0';
}

const char *mig_list_next(weir_arena *a, const char **p, bool *bad)
{
    const char *z = *p;
    *bad = false;
    while (*z == ' ' || *z == '\t' || *z == '\n' || *z == ',') {
        z++;
    }
    if (!*z) {
        return NULL;
    }
    const char *word = ident(a, &z);
    *bad = !word || !(*z == '\0' || *z == ',' || *z == ' ' || *z == '\t' || *z == '\n');
    *p = z;
    return *bad ? NULL : word;
}
