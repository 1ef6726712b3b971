/* crawl.h - the crawl: existing tables read again into the stream, several at a time, durable.
 *
 * There is one crawl at most that has not ended; what is known of it lies in the log
 * (crawl_record.h) and goes on after a restart behind the last chunk that is in the log. Its
 * workers are copying threads (copy_table.h), started with it.
 */
#ifndef WEIR_BRIDGE_CRAWL_H
#define WEIR_BRIDGE_CRAWL_H

#include "bridge/crawl_record.h"
#include "bridge/port.h"

typedef struct brg_crawl brg_crawl;

/* Before the reader's thread starts: loads what the log holds. Borrows all. */
WEIR_MUST_CHECK weir_rc brg_crawl_open(brg_crawl **out, brg_shared *s, brg_port *port,
                                       brg_windows *ws, weir_error *err);
/* Starts the workers when there is work. Loop thread, or before it runs. */
WEIR_MUST_CHECK weir_rc brg_crawl_go(brg_crawl *c, weir_error *err);
void brg_crawl_interrupt(brg_crawl *c); /* as for the copier; any thread */
void brg_crawl_close(brg_crawl *c);     /* after the threads have ended, or never started */

/* Loop thread: start, pause, resume, cancel. *batch: what must be durable before it is answered;
 * empty when nothing changed. WEIR_E_CONFLICT: another crawl has not ended; WEIR_E_STATE: there is
 * none that could be paused, …; WEIR_E_DENIED: a filter over a network. */
WEIR_MUST_CHECK weir_rc brg_crawl_change(brg_crawl *c, const weir_feed_req *q, weir_buf *batch,
                                         weir_error *err);
/* A JSON object (internals.md); long: with each table. Loop thread. */
void brg_crawl_json(brg_crawl *c, bool with_tables, weir_buf *out);

#endif
