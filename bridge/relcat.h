/* relcat.h - relation descriptions and their version numbers: one number per distinct description,
 * for ever.
 *
 * A frame names a relation by version. What the server says (Relation messages) is bound per
 * connection by oid; the number comes from the hash of the description, so a reconnect or a restart
 * gives the same number again. Reader thread only.
 */
#ifndef WEIR_BRIDGE_RELCAT_H
#define WEIR_BRIDGE_RELCAT_H

#include "libweir/base/buf.h"
#include "libweir/base/hash.h"
#include "libweir/codec/tuple.h"

typedef struct brg_relcat brg_relcat;

brg_relcat *brg_relcat_new(void);
void brg_relcat_free(brg_relcat *rc);

/* What the log knows already. */
void brg_relcat_known(brg_relcat *rc, weir_hash128 hash, uint32_t version);
/* The version of rel (rel->version is ignored). *created: it is new, and must be durable before
 * anyone sees its number; hash (may be NULL) is what it is stored under. */
uint32_t brg_relcat_version(brg_relcat *rc, const weir_relation *rel, bool *created,
                            weir_hash128 *hash);
/* From now on rows with rel->oid have this description; it is copied. */
void brg_relcat_bind(brg_relcat *rc, const weir_relation *rel, uint32_t version);
/* What oid is bound to (version set), or NULL. Valid until the next bind of that oid or unbind_all.
 */
const weir_relation *brg_relcat_get(const brg_relcat *rc, uint32_t oid);
/* The server forgot with the connection what it told us; it will tell again. */
void brg_relcat_unbind_all(brg_relcat *rc);

#endif
