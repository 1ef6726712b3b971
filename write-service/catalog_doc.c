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

static const char components[] =
    "\"components\":{\"parameters\":{"
    "\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"description\":\"Executed "
    "at "
    "most once however often it is sent; a repetition gets the first answer.\","
    "\"schema\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":257}},"
    "\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"description\":\"The version the "
    "command "
    "expects, an entity tag.\",\"schema\":{\"type\":\"string\"}},"
    "\"Prefer\":{\"name\":\"Prefer\",\"in\":\"header\",\"description\":\"wait=N: not executed when "
    "it "
    "has not begun within N seconds.\",\"schema\":{\"type\":\"string\"}},"
    "\"CorrelationId\":{\"name\":\"X-Correlation-Id\",\"in\":\"header\",\"schema\":{\"type\":"
    "\"string\",\"minLength\":1,\"maxLength\":128}},"
    "\"TraceParent\":{\"name\":\"traceparent\",\"in\":\"header\",\"description\":\"W3C trace "
    "context.\",\"schema\":{\"type\":\"string\"}}},"
    "\"headers\":{\"Position\":{\"description\":\"As position in the body.\",\"schema\":{\"$ref\":"
    "\"#/components/schemas/Position\"}},"
    "\"Replayed\":{\"description\":\"The answer of an earlier command with this "
    "Idempotency-Key.\",\"schema\":{\"type\":\"string\",\"enum\":[\"true\"]}}},"
    "\"schemas\":{"
    "\"Position\":{\"type\":\"string\",\"pattern\":\"^[0-9A-F]+/[0-9A-F]+$\",\"description\":"
    "\"Position at or after the command's commit; give it to a query as min_position to read your "
    "own write.\"},"
    "\"CommandReply\":{\"type\":\"object\",\"required\":[\"command_id\",\"result\",\"position\"],"
    "\"properties\":{"
    "\"command_id\":{\"type\":\"string\"},\"result\":{},\"position\":{\"$ref\":\"#/components/"
    "schemas/Position\"}}},"
    "\"Problem\":{\"type\":\"object\",\"description\":\"RFC 9457 problem "
    "document.\",\"required\":[\"type\",\"title\",\"status\"],"
    "\"properties\":{\"type\":{\"type\":\"string\",\"format\":\"uri-reference\"},\"title\":{"
    "\"type\":\"string\"},"
    "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},\"instance\":{\"type\":"
    "\"string\"},"
    "\"command_id\":{\"type\":\"string\"},\"sqlstate\":{\"type\":\"string\"},\"pg_detail\":{"
    "\"type\":\"string\"},"
    "\"hint\":{\"type\":\"string\"},\"constraint\":{\"type\":\"string\"},\"column\":{\"type\":"
    "\"string\"},"
    "\"table\":{\"type\":\"string\"},\"pointer\":{\"type\":\"string\",\"description\":\"JSON "
    "Pointer into the request body.\"},"
    "\"committed\":{\"type\":[\"boolean\",\"null\"],\"description\":"
    "\"With type urn:weir:problem:outcome-unknown: whether the command was executed, null when "
    "nobody knows.\"},"
    "\"position\":{\"$ref\":\"#/components/schemas/Position\"}}}},"
    "\"responses\":{\"Problem\":{\"description\":\"The command was refused or "
    "failed.\",\"content\":{"
    "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}";

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

void wsvc_catalog_openapi(const wsvc_catalog *c, const char *title, bool guarded, weir_buf *out)
{
    weir_buf_putz(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
    weir_json_quote(out, weir_slice_z(title));
    weir_buf_printf(out, ",\"version\":\"%" PRId64 "\"},\"paths\":{", c ? c->revision : 0);
    for (size_t i = 0; c && i < c->n; i++) {
        const wsvc_entry *e = &c->entries[i];
        weir_buf_printf(out, "%s\"/commands/%.*s\":", i ? "," : "", WEIR_SLICE_ARG(e->name));
        put_json_or(out, e->openapi, any_path);
    }
    weir_buf_putz(out, "},");
    if (guarded) {
        weir_buf_put(out, components, sizeof components - 2); /* goes on before its last brace */
        weir_buf_putz(out, security);
    } else {
        weir_buf_putz(out, components);
    }
    weir_buf_putz(out, "}");
}
