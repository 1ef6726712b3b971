/* limits.h - what a schema refuses of its type's values: bounds, lengths, digits, a domain's
 * CHECKs, null. Pure. */
#ifndef WEIR_MIGRATIONS_DEPLOY_LIMITS_H
#define WEIR_MIGRATIONS_DEPLOY_LIMITS_H

#include "libweir/codec/json.h"

enum { DEP_LIMIT_TEXT_BYTES = 300 };

/* true: all that narrow allows is allowed by wide too. Else what says the contrary in text, as
 * "minimum 5, not 3" of wide and narrow. A CHECK is known by its text only. with_rules false:
 * narrow does not tell CHECKs, digits and null. */
WEIR_MUST_CHECK bool dep_limits_allow(const weir_json *wide, const weir_json *narrow,
                                      bool with_rules, char text[DEP_LIMIT_TEXT_BYTES]);

#endif
