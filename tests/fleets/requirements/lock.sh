#!/bin/sh
# Pins an environment for each Celery line. Usage: tests/fleets/requirements/lock.sh [uv's own options, such as --upgrade]
set -eu
cd "$(dirname "$0")"
for line in celery-*.in; do
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
        --no-emit-find-links --custom-compile-command "tests/fleets/requirements/lock.sh" "$@" \
        "$line" --output-file "${line%.in}.txt"
    echo "${line%.in}.txt: $(grep -c '^[a-zA-Z]' "${line%.in}.txt") packages"
done
