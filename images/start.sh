#!/bin/sh
# What an image of this project runs where no command is given.
set -eu
case "$PART" in
    workers) exec celery -A workers.app worker -l info ;;
    flower) exec python3 -m workers.flower ;;
    *) exec python3 -m "$PART" ;;
esac
