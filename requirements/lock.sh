#!/bin/sh
# Writes the lock files from pyproject.toml. Usage: requirements/lock.sh [uv's own options, such as --upgrade]
set -eu
cd "$(dirname "$0")/.."
lock() { # lock FILE EXTRA... : the extras' closure, held to the versions of test.txt once that is written
    out=requirements/$1.txt
    shift
    extras=
    for extra in "$@"; do extras="$extras --extra $extra"; done
    # shellcheck disable=SC2086 # the options are words
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command "make lock" $constraint $options $extras pyproject.toml --output-file "$out"
    echo "$out: $(grep -c '^[a-zA-Z]' "$out") packages"
}
options="$*"
constraint=
lock test test lint lock
constraint="--constraint requirements/test.txt"
options=
for part in exporter inbox loadgen flower; do lock "$part" "$part"; done
lock workers workers telemetry gateway
