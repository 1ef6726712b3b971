/* fuzz_record.c - CSV and JSON Lines from hostile bytes. The first byte chooses the format. */
#include <sys/mman.h>
#include <unistd.h>

#include "migrations/lake/record.h"
#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

static void read_all(int fd, lake_format format)
{
    lake_reader *r = lake_reader_new(fd, format, ',', 4096, 0, 1);
    weir_arena *a = weir_arena_new(1 << 24);
    lake_record rec;
    weir_error err;
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    while (lake_reader_next(r, a, &rec, &err) == WEIR_OK) {
        fuzz_touch(rec.raw);
        for (size_t i = 0; i < rec.n; i++) {
            fuzz_touch(rec.fields[i].name);
            fuzz_touch(rec.fields[i].text);
            fuzz_touch(rec.fields[i].raw);
            if (rec.fields[i].kind == LAKE_ARRAY && lake_json_array(rec.fields[i].raw, &b)) {
                fuzz_touch(weir_buf_slice(&b));
            }
            weir_buf_reset(&b);
        }
        weir_arena_reset(a);
    }
    weir_buf_fini(&b);
    weir_arena_free(a);
    lake_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || size == 0) {
        (void)(fd >= 0 && close(fd));
        return 0;
    }
    if (write(fd, data + 1, size - 1) == (ssize_t)size - 1) {
        read_all(fd, data[0] % 2 ? LAKE_CSV : LAKE_JSONL);
    }
    (void)close(fd);
    return 0;
}
