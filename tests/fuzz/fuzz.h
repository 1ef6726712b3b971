/* fuzz.h - the entry libFuzzer calls, and reading every byte of what a decoder hands out. */
#ifndef WEIR_TESTS_FUZZ_H
#define WEIR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "libweir/codec/tuple.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sum goes nowhere, but the compiler must not know: a slice that points outside shows under the
 * address sanitizer. */
extern volatile unsigned fuzz_sink;

static inline void fuzz_touch(weir_slice s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s.n; i++) {
        sum += (unsigned char)s.p[i];
    }
    fuzz_sink += sum;
}

static inline void fuzz_touch_row(const weir_tuple *t)
{
    for (uint16_t i = 0; i < t->n; i++) {
        fuzz_sink += (unsigned)t->v[i].kind;
        fuzz_touch(t->v[i].text);
    }
}

static inline void fuzz_touch_relation(const weir_relation *r)
{
    fuzz_touch(r->schema);
    fuzz_touch(r->name);
    for (uint16_t i = 0; i < r->n; i++) {
        fuzz_touch(r->cols[i].name);
        fuzz_sink += r->cols[i].type_oid + r->cols[i].key;
    }
}

#endif
