/* ddl.h - what the tool makes in the target: tables, keys, and what belongs on top of full tables.
 */
#ifndef WEIR_MIGRATE_DDL_H
#define WEIR_MIGRATE_DDL_H

#include "migrations/migrate/session.h"

/* Schemas and tables of the mapping that are not there, in the transaction that is open. */
WEIR_MUST_CHECK weir_rc mig_ddl_tables(mig_session *s, weir_error *err);
/* Whether the tool made the table. */
WEIR_MUST_CHECK weir_rc mig_ddl_made(mig_session *s, const mig_ptable *t, bool *made,
                                     weir_error *err);
/* The key of every table made by the tool; those built already are skipped. */
WEIR_MUST_CHECK weir_rc mig_ddl_keys(mig_session *s, weir_error *err);
/* unique, index, then foreign_key lines, each recorded as built; foreign keys are NOT VALID until
 * the cut-over. WEIR_E_AGAIN: rows collide; catch up and call again. */
WEIR_MUST_CHECK weir_rc mig_ddl_extras(mig_session *s, weir_error *err);
/* Every foreign key of the target tables: validated, or looked at row by row. WEIR_E_CONFLICT names
 * the constraint and how many rows have no parent. */
WEIR_MUST_CHECK weir_rc mig_ddl_foreign_keys(mig_session *s, weir_error *err);
/* Tables made by the tool are dropped; the state is forgotten. */
WEIR_MUST_CHECK weir_rc mig_ddl_drop(mig_session *s, int *tables, weir_error *err);

#endif
