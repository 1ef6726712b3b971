/* test_meta.c - the meta object of a command, and the documents made from the catalog. */
#include <stdlib.h>

#include "tests/support/check.h"
#include "write-service/catalog.h"
#include "write-service/meta.h"

#include <jansson.h>

static void meta(void **state)
{
    (void)state;
    wsvc_call call = {.name = "place_order"};
    wsvc_job j = {.call = &call, .id = "abc", .correlation_id = "say \"x\"\\"};
    weir_buf b;
    weir_buf_init(&b, 4096);
    wsvc_meta_put(&b, &j, INT64_C(1700000000000042));
    assert_slice(
        "{\"id\":\"abc\",\"name\":\"place_order\",\"correlation_id\":\"say \\\"x\\\"\\\\\","
        "\"at\":\"2023-11-14T22:13:20.000042Z\"}",
        weir_buf_slice(&b));
    weir_buf_reset(&b);
    j.traceparent = "00-1-2-01";
    wsvc_meta_put(&b, &j, 0);
    assert_slice(
        "{\"id\":\"abc\",\"name\":\"place_order\",\"correlation_id\":\"say \\\"x\\\"\\\\\","
        "\"traceparent\":\"00-1-2-01\",\"at\":\"1970-01-01T00:00:00.000000Z\"}",
        weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static json_t *parse(weir_buf *b)
{
    assert_false(b->failed);
    json_error_t e;
    json_t *doc = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES, &e);
    if (!doc) {
        fail_msg("%s at %d", e.text, e.position);
    }
    return doc;
}

static void documents(void **state)
{
    (void)state;
    wsvc_entry entries[] = {{.name = WEIR_SLICE_LIT("a_command"),
                             .signature = WEIR_SLICE_LIT("a_command(x \"T\")"),
                             .args = WEIR_SLICE_LIT("[{\"name\": \"x\"}]"),
                             .openapi = WEIR_SLICE_LIT("{\"post\": {}}"),
                             .isolated = true},
                            {.name = WEIR_SLICE_LIT("other")}};
    wsvc_catalog c = {.revision = 7, .n = 2, .entries = entries};
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    wsvc_catalog_list(&c, &b);
    json_t *doc = parse(&b);
    assert_int_equal(json_array_size(json_object_get(doc, "commands")), 2);
    json_decref(doc);
    weir_buf_reset(&b);
    wsvc_catalog_openapi(&c, "shop \"one\"", true, &b);
    doc = parse(&b);
    assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.1.0");
    json_t *paths = json_object_get(doc, "paths");
    assert_non_null(json_object_get(paths, "/commands/a_command"));
    assert_non_null(json_object_get(json_object_get(paths, "/commands/other"), "post"));
    json_decref(doc);
    weir_buf_fini(&b);
    assert_ptr_equal(wsvc_catalog_find(&c, WEIR_SLICE_LIT("other")), &entries[1]);
    assert_null(wsvc_catalog_find(&c, WEIR_SLICE_LIT("othe")));
    assert_null(wsvc_catalog_find(NULL, WEIR_SLICE_LIT("other")));
    assert_string_equal(wsvc_catalog_nearest(&c, "othr"), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(meta), cmocka_unit_test(documents)};
    return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
