#!/bin/sh
# Run a command with the variables of .env, where there is one. What is already set in the environment wins.
set -eu

# A line is empty, a comment, or NAME=value, the value being one word of the shell: quoted, escaped or plain.
word="('[^']*'|\"([^\"\\]|\\\\.)*\"|\\\\.|[^[:space:]'\"\\;&|<>()])*"
line="[[:blank:]]*((export[[:blank:]]+)?[A-Za-z_][A-Za-z0-9_]*=$word)?([[:blank:]]+#.*)?[[:blank:]]*|[[:blank:]]*#.*"

if [ -f .env ]; then
    if wrong=$(grep -nvxE "$line" .env); then
        echo ".env, line ${wrong%%:*}: this is not NAME=value." >&2 # not the line itself, which can hold a key
        echo "A value with spaces, quotes or any of ;&|<>() goes in single quotes, NAME='a value', all on one line;" >&2
        echo "lines end as on Unix. .env.example shows what can be set." >&2
        exit 1
    fi
    already_set=$(export -p)
    set -a +u
    . ./.env
    set +a -u
    eval "$already_set"
fi
exec "$@"
