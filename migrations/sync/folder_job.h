/* folder_job.h - a folder of files as the source of a sync: its thread, its retries, its status. */
#ifndef WEIR_MIGRATIONS_SYNC_FOLDER_JOB_H
#define WEIR_MIGRATIONS_SYNC_FOLDER_JOB_H

#include "libweir/base/buf.h"
#include "migrations/sync/conf.h"

typedef struct sync_folder sync_folder;

/* Borrows conf. */
sync_folder *sync_folder_new(const sync_conf *conf);
WEIR_MUST_CHECK weir_rc sync_folder_start(sync_folder *f, weir_error *err);
void sync_folder_stop(sync_folder *f); /* waits for the thread */
void sync_folder_free(sync_folder *f); /* after stop; NULL is fine */
/* All of these: any thread. Paused: between two looks at the folder. */
void sync_folder_pause(sync_folder *f, bool pause);
/* One member of "flows". */
void sync_folder_status(sync_folder *f, weir_buf *out);
/* What it waits for, into text; "" when it runs. true: it gave up. */
WEIR_MUST_CHECK bool sync_folder_waits(sync_folder *f, char *text, size_t size);

#endif
