#!/bin/sh
# selftest.sh - the lints themselves: each must find what was put there to be found, and nothing else.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
mkdir -p libweir/base libweir/codec libweir/io projector/engine bridge tests/unit
rc=0

# want CHECK COUNT: the number of lines the check prints about the files below
want() {
    got=$("$here/files.sh" c h | xargs awk -f "$here/$1.awk" | wc -l)
    if [ "$got" -ne "$2" ]; then
        echo "$1 found $got, wanted $2:"
        "$here/files.sh" c h | xargs awk -f "$here/$1.awk" || true
        rc=1
    fi
}

cat >libweir/codec/a.c <<'X'
/* a.c - three wrong edges. */
#include <lmdb.h>
#include <msgpack.h>
#include "libweir/base/err.h"
#include "libweir/io/pg.h"
#include "local.h"
X
cat >projector/engine/b.c <<'X'
/* b.c - one wrong edge. */
#include "projector/sql/plan.h"
#include "projector/sql/compile.h"
#include <gmp.h>
X
cat >libweir/io/redis_x.c <<'X'
/* redis_x.c - none. */
#include <hiredis/hiredis.h>
#include <pthread.h>
X
want layers 5
rm libweir/codec/a.c projector/engine/b.c libweir/io/redis_x.c

cat >libweir/base/c.c <<'X'
/* c.c - strcpy(x) in a comment is fine */
void f(void)
{
    strcpy(a, b);
    x = atoi (z);
    puts("system(rm)"); /* sprintf() */
    my_system(x);
    job->system(x);
    system("x"); /* banned-ok: for the test */
    /* a comment
     * over sprintf(lines) */
    snprintf(a, 1, "x");
    nanosleep(a, b);
}
X
cat >tests/unit/d.c <<'X'
/* d.c - one. */
void g(void)
{
    nanosleep(a, b);
}
X
want banned 3
rm libweir/base/c.c tests/unit/d.c

{
    echo '/* e.c - a long function. */'
    echo 'void long_one(void)'
    echo '{'
    yes '    x();' | head -81
    echo '}'
    echo 'void exact(void)'
    echo '{'
    yes '    x();' | head -80
    echo '}'
} >bridge/e.c
{ echo '/* f.c - a long file. */'; yes '' | head -800; } >bridge/f.c
echo '/* wrong.c - purpose */' >bridge/g.h
want sizes 3
exit $rc
