#!/usr/bin/env bash
# Smoke-test a running service: health, a refusal without a key, and one streamed answer that arrives piece by piece.
#
#     SLUICE_API_KEY=… deploy/smoke_test.sh URL [AGENT]
#
# The agent is the one that the service offers first, when none is named. With ENABLE_STREAMING=false the service has to refuse
# the streamed request. It has a minute, or SMOKE_TEST_PATIENCE_SECONDS, to appear at its address and to know the key.
# Exit status: 0 when all is well.
set -euo pipefail
export LC_ALL=C # a dot in $EPOCHREALTIME

url=${1:-}
agent=${2:-}
if [ -z "$url" ] || [ -z "${SLUICE_API_KEY:-}" ]; then
    echo "usage: SLUICE_API_KEY=… ${0##*/} URL [AGENT]" >&2
    exit 2
fi
url=${url%/}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

LEAST_SPREAD_MS=300 # between the first piece of the answer and its end; the demo agent takes some seconds
LEAST_PIECES=5
REFUSED=22 # curl's exit status for an answer of 400 and above, under --fail-with-body

fail() {
    echo "FAILED: $1" >&2
    echo "  why:        $2" >&2
    echo "  what to do: $3" >&2
    [ ! -s "$work/body" ] || echo "  it said:    $(head -c 500 "$work/body" | tr -d '\000-\010\013-\037')" >&2
    exit 1
}

# fetch WHAT ARGUMENT…: the status in $status, headers in $work/head, body in $work/body.
fetch() {
    local what=$1
    shift
    status=$(curl --silent --show-error --max-time 60 --output "$work/body" --dump-header "$work/head" \
        --write-out '%{http_code}' "$@" 2>"$work/curl") || [ $? = "$REFUSED" ] ||
        fail "$what got no answer from $url." "$(tail -1 "$work/curl")" "Check the address; then the log of the service."
}

# In a file, since others can read a command line.
(umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$SLUICE_API_KEY" >"$work/key")

# A new revision's address may answer 404 for some seconds, or lead to the revision before, which need not know the key.
patient=(--fail-with-body --retry 60 --retry-all-errors --retry-delay 1)
patient+=(--retry-max-time "${SMOKE_TEST_PATIENCE_SECONDS:-60}")
fetch "GET /health" "${patient[@]}" "$url/health"
[ "$status" = 200 ] && grep -q '"status": *"healthy"' "$work/body" ||
    fail "GET /health answered $status." "It is not the health of a Sluice function." "Check the address."
echo "ok: it is healthy"

fetch "GET /v1/models" "${patient[@]}" --config "$work/key" "$url/v1/models"
known=$status
mv "$work/body" "$work/models"
[ -n "$agent" ] || agent=$(grep -o '"id": *"[^"]*"' "$work/models" | sed -n '1s/.*"\(.*\)"/\1/p' || true)
question='{"model": "'$agent'", "stream": true, "messages": [{"role": "user", "content": "What is a sluice?"}]}'
asking=(--header 'content-type: application/json' --data "$question" "$url/v1/chat/completions")

fetch "A request without a key" "${asking[@]}"
case $status in
    401) grep -q missing_credentials "$work/body" ||
        fail "A request without a key got a 401 that is not Sluice's." "Something in front of the function answers." \
            "Let requests through to the function, which checks keys itself." ;;
    403) fail "A request without a key got 403, not 401." \
        "Cloud Run's own access control refuses callers without Google's tokens." \
        "Allow them: gcloud run services add-iam-policy-binding SERVICE --member allUsers --role roles/run.invoker" ;;
    *) fail "A request without a key got $status, not 401." "Whoever finds the address could use it." "Give it no traffic." ;;
esac
echo "ok: without a key it answers 401"

mv "$work/models" "$work/body"
case $known in
    200) ;;
    401) fail "The key in SLUICE_API_KEY is not known." "API_KEYS has no entry with its SHA-256, or another revision answers." \
        "Add one, or use another key." ;;
    *) fail "GET /v1/models answered $known to the key." "The function refused it." "What it said tells more." ;;
esac
[ -n "$agent" ] || fail "The service offers no agent." "No provider has a key, and DEMO_AGENT is false." "Give one a key."

if [ "${ENABLE_STREAMING:-true}" = false ]; then
    fetch "A streamed request" --config "$work/key" "${asking[@]}"
    [ "$status" = 400 ] && grep -q streaming_disabled "$work/body" ||
        fail "A streamed request got $status, not the error streaming_disabled." \
            "ENABLE_STREAMING is false here, but the service streams." "Check the revision's environment."
    echo "ok: streaming is off, and it says so"
    exit 0
fi

# Every line with the microsecond at which it arrived; curl's own word on what happened comes last.
curl --silent --show-error --no-buffer --max-time 120 --dump-header "$work/head" --config "$work/key" "${asking[@]}" \
    2>"$work/curl" | while IFS= read -r line || [ -n "$line" ]; do printf '%s %s\n' "${EPOCHREALTIME/./}" "$line"; done >"$work/lines" ||
    fail "The streamed answer broke off." "$(tail -1 "$work/curl")" "Look into the log of the service."
cut -d' ' -f2- "$work/lines" >"$work/body"
status=$(awk '/^HTTP\// { status = $2 } END { print status }' "$work/head")
case $status in
    200) ;;
    *) fail "The streamed request got $status." "The function or the model's provider refused it." "What it said tells more." ;;
esac
grep -qi '^content-type: text/event-stream' "$work/head" ||
    fail "The answer is not an event stream." "Something on the way changes it." "Look at what is in front of the function."
pieces=$(grep -c '"content": *"[^"]' "$work/body" || true)
! grep -q '^data: {"error"' "$work/body" ||
    fail "The stream ended with an error." "The function or the model's provider failed." "What it said tells more."
grep -qx 'data: \[DONE\]' "$work/body" ||
    fail "The stream ended without data: [DONE]." "Something cut it off." "Compare the time-outs of all that is on the way."
[ "$pieces" -ge "$LEAST_PIECES" ] ||
    fail "The answer came in $pieces pieces, fewer than $LEAST_PIECES." "The agent $agent says too little." "Name another agent."
spread_ms=$(awk '/"content": *"[^"]/ { if (!first) first = $1; last = $1 } END { printf "%d", (last - first) / 1000 }' \
    "$work/lines")
[ "$spread_ms" -ge "$LEAST_SPREAD_MS" ] ||
    fail "The answer arrived all at once: $pieces pieces within $spread_ms ms." \
        "Something on the way holds the answer back until it is whole: a proxy that buffers or compresses." \
        "Turn its buffering off (nginx: proxy_buffering off), or go without it."
echo "ok: $pieces pieces of an answer by $agent arrived over $spread_ms ms"
