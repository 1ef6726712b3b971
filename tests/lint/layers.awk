# layers.awk - fails when a file includes something its folder may not see.
# usage: tests/lint/files.sh c h | xargs awk -f tests/lint/layers.awk
BEGIN {
    lib = "libweir/base libweir/codec libweir/io libweir/auth"
    ok["libweir/base"] = "libweir/base"
    ok["libweir/codec"] = "libweir/base libweir/codec"
    ok["libweir/auth"] = "libweir/base libweir/codec libweir/auth"
    ok["libweir/gate"] = "libweir/gate " lib
    ok["libweir/io"] = "libweir/base libweir/io"
    ok["libweir/client"] = "libweir/client include/weir libweir/base libweir/codec"
    ok["include/weir"] = ""
    ok["libweir/endpoint"] = "libweir/endpoint " lib
    ok["write-service"] = "write-service libweir/gate libweir/endpoint " lib
    ok["read-service"] = "read-service libweir/gate libweir/endpoint " lib
    ok["bridge"] = "bridge " lib
    ok["projector/sql"] = "projector/sql " lib
    ok["projector/engine"] = "projector/engine " lib
    ok["projector/verify"] = "projector/verify projector/sql " lib
    ok["projector"] = "projector projector/engine projector/sql projector/verify " lib
    ok["migrations/deploy"] = "migrations/deploy projector/sql " lib
    ok["migrations/crawler"] = "migrations/crawler " lib
    ok["migrations/lake"] = "migrations/lake migrations/crawler " lib
    ok["migrations/migrate"] = "migrations/migrate migrations/crawler " lib
    ok["cli"] = "cli migrations/deploy migrations/migrate projector/sql projector/verify migrations/sync " lib
    ok["migrations/sync"] = "migrations/sync migrations/lake migrations/crawler " lib
    # single headers beyond the folders above
    also["projector/engine"] = "projector/sql/plan.h"
    # foreign header -> the only files that may see it
    own["^<libpq"] = "^libweir/io/pg"
    own["^<hiredis/"] = "^libweir/io/redis"
    own["^<nng/"] = "^$" # a test only: clients of others may use it
    own["^<lmdb"] = "^libweir/io/lmdb"
    own["^<microhttpd"] = "^libweir/io/http"
    own["^<gnutls/"] = "^libweir/(base/tlsstream|io/(http_)?tls)"
    own["^<curl/"] = "^libweir/io/curl"
    own["^<msgpack"] = "^libweir/codec/"
    own["^<jansson"] = "^(libweir/codec|write-service)/"
    own["^<(pg_query|protobuf)"] = "^projector/sql/"
    own["^<gmp"] = "^projector/engine/numeric"
    own["^<ini\\.h"] = "^libweir/base/settings"
    own["^<xxhash"] = "^libweir/base/hash"
    own["^<openssl/"] = "^libweir/base/(hmac|crypt)"
    own["^<pthread"] = "^libweir/(base/queue|base/thread|io/)"
}
function dir(p) { sub(/\/?[^\/]*$/, "", p); return p }
function bad(what) { printf "%s:%d: %s may not include %s\n", FILENAME, FNR, dir(FILENAME), what; rc = 1 }
FILENAME ~ /^(tests|examples)\// { next }
/^[ \t]*#[ \t]*include/ {
    inc = $0; sub(/^[ \t]*#[ \t]*include[ \t]*/, "", inc); sub(/[ \t].*$/, "", inc)
    from = dir(FILENAME)
    if (inc ~ /^"/) {
        gsub(/"/, "", inc)
        if (!(from in ok)) { printf "%s: no rule for the folder %s in tests/lint/layers.awk\n", FILENAME, from; rc = 1; nextfile }
        if (index(" " ok[from] " ", " " dir(inc) " ") == 0 && index(" " also[from] " ", " " inc " ") == 0) bad(inc)
    } else {
        for (re in own) if (inc ~ re && FILENAME !~ own[re]) bad(inc)
    }
}
END { exit rc }
