#!/bin/bash
# Prints the session of the README's first hour as it really happens: readme_session.sh MUSTER.
# Twenty hosts, two of them ill, one with another kernel string, on a local fleet; the fleet's ports and the
# temporary folder are the only things replaced in the output.
set -uo pipefail
muster=${1:-build/release/controller/muster}
muster=$(realpath "$muster")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d /tmp/muster-readme.XXXXXX)
trap '/usr/bin/python3 "$here/fleet.py" stop --dir "$dir/fleet"; rm -rf "$dir"' EXIT
/usr/bin/python3 "$here/fleet.py" start --dir "$dir/fleet" --hosts 20 --bad refused=1 --bad wrong-key=1 || exit 1
# shellcheck source=/dev/null
. "$dir/fleet/env"
export XDG_STATE_HOME=$dir/state XDG_CONFIG_HOME=$dir/config
cd "$dir" || exit 1
PATH=$dir/bin:$PATH
mkdir bin && ln -s "$muster" bin/muster

tell() { # runs a line of shell as a person would type it, on a terminal where script(1) is there
    printf '$ %s\n' "$1"
    eval "$1" 2>&1 | sed "s#$dir/fleet/##g; s#$dir/##g"
    printf '\n'
}
tell 'muster hosts --fold all'
tell 'muster run -o group web -- uname -sr'
tell "muster run -o group web -- 'test \$MUSTER_RANK -lt 18 || { echo cannot open /etc/foo >&2; exit 3; }'"
tell 'muster run -o group all -- uptime -p'
tell 'muster retry last --unreachable'
tell "muster run -o json -q web1,refused1 -- hostname | jq -c '.results[] | {host, status, problem, stdout}'"
tell 'muster history'
