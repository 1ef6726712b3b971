#!/bin/sh
# symbols.sh - what the static libraries export carries the prefix of its owner: symbols.sh PREFIXES lib.a ...
# PREFIXES like "weir_|brg_". Names with two leading underscores are the compiler's.
set -eu
prefixes=$1
shift
rc=0
for lib; do
    names=$(nm --defined-only --extern-only "$lib" 2>/dev/null | awk 'NF == 3 { print $3 }' | grep -Ev "^(__|($prefixes))" || true)
    if [ -n "$names" ]; then
        printf '%s exports names without the prefix %s:\n' "$(basename "$lib")" "$prefixes"
        printf '  %s\n' $names
        rc=1
    fi
done
exit $rc
