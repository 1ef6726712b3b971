#!/bin/sh
# configuration.sh - docs/configuration.md is what the settings table says: configuration.sh PROGRAM.
set -eu
if ! "$1" | diff -u docs/configuration.md -; then
    echo "docs/configuration.md is out of date: ${1#"$(pwd)"/} > docs/configuration.md"
    exit 1
fi
