/* sqlcat.h - a catalog for the compiler's tests, written as text: one table per line, no server.
 *
 *   orders id:int8! customer_id:int8! note:text | pk id | unique code
 *
 * "!" is NOT NULL. Types by their pg_type name; also text:C (byte order), text:ci
 * (nondeterministic), enum:mood, json, point (OTHER), int4[], numeric(12,2), int8=gen (generated),
 * numeric(8,2):dom (a domain over it).
 * After "|": pk cols, unique cols, partial cols (not usable), view, matview, unpublished,
 * partitioned, identity n|f|i (the last unique index), schema name.
 */
#ifndef WEIR_SUPPORT_SQLCAT_H
#define WEIR_SUPPORT_SQLCAT_H

#include "projector/sql/catalog.h"

/* Everything lives in a. Aborts on a mistake in text. */
void weir_sqlcat_init(weir_catalog *c, const char *text, weir_arena *a);

/* The shop of the tests. */
extern const char weir_sqlcat_shop[];

#endif
