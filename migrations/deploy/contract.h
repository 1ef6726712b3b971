/* contract.h - does a set of commands still keep what clients were promised? Pure.
 *
 * A contract is {"weir_contracts": 2, "commands": {name: {"args": [{"name", "type", "required",
 * "schema"}…], "result_type": …, "result": {JSON Schema}}}}. What clients send today must be
 * accepted, and what they are sent must be what they know; everything beyond that may change.
 */
#ifndef WEIR_MIGRATIONS_DEPLOY_CONTRACT_H
#define WEIR_MIGRATIONS_DEPLOY_CONTRACT_H

#include "libweir/codec/json.h"

/* A file of version 1 does not tell domains' rules (x-checks, x-not-null, …): tightened ones are
 * not seen against it. */
enum { DEP_CONTRACT_VERSION_MIN = 1, DEP_CONTRACT_VERSION = 2 };

typedef struct dep_change {
    struct dep_change *next;
    const char *command, *pointer; /* "/customer_id", "/lines/sku", "result/total"; "": the whole */
    const char *text;
    bool breaks; /* a client that keeps to `was` is let down */
} dep_change;

typedef struct dep_changes {
    dep_change *first, *last;
    size_t n, breaking;
} dep_changes;

/* Appends to out what `is` changed since `was`; texts live in a. WEIR_E_INPUT: one of them is not a
 * contract of this version. */
WEIR_MUST_CHECK weir_rc dep_contract_compare(const weir_json *was, const weir_json *is,
                                             weir_arena *a, dep_changes *out, weir_error *err);

#endif
