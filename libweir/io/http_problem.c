/* http_problem.c - RFC 9457 problem documents and the reason phrases of statuses. */
#include "libweir/base/str.h"
#include "libweir/io/http.h"

enum { PROBLEM_MAX_BYTES = 256 * 1024 };

typedef struct reason {
    int status;
    const char *text;
} reason;

static const reason REASONS[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *weir_http_reason(int status)
{
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].status == status) {
            return REASONS[i].text;
        }
    }
    return "Unknown";
}

void weir_http_problem(weir_http_req *req, int status, const char *type, const char *detail,
                       const char *extra)
{
    weir_buf b;
    weir_buf_init(&b, PROBLEM_MAX_BYTES);
    weir_buf_putz(&b, "{\"type\":");
    weir_json_quote(&b, weir_slice_z(type ? type : "about:blank"));
    weir_buf_putz(&b, ",\"title\":");
    weir_json_quote(&b, weir_slice_z(weir_http_reason(status)));
    weir_buf_printf(&b, ",\"status\":%d,\"detail\":", status);
    weir_json_quote(&b, weir_slice_z(detail ? detail : ""));
    weir_slice path = weir_slice_z(weir_http_path(req));
    if (weir_utf8_ok(path)) {
        weir_buf_putz(&b, ",\"instance\":");
        weir_json_quote(&b, path);
    }
    if (extra && extra[0]) {
        weir_buf_u8(&b, ',');
        weir_buf_putz(&b, extra);
    }
    weir_buf_putz(&b, "}\n");
    weir_slice body = b.failed ? WEIR_SLICE_LIT("{\"type\":\"about:blank\",\"title\":\"Error\"}\n")
                               : weir_buf_slice(&b);
    weir_http_reply(req, status, "application/problem+json", body);
    weir_buf_fini(&b);
}
