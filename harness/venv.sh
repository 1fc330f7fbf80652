#!/bin/sh
# Makes the virtual environment that the harness and the tests run in, unless it is there and of the same lock file.
# Needs nothing but Python 3.11 or later; BASE_PYTHON names one of your choice.
set -eu
cd "$(dirname "$0")/.."
venv=${STACK_STATE:-.state}/venv
lock=requirements/test.txt
stamp="$(cksum < "$lock") $PWD"
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/stamp" 2> /dev/null)" = "$stamp" ]; then exit 0; fi

fail() {
    echo "venv: $1" >&2
    exit 1
}
base=
for candidate in ${BASE_PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
        base=$candidate
        break
    fi
done
[ -n "$base" ] || fail "${BASE_PYTHON:-python3} is not Python 3.11 or later: install python3.11 (on Debian with python3-venv), or set BASE_PYTHON"

echo "making $venv from $lock (about a minute, once)"
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
"$base" -m venv "$venv" > "$venv.log" 2>&1 || fail "$base cannot make a virtual environment: $(tail -n 1 "$venv.log") (on Debian install python3-venv)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$lock" \
    || fail "the packages of $lock could not be installed; the lines above say why"
# The checkout itself: importable as it stands, installed nowhere.
echo "$PWD" > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
rm -f "$venv.log"
echo "$stamp" > "$venv/stamp"
