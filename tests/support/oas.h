/* oas.h - an OpenAPI 3.1 document as a client's generator reads it: is it well formed, and what
 * would be a right or a wrong value of one of its schemas? */
#ifndef WEIR_TESTS_SUPPORT_OAS_H
#define WEIR_TESTS_SUPPORT_OAS_H

#include "libweir/base/buf.h"
#include "libweir/codec/json.h"

/* Of the rules of OpenAPI 3.1 and JSON Schema 2020-12 those that touch what we write: structure,
 * references and what they lead to, unique operations, path parameters, keywords and their types.
 * The number of faults, each told in why. */
int oas_check(const weir_json *doc, weir_buf *why);
/* schema, or what its $ref leads to; NULL: nowhere. */
const weir_json *oas_follow(const weir_json *doc, const weir_json *schema);
/* A value the schema takes, as large as it may be: all fields, one element per array. */
void oas_sample(const weir_json *doc, const weir_json *schema, weir_buf *out);
/* One it does not take, and PostgreSQL neither. false: it takes everything. */
bool oas_wrong(const weir_json *doc, const weir_json *schema, weir_buf *out);
/* Does it take null? */
bool oas_nullable(const weir_json *doc, const weir_json *schema);

#endif
