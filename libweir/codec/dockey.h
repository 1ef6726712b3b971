/* dockey.h - how read models are laid out in Redis: the one place that spells the keys. */
/* clang-format off */
/*   <ns>:position                    "X/Y": everything up to here is in every ready model
 *   <ns>:epoch                       fencing: the number of the projector that may write
 *   <ns>:models                      hash: model -> JSON {"generation":1,"state":"ready"|"building"|"stalled","key":["id"],
 *                                    "types":["bigint"] (of the key's columns; not in older entries),
 *                                    "progress":0.45,"reason":"…","newest":2 (highest generation ever used),
 *                                    "rolled_back":true (the deployed SELECT is not the one that serves)}
 *   <ns>:<model>:<generation>:<key>  the document, a string of PostgreSQL's jsonb text
 *   <ns>:notice                      channel: first line the position, then one line "model\tkey" per changed document;
 *                                    "model\t*" when there were too many or the model's entry in <ns>:models changed
 * <key> is the key columns' texts joined by "/", with '%', '/' and bytes below 0x21 and 0x7f percent-encoded (%2F): the same text
 * as the path of GET /queries/<model>/<key>. An empty text is spelled "%".
 */
/* clang-format on */
#ifndef WEIR_CODEC_DOCKEY_H
#define WEIR_CODEC_DOCKEY_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

/* Appends the key text of n parts. */
void weir_dockey_text(weir_buf *out, const weir_slice *parts, size_t n);
/* The reverse; *n in: capacity, out: count. Parts live in a. false: malformed or too many. */
WEIR_MUST_CHECK bool weir_dockey_parse(weir_slice key, weir_arena *a, weir_slice *parts, size_t *n);
/* Whole Redis keys in the arena. */
weir_slice weir_dockey_doc(weir_arena *a, const char *ns, weir_slice model, uint32_t generation,
                           weir_slice key);
weir_slice weir_dockey_position(weir_arena *a, const char *ns);
weir_slice weir_dockey_epoch(weir_arena *a, const char *ns);
weir_slice weir_dockey_models(weir_arena *a, const char *ns);
weir_slice weir_dockey_notice(weir_arena *a, const char *ns);

#endif
