#!/bin/sh
# What a container's init and restart policy do, for a plain process: runs a program, hands SIGTERM on to it, and runs
# it again when it ends by itself. Usage: supervise.sh COUNTER PROGRAM [ARGUMENT...]
# COUNTER is a file that gets the number of restarts and the last exit status.
counter=$1
shift
ending=
restarts=0
on_term='ending=yes; kill -TERM "$child" 2> /dev/null'
trap "$on_term" TERM
while :; do
    "$@" &
    child=$!
    wait "$child"
    status=$?
    # A signal ends the wait early; the program may still be at its last work.
    while kill -0 "$child" 2> /dev/null; do
        wait "$child"
        status=$?
    done
    [ -z "$ending" ] || exit "$status"
    # With a container all that the program started would be gone.
    trap '' TERM
    kill -TERM 0
    trap "$on_term" TERM
    restarts=$((restarts + 1))
    echo "$restarts $status" > "$counter"
    echo "supervise: ended with status $status; starting it again" >&2
    [ "$restarts" -le 3 ] || sleep 1
    [ -z "$ending" ] || exit "$status"
done
