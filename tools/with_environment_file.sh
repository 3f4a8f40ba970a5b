#!/bin/sh
# Run a command with the variables of .env, where there is one. What is already set in the environment wins.
set -eu
if [ -f .env ]; then
    already_set=$(export -p)
    set -a
    . ./.env
    set +a
    eval "$already_set"
fi
exec "$@"
