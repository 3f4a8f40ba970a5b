#!/bin/sh
# Install the Node clients in folder $1, as its lock file says. Without node there is nothing to do but to say so: their
# tests are skipped then, which fails in CI alone.
set -eu
clients=$1

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "node and npm are not installed: the tests of the Node clients will be skipped." >&2
    exit 0
fi
if ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; then
    echo "node is $(node --version), and the Node clients need 18 or newer: their tests will be skipped." >&2
    exit 0
fi
echo "Installing the Node clients that the tests run"
cd "$clients"
npm ci --silent
touch node_modules/.ready
