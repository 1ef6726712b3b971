/* etag.c - entity tags: a strong hash of the document. */
#include "read-service/etag.h"

#include "libweir/base/hash.h"

void rsvc_etag_of(weir_slice document, char out[RSVC_ETAG_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    weir_hash128 h = weir_hash128_of(document);
    char *p = out;
    *p++ = '"';
    for (size_t i = 0; i < sizeof h.b; i++) {
        *p++ = hex[h.b[i] >> 4];
        *p++ = hex[h.b[i] & 15];
    }
    *p++ = '"';
    *p = '\0';
}

bool rsvc_etag_matches(const char *if_none_match, const char *etag)
{
    weir_slice rest = weir_slice_trim(weir_slice_z(if_none_match));
    if (weir_slice_eqz(rest, "*")) {
        return true;
    }
    while (rest.n > 0) {
        const char *comma = memchr(rest.p, ',', rest.n); /* none of our tags has a comma in it */
        weir_slice one = {rest.p, comma ? (size_t)(comma - rest.p) : rest.n};
        weir_slice tag = weir_slice_trim(one);
        if (weir_slice_starts(tag, WEIR_SLICE_LIT("W/"))) {
            tag = (weir_slice){tag.p + 2, tag.n - 2};
        }
        if (weir_slice_eqz(tag, etag)) {
            return true;
        }
        rest.p += one.n + (comma ? 1 : 0);
        rest.n -= one.n + (comma ? 1 : 0);
    }
    return false;
}
