/* pg_uri.c - takes a connection string apart with libpq's own parser. */
#include "libweir/io/pg_uri.h"

#include <libpq-fe.h>

weir_rc weir_pg_uri_parse(weir_arena *a, const char *uri, weir_pg_uri *out, weir_error *err)
{
    *out = (weir_pg_uri){"", "", "", "", ""};
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &why);
    PQfreemem(why);
    if (!options) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the PostgreSQL connection string is malformed");
    }
    const struct {
        const char *keyword;
        const char **to;
    } wanted[] = {{"host", &out->host},
                  {"port", &out->port},
                  {"user", &out->user},
                  {"password", &out->password},
                  {"dbname", &out->dbname}};
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            if (o->val && strcmp(o->keyword, wanted[i].keyword) == 0) {
                *wanted[i].to = weir_arena_strdup(a, o->val);
            }
        }
    }
    PQconninfoFree(options);
    return WEIR_OK;
}
