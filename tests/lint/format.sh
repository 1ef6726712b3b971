#!/bin/sh
# format.sh - clang-format has nothing to change. 77 (skipped) where it is not installed.
set -eu
if ! command -v clang-format >/dev/null; then
    echo "skipped: clang-format is not installed"
    exit 77
fi
# Majors format differently in corners; the files follow the one of Debian 12.
major=$(clang-format --version | sed 's/.*version \([0-9]*\).*/\1/')
if [ "$major" != 14 ]; then
    echo "skipped: clang-format $major, the files follow 14"
    exit 77
fi
bad=$(tests/lint/files.sh c h | xargs clang-format --dry-run 2>&1 | grep -o '^[^ :]*:[0-9]*:[0-9]*: warning' | cut -d: -f1 | sort | uniq -c || true)
if [ -n "$bad" ]; then
    echo "run clang-format -i on (places, file):"
    echo "$bad"
    exit 1
fi
