/* pgoutput.h - decodes one pgoutput message (proto_version 1): bytes in, one struct out. */
/* clang-format off */
/* All integers are big endian. Layouts (PostgreSQL manual, "Logical Replication Message Formats"):
 *   B final_lsn:u64 commit_us:i64 xid:u32            C flags:u8 commit_lsn:u64 end_lsn:u64 commit_us:i64
 *   O origin_lsn:u64 name\0                           Y oid:u32 schema\0 name\0
 *   R oid:u32 schema\0 name\0 identity:u8 n:u16 { flags:u8 name\0 type:u32 typmod:i32 }
 *   I oid:u32 'N' tuple   U oid:u32 [K|O tuple] 'N' tuple   D oid:u32 K|O tuple
 *   T n:u32 flags:u8 { oid:u32 }   M flags:u8 lsn:u64 prefix\0 len:u32 content
 *   tuple: n:u16 { 'n' | 'u' | 't' len:u32 bytes | 'b' len:u32 bytes }
 * Truncated input, leftovers, unknown types, flags or tuple kinds, counts that cannot fit in what remains: WEIR_E_PROTO.
 * Everything in the result borrows from the input or from the arena. Pure; one thread per arena.
 */
/* clang-format on */
#ifndef WEIR_CODEC_PGOUTPUT_H
#define WEIR_CODEC_PGOUTPUT_H

#include "libweir/base/arena.h"
#include "libweir/codec/tuple.h"

typedef enum weir_pgo_kind {
    WEIR_PGO_BEGIN = 'B',
    WEIR_PGO_COMMIT = 'C',
    WEIR_PGO_ORIGIN = 'O',
    WEIR_PGO_TYPE = 'Y',
    WEIR_PGO_RELATION = 'R',
    WEIR_PGO_INSERT = 'I',
    WEIR_PGO_UPDATE = 'U',
    WEIR_PGO_DELETE = 'D',
    WEIR_PGO_TRUNCATE = 'T',
    WEIR_PGO_MESSAGE = 'M',
} weir_pgo_kind;

typedef struct weir_pgo {
    weir_pgo_kind kind;
    union {
        struct {
            uint64_t final_lsn;
            int64_t commit_us; /* since 2000-01-01 */
            uint32_t xid;
        } begin;
        struct {
            uint64_t commit_lsn, end_lsn;
            int64_t commit_us;
        } commit;
        struct {
            uint64_t lsn;
            weir_slice name;
        } origin;
        struct {
            uint32_t oid;
            weir_slice schema, name;
        } type;
        weir_relation relation;
        struct {
            uint32_t oid;
            char old_kind; /* 0 none, 'K' key columns only (the rest is 'n' and means nothing), 'O'
                              whole old row */
            weir_tuple old_row;
            weir_tuple new_row; /* n = 0 for DELETE */
        } row;
        struct {
            uint8_t flags; /* 1 CASCADE, 2 RESTART IDENTITY */
            uint32_t n;
            const uint32_t *oids;
        } truncate;
        struct {
            bool transactional;
            uint64_t lsn;
            weir_slice prefix, content;
        } message;
    } u;
} weir_pgo;

WEIR_MUST_CHECK weir_rc weir_pgo_decode(weir_slice msg, weir_arena *a, weir_pgo *out,
                                        weir_error *err);

#endif
