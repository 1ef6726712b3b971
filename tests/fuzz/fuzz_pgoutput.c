/* fuzz_pgoutput.c - one pgoutput message from hostile bytes. */
#include "libweir/codec/pgoutput.h"
#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

static void touch(const weir_pgo *m)
{
    switch (m->kind) {
    case WEIR_PGO_ORIGIN: fuzz_touch(m->u.origin.name); break;
    case WEIR_PGO_TYPE:
        fuzz_touch(m->u.type.schema);
        fuzz_touch(m->u.type.name);
        break;
    case WEIR_PGO_RELATION: fuzz_touch_relation(&m->u.relation); break;
    case WEIR_PGO_INSERT:
    case WEIR_PGO_UPDATE:
    case WEIR_PGO_DELETE:
        fuzz_touch_row(&m->u.row.old_row);
        fuzz_touch_row(&m->u.row.new_row);
        break;
    case WEIR_PGO_TRUNCATE:
        fuzz_touch(
            weir_slice_of((const char *)m->u.truncate.oids, m->u.truncate.n * sizeof(uint32_t)));
        break;
    case WEIR_PGO_MESSAGE:
        fuzz_touch(m->u.message.prefix);
        fuzz_touch(m->u.message.content);
        break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(1 << 20);
    weir_pgo m;
    weir_error err;
    if (weir_pgo_decode(weir_slice_of((const char *)data, size), a, &m, &err) == WEIR_OK) {
        touch(&m);
    }
    weir_arena_free(a);
    return 0;
}
