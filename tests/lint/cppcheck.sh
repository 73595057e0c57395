#!/bin/sh
# cppcheck over the product's sources: cppcheck.sh BUILD_DIR (for its cache).
set -eu
build=$1
cd "$(dirname "$0")/../.."
mkdir -p "$build/cppcheck"
dirs=
for d in common proto inventory agent controller; do
    [ -d $d ] && dirs="$dirs $d"
done
# shellcheck disable=SC2086 # a list of folders
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppressions-list=tests/lint/cppcheck.suppress --cppcheck-build-dir="$build/cppcheck" \
    --library=posix -D_GNU_SOURCE -DMUSTER_VERSION='"0"' -I. -j2 --error-exitcode=1 $dirs
echo "lint.cppcheck: clean over$dirs"
