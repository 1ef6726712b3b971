/* types.c - what the compiler knows of PostgreSQL's types: names, oids, classes. */
#include "projector/sql/types.h"

typedef struct type_row {
    const char *name; /* in pg_type */
    const char *shown;
    weir_ty ty;
    uint32_t oid;
} type_row;

/* The first row of a weir_ty is its usual type. */
static const type_row rows[] = {
    {"bool", "boolean", WEIR_TY_BOOL, 16},
    {"int2", "smallint", WEIR_TY_INT2, 21},
    {"int4", "integer", WEIR_TY_INT4, 23},
    {"int8", "bigint", WEIR_TY_INT8, 20},
    {"numeric", "numeric", WEIR_TY_NUMERIC, 1700},
    {"float4", "real", WEIR_TY_FLOAT4, 700},
    {"float8", "double precision", WEIR_TY_FLOAT8, 701},
    {"text", "text", WEIR_TY_TEXT, 25},
    {"varchar", "character varying", WEIR_TY_TEXT, WEIR_OID_VARCHAR},
    {"bpchar", "character", WEIR_TY_BPCHAR, 1042},
    {"date", "date", WEIR_TY_DATE, 1082},
    {"time", "time without time zone", WEIR_TY_TIME, 1083},
    {"timetz", "time with time zone", WEIR_TY_TIMETZ, 1266},
    {"timestamp", "timestamp without time zone", WEIR_TY_TIMESTAMP, 1114},
    {"timestamptz", "timestamp with time zone", WEIR_TY_TIMESTAMPTZ, 1184},
    {"uuid", "uuid", WEIR_TY_UUID, 2950},
    {"jsonb", "jsonb", WEIR_TY_JSONB, 3802},
    {"bytea", "bytea", WEIR_TY_BYTEA, 17},
};
enum { NROWS = sizeof(rows) / sizeof(rows[0]) };

weir_type weir_type_of(weir_ty ty)
{
    weir_type t = {.ty = ty, .oid = ty == WEIR_TY_UNKNOWN ? 705 : 0, .typmod = -1};
    for (size_t i = 0; i < NROWS; i++) {
        if (rows[i].ty == ty) {
            t.oid = rows[i].oid;
            break;
        }
    }
    return t;
}

bool weir_type_named(weir_slice name, weir_type *out)
{
    for (size_t i = 0; i < NROWS; i++) {
        if (weir_slice_eqz(name, rows[i].name)) {
            *out = (weir_type){.ty = rows[i].ty, .oid = rows[i].oid, .typmod = -1};
            return true;
        }
    }
    return false;
}

weir_ty weir_ty_of_oid(uint32_t oid)
{
    for (size_t i = 0; i < NROWS; i++) {
        if (rows[i].oid == oid) {
            return rows[i].ty;
        }
    }
    return WEIR_TY_OTHER;
}

const char *weir_type_show(weir_type t, weir_mem *m)
{
    switch (t.ty) {
    case WEIR_TY_UNKNOWN: return "unknown";
    case WEIR_TY_ENUM: return "an enum";
    case WEIR_TY_OTHER: return "a pass-through type";
    case WEIR_TY_ARRAY: return weir_mem_printf(m, "%s[]", weir_type_show(weir_type_of(t.elem), m));
    case WEIR_TY_NUMERIC:
        if (t.typmod >= 4) {
            return weir_mem_printf(m, "numeric(%d,%d)", (t.typmod - 4) >> 16,
                                   (((t.typmod - 4) & 0x7ff) ^ 1024) - 1024);
        }
        return "numeric";
    default: break;
    }
    for (size_t i = 0; i < NROWS; i++) {
        if (rows[i].ty == t.ty && (rows[i].oid == t.oid || t.oid == 0)) {
            return rows[i].shown;
        }
    }
    return "a type";
}

bool weir_ty_is_int(weir_ty ty)
{
    return ty == WEIR_TY_INT2 || ty == WEIR_TY_INT4 || ty == WEIR_TY_INT8;
}

bool weir_ty_is_float(weir_ty ty)
{
    return ty == WEIR_TY_FLOAT4 || ty == WEIR_TY_FLOAT8;
}

bool weir_ty_is_text(weir_ty ty)
{
    return ty == WEIR_TY_TEXT || ty == WEIR_TY_BPCHAR;
}

bool weir_type_same(weir_type a, weir_type b)
{
    if (a.ty != b.ty) {
        return false;
    }
    if (a.ty == WEIR_TY_ENUM || a.ty == WEIR_TY_OTHER || a.ty == WEIR_TY_ARRAY) {
        return a.oid == b.oid;
    }
    return true;
}

bool weir_ty_has_equality(weir_ty ty)
{
    switch (ty) {
    case WEIR_TY_BOOL:
    case WEIR_TY_INT2:
    case WEIR_TY_INT4:
    case WEIR_TY_INT8:
    case WEIR_TY_NUMERIC:
    case WEIR_TY_TEXT:
    case WEIR_TY_BPCHAR:
    case WEIR_TY_DATE:
    case WEIR_TY_TIME:
    case WEIR_TY_TIMESTAMP:
    case WEIR_TY_TIMESTAMPTZ:
    case WEIR_TY_UUID:
    case WEIR_TY_ENUM: return true;
    default: return false;
    }
}

bool weir_ty_has_order(weir_ty ty)
{
    return weir_ty_has_equality(ty) && ty != WEIR_TY_ENUM;
}

bool weir_type_keyable(weir_type t)
{
    switch (t.ty) {
    case WEIR_TY_NUMERIC: return t.typmod >= 4;
    case WEIR_TY_TIME: return false;
    default: return weir_ty_has_equality(t.ty);
    }
}
