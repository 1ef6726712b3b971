/* fuzz_json.c - JSON from hostile bytes, walked and printed again. */
#include "libweir/codec/json.h"
#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(1 << 24);
    weir_json *j = NULL;
    weir_error err;
    if (weir_json_parse(&j, weir_slice_of((const char *)data, size), &err) == WEIR_OK) {
        void *iter = NULL;
        const char *key;
        const weir_json *value;
        weir_slice s;
        while (weir_json_next(j, &iter, &key, &value)) {
            fuzz_touch(weir_slice_z(key));
            if (weir_json_text(value, &s)) {
                fuzz_touch(s);
            }
        }
        for (size_t i = 0; i < weir_json_len(j); i++) {
            fuzz_sink += weir_json_at(j, i) != NULL;
        }
        fuzz_touch(weir_json_dump(j, size % 2, a));
        weir_json_free(j);
    }
    weir_arena_free(a);
    return 0;
}
