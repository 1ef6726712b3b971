/* test_protocol.c - every hex dump of docs/protocol.md is what the code says.
 *
 * A dump is a fenced block "```hex NAME"; WEIR_GOLDEN_UPDATE=1 writes them anew.
 */
#include "libweir/base/sp.h"
#include "libweir/base/str.h"
#include "libweir/codec/ask.h"
#include "tests/support/codec_check.h"
#include "tests/support/codec_samples.h"

enum { PER_LINE = 16, PAGE_MAX_BYTES = 1 << 20 };

static void framed(weir_buf *out, bool ipc, weir_slice body)
{
    unsigned char head[WEIR_SP_HEAD_MAX];
    weir_buf_put(out, head, weir_sp_head(head, ipc, body.n + 4));
    weir_buf_u32(out, 0x80000001U);
    weir_buf_puts(out, body);
}

static void put_greeting(weir_buf *out, unsigned protocol)
{
    unsigned char g[WEIR_SP_GREETING_BYTES];
    weir_sp_greeting(g, protocol);
    weir_buf_put(out, g, sizeof g);
}

static weir_ask order(void)
{
    weir_ask a = weir_ask_of(WEIR_ASK_COMMAND);
    a.name = weir_slice_z("place_order");
    a.args =
        weir_slice_z("{\"customer_id\": 40, \"lines\": [{\"sku\": \"SKU-0007\", \"qty\": 2}]}");
    a.idempotency_key = weir_slice_z("a1b2");
    return a;
}

static void ask_into(weir_buf *out, const weir_ask *ask)
{
    weir_ask_encode(out, ask);
}

static void put_ask(weir_buf *out, weir_slice name)
{
    weir_ask a = weir_ask_of(WEIR_ASK_QUERY);
    const weir_slice key = WEIR_SLICE_LIT("50001");
    if (weir_slice_eqz(name, "query")) {
        a.model = weir_slice_z("order_view");
        a.key[a.nkey++] = key;
        a.min_position = weir_slice_z("0/5A3B2C8");
        a.wait_ms = 1000;
    } else if (weir_slice_eqz(name, "commands")) {
        a = weir_ask_of(WEIR_ASK_COMMANDS);
        a.args = weir_slice_z("[{\"name\": \"cancel_order\", \"arguments\": {\"order_id\": 17}}]");
        a.atomic = true;
    } else {
        a = weir_ask_of(WEIR_ASK_STATUS);
        a.id = weir_slice_z("1f0c9d0e7a3b4c5d8e9f0a1b2c3d4e5f");
        a.wait_ms = 5000;
    }
    ask_into(out, &a);
}

static void put_answer(weir_buf *out, bool ok)
{
    static const char body[] = "{\"command_id\":\"1f0c9d0e7a3b4c5d8e9f0a1b2c3d4e5f\",\"result\":"
                               "{\"total\": 3.58, \"order_id\": 50001},\"position\":\"0/5A3B2C8\"}";
    static const char problem[] =
        "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,\"detail\":"
        "\"only 3 of SKU-0050 left, 20 wanted\",\"instance\":\"/commands/place_order\","
        "\"command_id\":\"1f0c9d0e7a3b4c5d8e9f0a1b2c3d4e5f\",\"sqlstate\":\"P0001\"}\n";
    weir_answer a = {.status = ok ? 200 : 422,
                     .body = weir_slice_z(ok ? body : problem),
                     .retry_after_s = -1,
                     .position = weir_slice_z("0/5A3B2C8")};
    weir_answer_encode(out, &a);
}

/* The bytes of the dump of that name. */
static void make(weir_buf *out, weir_slice name)
{
    weir_buf inner;
    const weir_ask command = order();
    weir_buf_init(&inner, PAGE_MAX_BYTES);
    if (weir_slice_eqz(name, "greeting-req") || weir_slice_eqz(name, "greeting-rep")) {
        put_greeting(out, name.p[name.n - 1] == 'q' ? WEIR_SP_REQ : WEIR_SP_REP);
    } else if (weir_slice_eqz(name, "tcp-command") || weir_slice_eqz(name, "ipc-command")) {
        ask_into(&inner, &command);
        framed(out, name.p[0] == 'i', weir_buf_slice(&inner));
    } else if (weir_slice_eqz(name, "tcp-answer")) {
        put_answer(&inner, true);
        framed(out, false, weir_buf_slice(&inner));
    } else if (weir_slice_eqz(name, "problem")) {
        put_answer(out, false);
    } else if (weir_slice_eqz(name, "query") || weir_slice_eqz(name, "commands") ||
               weir_slice_eqz(name, "status")) {
        put_ask(out, name);
    } else {
        for (size_t i = 0; i < codec_samples_count; i++) {
            if (weir_slice_eqz(name, codec_samples[i].name)) {
                codec_samples[i].make(out);
            }
        }
    }
    weir_buf_fini(&inner);
    if (out->n == 0) {
        fail_msg("docs/protocol.md shows \"" WEIR_SLICE_FMT "\", which is not known here",
                 WEIR_SLICE_ARG(name));
    }
}

static void dump(weir_buf *out, weir_slice bytes)
{
    for (size_t at = 0; at < bytes.n; at += PER_LINE) {
        size_t n = bytes.n - at < PER_LINE ? bytes.n - at : PER_LINE;
        for (size_t i = 0; i < PER_LINE; i++) {
            if (i < n) {
                weir_buf_printf(out, "%02x ", (unsigned char)bytes.p[at + i]);
            } else {
                weir_buf_putz(out, "   ");
            }
        }
        weir_buf_putz(out, " ");
        for (size_t i = 0; i < n; i++) {
            char c = bytes.p[at + i];
            weir_buf_u8(out, (uint8_t)(c >= ' ' && c <= '~' ? c : '.'));
        }
        weir_buf_putz(out, "\n");
    }
}

/* page with every dump made anew. */
static size_t renew(weir_slice page, weir_buf *out)
{
    static const char fence[] = "```hex ";
    size_t n = 0;
    const char *at = page.p, *end = page.p + page.n;
    for (const char *found; (found = strstr(at, fence)) != NULL; n++) {
        weir_buf bytes;
        const char *name = found + sizeof fence - 1, *line = strchr(name, '\n');
        assert_non_null(line);
        const char *close = strstr(line, "```");
        assert_non_null(close);
        weir_buf_put(out, at, (size_t)(line + 1 - at));
        weir_buf_init(&bytes, PAGE_MAX_BYTES);
        make(&bytes, weir_slice_of(name, (size_t)(line - name)));
        dump(out, weir_buf_slice(&bytes));
        weir_buf_fini(&bytes);
        at = close;
        weir_buf_put(out, at, 3);
        at += 3;
    }
    weir_buf_put(out, at, (size_t)(end - at));
    return n;
}

static void test_protocol(void **state)
{
    static const char path[] = WEIR_SOURCE_DIR "/docs/protocol.md";
    weir_arena *a = weir_arena_new(0);
    weir_error err = {0};
    weir_slice page;
    weir_buf made;
    const char *update = getenv("WEIR_GOLDEN_UPDATE");
    (void)state;
    weir_buf_init(&made, PAGE_MAX_BYTES);
    assert_rc(WEIR_OK, weir_file_read(path, PAGE_MAX_BYTES, a, &page, &err));
    assert_true(renew(page, &made) >= 12);
    if (update && strcmp(update, "1") == 0) {
        assert_rc(WEIR_OK, weir_file_write(path, weir_buf_slice(&made), 0644, &err));
    } else if (!weir_slice_eq(page, weir_buf_slice(&made))) {
        fail_msg("a dump in docs/protocol.md is not what is sent; WEIR_GOLDEN_UPDATE=1 writes it");
    }
    weir_buf_fini(&made);
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_protocol)};
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
