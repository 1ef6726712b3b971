#!/bin/sh
# scripts.sh - every shell script parses, is executable where it is a command, and has no carriage returns.
set -eu
rc=0
scripts() {
    tests/lint/files.sh sh
    for f in scripts/* .ci/run; do
        if [ -f "$f" ] && head -1 "$f" | grep -q '^#!.*sh'; then
            echo "$f"
            [ -x "$f" ] || echo "$f is not executable" >&2
        fi
    done
}
for f in $(scripts); do
    shell=sh
    if head -1 "$f" | grep -q bash; then shell=bash; fi
    "$shell" -n "$f" || rc=1
    if [ ! -x "$f" ]; then
        echo "$f is not executable: chmod +x"
        rc=1
    fi
done
exit $rc
