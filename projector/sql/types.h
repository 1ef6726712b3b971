/* types.h - what the compiler knows of PostgreSQL's types: names, oids, classes. */
#ifndef WEIR_PROJECTOR_SQL_TYPES_H
#define WEIR_PROJECTOR_SQL_TYPES_H

#include "projector/sql/mem.h"
#include "projector/sql/plan.h"

enum { WEIR_OID_VARCHAR = 1043 }; /* a TEXT that differs from text when it meets char(n) */

/* A type with its usual oid and no modifier; not for ENUM, ARRAY, OTHER. */
weir_type weir_type_of(weir_ty ty);
/* By the internal name (int4, varchar, timestamptz, …); false: none of ours. oid and typmod -1 are
 * filled in. */
bool weir_type_named(weir_slice name, weir_type *out);
/* By a built-in type's oid; OTHER for unknown ones. */
weir_ty weir_ty_of_oid(uint32_t oid);
/* For messages: "integer", "numeric(12,2)", "an enum". */
const char *weir_type_show(weir_type t, weir_mem *m);

bool weir_ty_is_int(weir_ty ty);
bool weir_ty_is_float(weir_ty ty);
bool weir_ty_is_text(weir_ty ty);              /* TEXT, BPCHAR: what a collation applies to */
bool weir_type_same(weir_type a, weir_type b); /* apart from modifier and collation */
/* Equality is bytewise-safe in the engine: allowed in =, IN, joins, DISTINCT. */
bool weir_ty_has_equality(weir_ty ty);
/* Has an order the engine shares (texts besides: only with c_order). */
bool weir_ty_has_order(weir_ty ty);
/* May be part of a document's key. */
bool weir_type_keyable(weir_type t);

static inline int32_t weir_numeric_typmod(int precision, int scale)
{
    return (int32_t)(((uint32_t)precision << 16) | ((uint32_t)scale & 0x7ff)) + 4;
}

#endif
