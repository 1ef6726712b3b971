#!/bin/sh
# files.sh - the project's files that match the given suffixes: files.sh c h. What git tracks, or everything but
# build folders where there is no git (a source archive).
set -eu
list() {
    if top=$(git rev-parse --show-toplevel 2>/dev/null) && [ "$top" = "$(pwd -P)" ]; then
        git ls-files
    else
        find . -name 'build*' -prune -o -name .weir -prune -o -name .git -prune -o -type f -print | sed 's|^\./||'
    fi
}
pattern=$(printf '%s' "$*" | tr ' ' '|')
list | grep -E "\.($pattern)\$" | sort | while read -r f; do
    if [ -f "$f" ]; then printf '%s\n' "$f"; fi
done
