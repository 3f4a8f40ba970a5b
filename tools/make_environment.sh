#!/bin/sh
# Make the virtual environment $1, or bring it up to date, with the packages of pyproject.toml; $2 names the pins to keep.
set -eu
environment=$1
pins=${2-}
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if "$candidate" -c "$new_enough" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="not there"
    echo "Sluice needs Python 3.11 or newer; ${PYTHON:-python3} is $found." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
}

if ! "$environment/bin/python" -c "$new_enough" 2>/dev/null; then
    python=$(find_python)
    echo "Making $environment with $("$python" --version)"
    if ! "$python" -m venv --clear "$environment" >/dev/null 2>&1; then
        echo "$python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi
echo "Installing the packages; the first time that takes a minute or two"
"$environment/bin/python" -m pip install -qq --disable-pip-version-check ${pins:+-c "$pins"} -e '.[service,dev]'
