/* recent.c - which documents were emitted lately, by position: what a reconnected Redis may lack is
 * found without looking at the whole emit map.
 *
 *   recent    lsn:u64 emit-key     empty        appended; the oldest go when there are too many
 *
 * recent_floor is the highest lsn of an emission that is not in here: of one that was dropped, or
 * of a pass, which writes too many to be worth it. An entry may be stale: the emit map says.
 */
#include <stdlib.h>

#include "libweir/base/rd.h"
#include "projector/proj.h"

enum { KEEP_MAX = 100000, SLACK = 4096, DROP_MAX = 50000, LSN = 8 };

static void put_lsn(char *b, uint64_t lsn)
{
    for (int i = LSN - 1; i >= 0; i--) {
        b[i] = (char)lsn;
        lsn >>= 8;
    }
}

weir_slice proj_recent_key(char buf[WEIR_IDKEY_MAX], uint64_t lsn, weir_slice skey)
{
    put_lsn(buf, lsn);
    size_t n = skey.n < WEIR_IDKEY_MAX - LSN ? skey.n : WEIR_IDKEY_MAX - LSN;
    memcpy(buf + LSN, skey.n ? skey.p : "", n);
    return (weir_slice){buf, LSN + n};
}

void proj_recent_raise(proj *p, uint64_t lsn)
{
    if (lsn > p->recent_floor) {
        p->recent_floor = lsn;
        p->recent_floor_dirty = true;
    }
}

weir_rc proj_recent_add(proj *p, weir_slice skey, uint64_t lsn, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    if (p->emit_ahead) {
        proj_recent_raise(p, lsn);
        return WEIR_OK;
    }
    return weir_state_put(p->st, WEIR_DB_RECENT, proj_recent_key(buf, lsn, skey),
                          (weir_slice){"", 0}, err);
}

/* The oldest keys, u16 length each. */
static weir_rc oldest(proj *p, size_t n, weir_buf *keys, weir_error *err)
{
    weir_scan s;
    weir_slice none = {NULL, 0};
    weir_slice k;
    weir_slice v;
    weir_rc rc = weir_scan_start(p->st, &s, WEIR_DB_RECENT, none, none, err);
    while (rc == WEIR_OK && n-- > 0) {
        rc = weir_scan_next(&s, &k, &v, err);
        if (rc == WEIR_OK) {
            weir_buf_u16(keys, (uint16_t)k.n);
            weir_buf_puts(keys, k);
        }
    }
    weir_scan_end(p->st, &s);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

weir_rc proj_recent_trim(proj *p, weir_error *err)
{
    size_t have = weir_state_count(p->st, WEIR_DB_RECENT);
    if (have <= KEEP_MAX + SLACK) {
        return WEIR_OK;
    }
    weir_buf keys;
    weir_buf_init(&keys, (size_t)1 << 28);
    size_t n = have - KEEP_MAX < DROP_MAX ? have - KEEP_MAX : DROP_MAX;
    weir_rc rc = oldest(p, n, &keys, err);
    weir_rd rd = weir_rd_of(weir_buf_slice(&keys));
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        weir_slice k = weir_rd_bytes(&rd, weir_rd_u16(&rd));
        weir_rd lsn = weir_rd_of(k);
        proj_recent_raise(p, weir_rd_u64(&lsn));
        rc = weir_state_del(p->st, WEIR_DB_RECENT, k, err);
    }
    weir_buf_fini(&keys);
    return rc;
}

bool proj_recent_covers(const proj *p, uint64_t from)
{
    return from >= p->recent_floor;
}

/* Where key, an entry of recent, leads: *skey into it, *live_lsn what the emit map says of it (0:
 * nothing), *whole its uncut key. */
weir_rc proj_recent_look(proj *p, weir_slice key, proj_emitted *out, weir_error *err)
{
    weir_slice v;
    weir_rd rd = weir_rd_of(key);
    out->lsn = weir_rd_u64(&rd);
    out->dead = false;
    out->skey = weir_rd_bytes(&rd, weir_rd_left(&rd));
    weir_rc rc = weir_state_get(p->st, WEIR_DB_EMIT, out->skey, &v, err);
    if (rc != WEIR_OK) {
        out->current = false;
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    proj_emit_value now = proj_emit_read(v);
    out->current = now.lsn == out->lsn;
    out->dead = out->current && now.dead;
    out->whole = now.whole;
    return WEIR_OK;
}
