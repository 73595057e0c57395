#!/bin/sh
# Every shell script of the tree, by its first line, through shellcheck.
set -eu
cd "$(dirname "$0")/../.."
scripts=$(git -c safe.directory='*' ls-files --cached --others --exclude-standard |
    while read -r f; do
        [ -f "$f" ] || continue
        case $(head -n 1 "$f" | tr -d '\0') in '#!'*/sh* | '#!'*bash*) printf '%s\n' "$f" ;; esac
    done)
count=$(printf '%s\n' "$scripts" | grep -c .)
# shellcheck disable=SC2086 # no script here has a blank in its name
shellcheck -S warning $scripts
echo "lint.shell: $count scripts"
