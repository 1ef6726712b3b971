/* crawltarget.h - one table as a subscriber keeps it from the feed alone, by the rules of
 * docs/internals.md: events in order, READ as upsert, RANGE removes what its chunk did not name.
 *
 * Keys have one or two columns, the first ones; numbers are ordered as numbers, texts by byte. A
 * column that was never told shows as "~".
 */
#ifndef WEIR_TESTS_CRAWLTARGET_H
#define WEIR_TESTS_CRAWLTARGET_H

#include "tests/support/bridgeproc.h"

typedef struct crawltarget crawltarget;

enum { CRAWLTARGET_COLS = 6 };

/* number: which key columns are numbers. deaf: RANGE is ignored (a broken subscriber). */
crawltarget *crawltarget_new(const char *table, int ncols, int nkey, const bool *number, bool deaf);
void crawltarget_free(crawltarget *t);
/* For feedlines.on_event with an array of two targets, NULL where there is none. */
void crawltarget_event(void *arg, feedlines *f, const weir_relation *rel, const weir_ev *ev);
/* A row that nobody told of; cols: ncols texts, NULL: SQL NULL. */
void crawltarget_put(crawltarget *t, const char *const *cols);
/* Lines "col|col|…", in key order. malloc'd. */
char *crawltarget_text(const crawltarget *t);

#endif
