/* fuzz_dockey.c - a key text that parses must come out of its parts again, but for needless or
 * lower-case escapes. */
#include "libweir/codec/dockey.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(1 << 22);
    weir_slice parts[16], again[16];
    size_t n = 16, m = 16;
    weir_buf b;
    weir_buf_init(&b, 1 << 22);
    if (size < 1 << 16 &&
        weir_dockey_parse(weir_slice_of((const char *)data, size), a, parts, &n)) {
        for (size_t i = 0; i < n; i++) {
            fuzz_touch(parts[i]);
        }
        weir_dockey_text(&b, parts, n);
        if (!weir_dockey_parse(weir_buf_slice(&b), a, again, &m) || m != n) {
            abort();
        }
        for (size_t i = 0; i < n; i++) {
            if (!weir_slice_eq(parts[i], again[i])) {
                abort();
            }
        }
    }
    weir_buf_fini(&b);
    weir_arena_free(a);
    return 0;
}
