#!/usr/bin/env bash
# Bring this folder's log-based metrics, alert policies and dashboard into a project: what is there is brought up to date,
# what is missing is made. cloudbuild.yaml runs it after each deployment; by hand, with gcloud's own project:
#
#     SERVICE=sluice REGION=europe-west1 MAX_INSTANCES=10 CONCURRENCY=100 NOTIFY=me@example.org deploy/monitoring/apply.sh
#
# The two figures are those of the deployment. NOTIFY is an e-mail address that is told of alerts from then on, beside
# those who are already; NOTIFICATION_CHANNELS names channels to tell in their place, as projects/P/notificationChannels/ID,
# separated by commas. Without it those that the policies have stay.
#
# EXPECT_TRAFFIC=true also alerts when nobody asks anything. UPTIME_CHECK=true asks /health every minute from several
# places of the world, and alerts when they get no answer; an instance is then always awake, and billed.
set -euo pipefail
cd "$(dirname "$0")"
: "${SERVICE:?}" "${REGION:?}" "${MAX_INSTANCES:?}" "${CONCURRENCY:?}"
export CLOUDSDK_CORE_DISABLE_PROMPTS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fill FILE: with the deployment's own figures, as a file that gcloud reads; its path is printed.
fill() {
    local filled=$work/${1##*/}
    sed -e "s|\${SERVICE}|$SERVICE|g" \
        -e "s|\${MAX_INSTANCES}|$MAX_INSTANCES|g" \
        -e "s|\${ALL_INSTANCES_BUT_ONE}|$((MAX_INSTANCES > 1 ? MAX_INSTANCES - 1 : 1))|g" \
        -e "s|\${CONCURRENCY}|$CONCURRENCY|g" \
        -e "s|\${NEARLY_ALL_PLACES}|$((CONCURRENCY * 9 / 10))|g" \
        -e "s|\${EXPECT_TRAFFIC}|${EXPECT_TRAFFIC:-false}|g" \
        -e "s|\${UPTIME_CHECK}|${UPTIME_CHECK:-false}|g" \
        -e "s|\${HOST}|${host:-}|g" \
        -e "s|\${PROJECT}|${project:-}|g" \
        -e "s|\${ETAG}|${etag:-}|g" "$1" >"$filled"
    echo "$filled"
}

# quietly COMMAND…: its words only when it fails. A metric is known to Monitoring some time after it was made, up to ten
# minutes; until then a policy that names it is refused, and is tried again.
quietly() {
    local attempt
    for attempt in {1..40}; do
        ! "$@" >"$work/words" 2>&1 || return 0
        grep -qi 'cannot find metric' "$work/words" || break
        [ "$attempt" != 1 ] || echo "waiting until Monitoring knows the new metrics"
        sleep "${METRIC_WAIT_SECONDS:-15}"
    done
    cat "$work/words" >&2
    return 1
}

metrics=$(gcloud logging metrics list --format 'value(name)')
for file in metrics/*.yaml; do
    name=$(basename "$file" .yaml)
    verb=create
    ! grep -qxF "$name" <<<"$metrics" || verb=update
    quietly gcloud logging metrics $verb "$name" --config-from-file "$(fill "$file")"
    echo "${verb}d metric $name"
done

project=$(gcloud config get-value project 2>/dev/null)
host=$(gcloud run services describe "$SERVICE" --region "$REGION" --format 'value(status.url.basename())')
checks=$(gcloud monitoring uptime list-configs --format 'csv[no-heading](displayName,name)')
check=$(sed -n "s|^$SERVICE /health,||p" <<<"$checks")
case ${UPTIME_CHECK:-false},$check in
    true,)
        quietly gcloud monitoring uptime create "$SERVICE /health" --resource-type uptime-url \
            --resource-labels "host=$host,project_id=$project" --protocol https --path /health --period 1 --timeout 30 \
            --matcher-type contains-string --matcher-content healthy
        echo "created uptime check of https://$host/health"
        ;;
    false,?*)
        quietly gcloud monitoring uptime delete "$check"
        echo "deleted uptime check of https://$host/health"
        ;;
esac

mail=
if [ -n "${NOTIFY:-}" ]; then
    mail=$(gcloud beta monitoring channels list --format 'csv[no-heading](labels.email_address,name)' |
        awk -F, -v address="$NOTIFY" '$1 == address { print $2; exit }')
    [ -n "$mail" ] || mail=$(gcloud beta monitoring channels create --type email --display-name "$NOTIFY" \
        --channel-labels "email_address=$NOTIFY" --format 'value(name)')
fi

# Policies have names that Monitoring gives them; ours are known by their labels. (Their commands are gcloud's alpha ones.)
policies=$(gcloud alpha monitoring policies list \
    --format 'csv[no-heading,separator=" "](userLabels.sluice,userLabels.policy,name,notificationChannels.list())')
# A policy that is new tells whom the others tell.
others=$(awk -v service="$SERVICE" '$1 == service && $4 != "" { print $4; exit }' <<<"$policies")
told=
for file in policies/*.yaml; do
    slug=$(basename "$file" .yaml)
    read -r _ _ name channels < <(grep "^$SERVICE $slug " <<<"$policies" || echo)
    [ -n "$name" ] || channels=$others
    channels=$(tr , '\n' <<<"${NOTIFICATION_CHANNELS:-${channels:-}},$mail" | sed '/^$/d' | sort -u | paste -sd , -)
    told+=$channels
    if [ -n "$name" ]; then
        # The file replaces the policy: whoever is told of it has to be named again.
        quietly gcloud alpha monitoring policies update "$name" --policy-from-file "$(fill "$file")" \
            ${channels:+--set-notification-channels "$channels"}
        echo "updated policy $slug"
    else
        quietly gcloud alpha monitoring policies create --policy-from-file "$(fill "$file")" \
            ${channels:+--notification-channels "$channels"}
        echo "created policy $slug"
    fi
done

if [ -z "$told" ]; then
    echo "WARNING: no one is told of these alerts. Name an e-mail address in _NOTIFY of cloudbuild.yaml and deploy again," >&2
    echo "WARNING: or give the policies channels in the console, under Monitoring, Alerting." >&2
fi

etag=$(gcloud monitoring dashboards list --format 'csv[no-heading](name.basename(),etag)' | sed -n "s/^$SERVICE,//p")
if [ -n "$etag" ]; then
    quietly gcloud monitoring dashboards update "$SERVICE" --config-from-file "$(fill dashboard.yaml)"
    echo "updated dashboard $SERVICE"
else
    quietly gcloud monitoring dashboards create --config-from-file "$(fill dashboard.yaml)"
    echo "created dashboard $SERVICE"
fi
