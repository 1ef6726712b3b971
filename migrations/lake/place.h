/* place.h - what follows a commit: its files go to their places, finished days and copied tables
 * get their marks. All of it can be done again. */
#ifndef WEIR_LAKE_PLACE_H
#define WEIR_LAKE_PLACE_H

#include "migrations/lake/manifest.h"

typedef struct lake_place lake_place;

/* Makes DIR/_tmp. */
WEIR_MUST_CHECK weir_rc lake_place_open(lake_place **out, const char *dir, weir_error *err);
void lake_place_close(lake_place *p); /* NULL is fine */
/* Finishes what the last commit needs (no 0: there is none), then empties _tmp. */
WEIR_MUST_CHECK weir_rc lake_place_recover(lake_place *p, const lake_commit *last, weir_error *err);
/* After a failure lake_place_again must succeed before the next commit. */
WEIR_MUST_CHECK weir_rc lake_place_commit(lake_place *p, const lake_commit *c, weir_error *err);
WEIR_MUST_CHECK weir_rc lake_place_again(lake_place *p, weir_error *err);
WEIR_MUST_CHECK weir_rc lake_place_sync_tmp(lake_place *p, weir_error *err);
WEIR_MUST_CHECK bool lake_place_is_copied(const lake_place *p, const char *folder);

#endif
