#!/bin/sh
# clang-tidy over the product's sources: tidy.sh BUILD_DIR (which has compile_commands.json). A file
# that was clean is not looked at again until it, a header or the rules change.
set -eu
build=$1
cd "$(dirname "$0")/../.."
[ -f "$build/compile_commands.json" ] || {
    echo "no compile_commands.json in $build" >&2
    exit 1
}
seen=$build/tidy-seen
mkdir -p "$seen"
# Everything that can change the verdict on any file, apart from the file itself.
common=$({
    cat .clang-tidy
    git -c safe.directory='*' ls-files -z --cached --others --exclude-standard '*.h' | xargs -0 cat
} | sha256sum | cut -c1-16)
sources=$(git -c safe.directory='*' ls-files --cached --others --exclude-standard \
    'common/*.c' 'proto/*.c' 'inventory/*.c' 'agent/*.c' 'controller/*.c')
total=0 todo=
for f in $sources; do
    [ -f "$f" ] || continue
    total=$((total + 1))
    key=$(sha256sum <"$f" | cut -c1-16)-$common
    [ -e "$seen/$key" ] || todo="$todo $f:$key"
done
[ $total -gt 0 ]
export build seen
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' $todo | grep . | xargs -r -n 1 -P 2 sh -c '
    f=${1%:*} key=${1##*:}
    promises="--extra-arg=-include --extra-arg=$PWD/tests/lint/analyzer.h"
    case $f in common/err.c | common/mem.c) promises= ;; esac
    out=$(clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-error $promises --warnings-as-errors="*" "$f" 2>/dev/null) && : >"$seen/$key" || {
        printf "%s\n" "$out"
        exit 1
    }' tidy || {
    [ -z "$todo" ] || exit 1
}
echo "lint.tidy: $total files"
