/* walk.h - the scalars of a JSON object with the paths that lead to them. Pure.
 *
 * A path is written "customer_id", "address.city", "lines[].sku"; each element of an array has the
 * same path.
 */
#ifndef WEIR_WRITE_WALK_H
#define WEIR_WRITE_WALK_H

#include <stdbool.h>

#include "libweir/base/slice.h"

enum { WSVC_PATH_BYTES = 96 };

/* value: the text of a string as it stands in the JSON, without quotes, or of a number. false ends
 * the walk. */
typedef bool wsvc_walk_fn(void *arg, weir_slice path, weir_slice value);

/* body must be known to be a JSON object, nested at most 64 deep. Longer paths are passed over, and
 * so are true, false and null. */
void wsvc_walk(weir_slice body, wsvc_walk_fn *fn, void *arg);

#endif
