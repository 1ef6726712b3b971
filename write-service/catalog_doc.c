/* catalog_doc.c - the catalog as documents: GET /commands and GET /openapi.json. */
#include <inttypes.h>

#include "libweir/base/str.h"
#include "write-service/catalog.h"

static void put_json_or(weir_buf *out, weir_slice json, const char *otherwise)
{
    weir_slice s = weir_slice_trim(json);
    weir_buf_puts(out, s.n ? s : weir_slice_z(otherwise));
}

void wsvc_catalog_list(const wsvc_catalog *c, weir_buf *out)
{
    weir_buf_printf(out, "{\"revision\":%" PRId64 ",\"commands\":[", c ? c->revision : 0);
    for (size_t i = 0; c && i < c->n; i++) {
        const wsvc_entry *e = &c->entries[i];
        weir_buf_printf(out, "%s{\"name\":", i ? "," : "");
        weir_json_quote(out, e->name);
        weir_buf_putz(out, ",\"signature\":");
        weir_json_quote(out, e->signature);
        weir_buf_putz(out, ",\"result_type\":");
        weir_json_quote(out, e->result_type);
        weir_buf_putz(out, ",\"description\":");
        weir_json_quote(out, e->description);
        weir_buf_printf(out, ",\"isolated\":%s,\"serializable\":%s,\"serialize_by\":",
                        e->isolated ? "true" : "false", e->serializable ? "true" : "false");
        if (e->serialize_by.n) {
            weir_json_quote(out, e->serialize_by);
        } else {
            weir_buf_putz(out, "null");
        }
        weir_buf_putz(out, ",\"args\":");
        put_json_or(out, e->args, "[]");
        weir_buf_putz(out, "}");
    }
    weir_buf_putz(out, "]}");
}

/* openapi_paths.json, openapi_components.json: what is the same for every application. */
extern const char weir_sql_openapi_paths[];
extern const char weir_sql_openapi_components[];

/* A command whose path item was not stored is still listed, with any object as its body. */
static const char any_path[] =
    "{\"post\":{\"requestBody\":{\"required\":true,\"content\":{\"application/"
    "json\":{\"schema\":{\"type\":\"object\"}}}},"
    "\"responses\":{\"200\":{\"description\":\"Executed.\",\"content\":{\"application/"
    "json\":{\"schema\":"
    "{\"$ref\":\"#/components/schemas/CommandReply\"}}}},\"default\":{\"$ref\":\"#/components/"
    "responses/Problem\"}}}}";

static const char security[] =
    ",\"securitySchemes\":{\"Bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"description\":\"An API key (weir_...) or a JSON Web Token.\"}}},"
    "\"security\":[{\"Bearer\":[]}]";

/* The body of POST /commands: each a command of ours with its own arguments. */
static void put_batch(const wsvc_catalog *c, weir_buf *out)
{
    weir_buf_putz(out, "\"requestBodies\":{\"Batch\":{\"required\":true,\"content\":{"
                       "\"application/json\":{\"schema\":{\"type\":\"array\",\"minItems\":1,"
                       "\"maxItems\":100,\"items\":{");
    for (size_t i = 0; c && i < c->n; i++) {
        weir_slice name = c->entries[i].name;
        weir_buf_printf(out,
                        "%s{\"type\":\"object\",\"additionalProperties\":false,\"required\":"
                        "[\"name\"],\"properties\":{\"name\":{\"const\":\"" WEIR_SLICE_FMT
                        "\"},\"arguments\":{\"$ref\":\"#/paths/~1commands~1" WEIR_SLICE_FMT
                        "/post/requestBody/content/application~1json/schema\"}}}",
                        i ? "," : "\"oneOf\":[", WEIR_SLICE_ARG(name), WEIR_SLICE_ARG(name));
    }
    weir_buf_putz(out, c && c->n ? "]" : "");
    weir_buf_putz(out, "}}}}}},");
}

/* The members of a JSON object, without its braces. */
static weir_slice members(const char *json)
{
    weir_slice s = weir_slice_trim(weir_slice_z(json));
    return weir_slice_of(s.p + 1, s.n - 2);
}

void wsvc_catalog_openapi(const wsvc_catalog *c, const char *title, bool guarded, weir_buf *out)
{
    weir_buf_putz(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
    weir_json_quote(out, weir_slice_z(title));
    weir_buf_printf(out, ",\"version\":\"%" PRId64 "\"},\"paths\":{", c ? c->revision : 0);
    weir_buf_puts(out, members(weir_sql_openapi_paths));
    for (size_t i = 0; c && i < c->n; i++) {
        const wsvc_entry *e = &c->entries[i];
        weir_buf_printf(out, ",\"/commands/%.*s\":", WEIR_SLICE_ARG(e->name));
        put_json_or(out, e->openapi, any_path);
    }
    weir_buf_putz(out, "},\"components\":{");
    put_batch(c, out);
    weir_buf_puts(out, members(weir_sql_openapi_components));
    weir_buf_putz(out, guarded ? security : "}");
    weir_buf_putz(out, "}");
}
