/* progress.h - how far a run is: a bar on a terminal, lines elsewhere, objects with --json. */
#ifndef WEIR_MIGRATE_PROGRESS_H
#define WEIR_MIGRATE_PROGRESS_H

#include "migrations/crawler/crawler.h"
#include "migrations/migrate/state.h"

void mig_progress_phase(const mig_session *s, mig_phase p);
void mig_progress_copy(const mig_session *s, const crw_state *st);
/* head: of the source's log. */
void mig_progress_live(const mig_session *s, const mig_state *st, uint64_t head);
void mig_progress_verify(const mig_session *s, const char *table, int64_t rows, int64_t total);
/* The bar's line is complete. */
void mig_progress_end(const mig_session *s);

#endif
