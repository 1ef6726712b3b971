/* catalog.h - what is known of the read models: the entries of <ns>:models, parsed. Pure; one
 * thread.
 *
 * Entries are never freed before the catalog, so that requests under way may point at them; a model
 * that is gone is marked absent.
 */
#ifndef READ_SERVICE_CATALOG_H
#define READ_SERVICE_CATALOG_H

#include "libweir/base/buf.h"
#include "read-service/keyval.h"
#include "read-service/target.h"

enum { RSVC_MODELS_MAX = 10000 };

typedef enum rsvc_model_state { RSVC_BUILDING, RSVC_READY, RSVC_STALLED } rsvc_model_state;

typedef struct rsvc_model {
    char *name;
    bool present;
    rsvc_model_state state;
    uint32_t generation;
    size_t key_parts;
    rsvc_key_type types[RSVC_KEY_PARTS_MAX]; /* of its parts */
    char *key_json;                          /* ["id"] */
    double progress;
    char *reason; /* "" when there is none */
    char *raw;    /* the entry's text, to see quickly that nothing changed */
    size_t raw_n;
    uint64_t seen;  /* the last whole reading it was in */
    uint64_t fence; /* used by the query side: the batch it is already part of */
} rsvc_model;

typedef struct rsvc_catalog rsvc_catalog;

rsvc_catalog *rsvc_catalog_new(void);
void rsvc_catalog_free(rsvc_catalog *c);
rsvc_model *rsvc_catalog_get(const rsvc_catalog *c,
                             weir_slice name); /* NULL when never heard of; see present */

/* One entry; entry {NULL,0}: the model is not there. What cannot be read makes the model absent and
 * returns false with err. */
WEIR_MUST_CHECK bool rsvc_catalog_set(rsvc_catalog *c, weir_slice name, weir_slice entry,
                                      weir_error *err);
/* A reading of all entries: begin, set for each, end; what was not set in between is absent. */
void rsvc_catalog_begin(rsvc_catalog *c);
void rsvc_catalog_end(rsvc_catalog *c);

size_t rsvc_catalog_len(const rsvc_catalog *c); /* present ones */
/* Present models, sorted by name, as JSON: ["a","b"] when names_only, else objects with name,
 * state, generation, key, progress. */
void rsvc_catalog_json(const rsvc_catalog *c, bool names_only, weir_buf *out);
const char *rsvc_model_state_name(rsvc_model_state state);

#endif
