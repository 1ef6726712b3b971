/* asksamples.h - messages of the NNG endpoints with every field, for tests and the protocol's page.
 */
#ifndef WEIR_TESTS_ASKSAMPLES_H
#define WEIR_TESTS_ASKSAMPLES_H

#include "libweir/codec/ask.h"

/* Each with all fields its op has. */
weir_ask asksample(weir_ask_op op);
weir_answer asksample_answer(bool ok);

#endif
