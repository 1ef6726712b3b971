#!/bin/sh
# headers.sh - every header compiles alone, and twice.
set -eu
cc=${CC:-cc}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rc=0
flags="-std=c11 -D_GNU_SOURCE -DWEIR_VERSION=\"x\" -Wall -Wextra -Werror -Wno-unused-function -I. $(pkg-config --cflags libpq)"
for h in $(tests/lint/files.sh h); do
    printf '#include "%s"\n#include "%s"\nint main(void) { return 0; }\n' "$h" "$h" >"$tmp/x.c"
    # shellcheck disable=SC2086 # flags are words
    if ! "$cc" $flags -fsyntax-only "$tmp/x.c" 2>"$tmp/err"; then
        echo "$h does not compile alone and twice:"
        sed -n 1,5p "$tmp/err"
        rc=1
    fi
done
exit $rc
