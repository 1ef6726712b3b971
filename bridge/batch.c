/* batch.c - changes: 'p' key value, 'd' from to; lengths before the bytes. */
#include "bridge/batch.h"

#include "libweir/base/rd.h"

static void put_short(weir_buf *b, weir_slice s)
{
    weir_buf_u8(b, (uint8_t)s.n);
    weir_buf_puts(b, s);
}

void brg_batch_put(weir_buf *b, weir_slice key, weir_slice value)
{
    weir_buf_u8(b, 'p');
    put_short(b, key);
    weir_buf_u32(b, (uint32_t)value.n);
    weir_buf_puts(b, value);
}

void brg_batch_del(weir_buf *b, weir_slice from, weir_slice to)
{
    weir_buf_u8(b, 'd');
    put_short(b, from);
    put_short(b, to);
}

static weir_rc del_range(brg_store *s, weir_lmdb_txn *t, weir_slice from, weir_slice to,
                         weir_error *err)
{
    weir_lmdb_cursor *c = NULL;
    weir_slice k;
    weir_slice v;
    weir_rc rc = weir_lmdb_cursor_open(t, s->crawl, &c, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_rc got = weir_lmdb_seek(c, from, &k, &v);
    while (got == WEIR_OK && rc == WEIR_OK && weir_slice_cmp(k, to) < 0) {
        rc = weir_lmdb_cursor_del(c, err);
        got = weir_lmdb_next(c, &k, &v);
    }
    weir_lmdb_cursor_close(c);
    return rc;
}

weir_rc brg_batch_apply(brg_store *s, weir_lmdb_txn *t, weir_slice batch, weir_error *err)
{
    weir_rd rd = weir_rd_of(batch);
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && weir_rd_left(&rd) > 0) {
        uint8_t op = weir_rd_u8(&rd);
        weir_slice key = weir_rd_bytes(&rd, weir_rd_u8(&rd));
        bool put = op == 'p';
        weir_slice more = weir_rd_bytes(&rd, put ? weir_rd_u32(&rd) : weir_rd_u8(&rd));
        if (!weir_rd_ok(&rd) || (!put && op != 'd') || key.n == 0) {
            break;
        }
        rc = put ? weir_lmdb_put(t, s->crawl, key, more, err) : del_range(s, t, key, more, err);
    }
    return rc != WEIR_OK || weir_rd_finish(&rd)
               ? rc
               : weir_fail(err, WEIR_E_SYS, WEIR_EF_FATAL, "a batch for the log makes no sense");
}
