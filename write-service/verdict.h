/* verdict.h - what the lanes' word on a stored command means for its row. Pure. */
#ifndef WEIR_WRITE_VERDICT_H
#define WEIR_WRITE_VERDICT_H

#include "write-service/dispatch.h"
#include "write-service/outcome.h"

/* Fills verdict, reason and answer of s. lost: connections it was executing on that broke. true: it
 * is over, or will be once the verdict is written. */
bool wsvc_verdict_of(const wsvc_outcome *out, int lost, wsvc_stored *s);

#endif
