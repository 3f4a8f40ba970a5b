#!/usr/bin/env bash
# Make, once for a project, what cloudbuild.yaml needs. What exists already is left as it is, but for secrets that are given.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: deploy/setup.sh --project PROJECT [--region REGION] [--keys FILE] [--openai-key FILE] [--redis-url FILE]

Makes in a Google Cloud project what `gcloud beta builds submit --config cloudbuild.yaml` needs: the APIs, two service
accounts with the roles that they need and no others, the registry for the built images, the Firestore database for
conversations, and the secrets. Run it as often as you like: it prints what it makes, and what exists already. A secret whose
file is given gets a new version when the file holds something else.

  --project PROJECT   the project, which must have billing
  --region REGION     where the function, its images and its database live; europe-west1 when not given
  --keys FILE         the API keys of your callers, a JSON array of what `.venv/bin/sluice key new` prints. Without it
                      there are none at first, and nobody is let in
  --openai-key FILE   the key of the provider named openai; without it the demo agent alone answers
  --redis-url FILE    the address of a Redis, through which instances share streams and limits
TEXT
}

project='' region=europe-west1 keys='' openai_key='' redis_url=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage && exit ;;
        --project) project=${2:?} ;;
        --region) region=${2:?} ;;
        --keys) keys=${2:?} ;;
        --openai-key) openai_key=${2:?} ;;
        --redis-url) redis_url=${2:?} ;;
        *) usage >&2 && exit 2 ;;
    esac
    shift 2
done
[ -n "$project" ] || { usage >&2 && exit 2; }
for file in "$keys" "$openai_key" "$redis_url"; do
    [ -z "$file" ] || [ -s "$file" ] || { echo "$file cannot be read, or is empty." >&2 && exit 2; }
done
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Read as the function will read them: it does not start with keys that it cannot read.
if [ -n "$keys" ]; then
    [ -x "$here/.venv/bin/python" ] || { echo "The keys are checked with .venv: run \`make setup\` first." >&2 && exit 2; }
    "$here/.venv/bin/python" - "$keys" <<'PYTHON' || exit 2
import sys

from sluice_service.settings import SettingsError, load

try:
    keys = load({"API_KEYS_FILE": sys.argv[1]}).keys()
except SettingsError as problem:
    sys.exit(f"{sys.argv[1]} cannot be used as API_KEYS: {problem}")
if not keys:
    sys.exit(f"{sys.argv[1]} holds no key. `.venv/bin/sluice key new NAME` prints one's entry.")
PYTHON
fi
export CLOUDSDK_CORE_PROJECT=$project CLOUDSDK_CORE_DISABLE_PROMPTS=1

domain=$project.iam.gserviceaccount.com
function_account=sluice@$domain
build_account=sluice-deploy@$domain

# ensure LIST WHAT NAME COMMAND…: run the command unless the name is a line of the list.
ensure() {
    local list=$1 what=$2 name=$3
    shift 3
    if grep -qxF -- "$name" <<<"$list"; then
        echo "exists  $what $name"
    else
        "$@" >/dev/null
        echo "made    $what $name"
    fi
}

# bind COMMAND…: the gcloud command that gives an account a role. For a minute again, since not every part of Google knows a
# new account at once.
bind() {
    local left=12
    until gcloud "$@" >/dev/null 2>"$work/error" </dev/null; do
        if ! grep -q 'does not exist' "$work/error" || ((--left == 0)); then
            cat "$work/error" >&2
            return 1
        fi
        sleep "${SETUP_WAIT_SECONDS:-5}"
    done
}

gcloud services enable run.googleapis.com cloudbuild.googleapis.com artifactregistry.googleapis.com iam.googleapis.com \
    cloudresourcemanager.googleapis.com secretmanager.googleapis.com firestore.googleapis.com logging.googleapis.com \
    monitoring.googleapis.com
echo "enabled the APIs"

accounts=$(gcloud iam service-accounts list --format 'value(email)')
ensure "$accounts" "service account" "$function_account" \
    gcloud iam service-accounts create sluice --display-name "Sluice: the function"
ensure "$accounts" "service account" "$build_account" \
    gcloud iam service-accounts create sluice-deploy --display-name "Sluice: tests and deploys"

repositories=$(gcloud artifacts repositories list --location "$region" --format 'value(name.basename())')
ensure "$repositories" "image repository" cloud-run-source-deploy \
    gcloud artifacts repositories create cloud-run-source-deploy --location "$region" --repository-format docker

# A database of its own: the function may use this one alone, and what is set for it here is nobody else's.
databases=$(gcloud firestore databases list --format 'value(name.basename())')
ensure "$databases" "Firestore database" sluice \
    gcloud firestore databases create --database sluice --location "$region" --delete-protection

# Firestore deletes a document when the time in its field `expires` has passed. The function sets none: conversations are
# kept until their users delete them. docs/operations.md, "How long conversations are kept", tells how to limit that.
expiring=$(gcloud firestore fields ttls list --database sluice --format 'value(name)' |
    sed 's|.*/collectionGroups/\([^/]*\)/fields/|\1.|')
for group in sluice_conversations messages pieces sluice_progress; do
    ensure "$expiring" "TTL policy" "$group.expires" \
        gcloud firestore fields ttls update expires --database sluice --collection-group "$group" --enable-ttl --async
done

secrets=$(gcloud secrets list --format 'value(name.basename())')

# secret NAME FILE WHEN: make it of the file; when it exists, add the file as its newest version if there is none yet, or, WHEN
# being `given`, if the newest is another. The function, and nobody else, may read it.
secret() {
    if ! grep -qxF "$1" <<<"$secrets"; then
        gcloud secrets create "$1" --replication-policy automatic --data-file "$2" >/dev/null
        echo "made    secret $1"
    elif stored "$@"; then
        echo "exists  secret $1"
    else
        gcloud secrets versions add "$1" --data-file "$2" >/dev/null
        echo "changed secret $1"
    fi
    bind secrets add-iam-policy-binding "$1" --role roles/secretmanager.secretAccessor \
        --member "serviceAccount:$function_account" --condition None
    echo "granted ${function_account%@*} may read the secret $1"
}

# stored NAME FILE WHEN: whether it needs no new version.
stored() {
    local newest
    newest=$(gcloud secrets versions list "$1" --filter state=ENABLED --limit 1 --format 'value(name)') || exit
    [ -n "$newest" ] || return 1
    [ "$3" = given ] || return 0
    newest=$(gcloud secrets versions access latest --secret "$1") || exit
    [ "$newest" = "$(<"$2")" ]
}

# given NAME FILE: a secret of a file that was given, without the line ends that it may have.
given() {
    tr -d '\r\n' <"$2" >"$work/$1"
    secret "$1" "$work/$1" given
}

printf %s "$(openssl rand -hex 32)" >"$work/ticket"
secret sluice-ticket-secret "$work/ticket" first
printf '[]' >"$work/no-keys"
if [ -n "$keys" ]; then given sluice-api-keys "$keys"; else secret sluice-api-keys "$work/no-keys" first; fi
[ -z "$openai_key" ] || given sluice-openai-api-key "$openai_key"
[ -z "$redis_url" ] || given sluice-redis-url "$redis_url"

# Of roles/run.admin, which may do all that can be done to services, the part that is needed.
publisher=sluicePublisher
roles=$(gcloud iam roles list --project "$project" --format 'value(name.basename())')
ensure "$roles" role "$publisher" gcloud iam roles create "$publisher" --project "$project" --stage GA \
    --title "Sluice: publishes its service" --permissions run.services.getIamPolicy,run.services.setIamPolicy

granted=$(gcloud projects get-iam-policy "$project" --flatten 'bindings[].members' \
    --format 'csv[no-heading](bindings.members,bindings.role)')

# grant ACCOUNT ROLE [CONDITION]: on the project.
grant() {
    ensure "$granted" role "serviceAccount:$1,$2" bind projects add-iam-policy-binding "$project" \
        --member "serviceAccount:$1" --role "$2" --condition "${3:-None}"
}

grant "$function_account" roles/datastore.user \
    "expression=resource.name == 'projects/$project/databases/sluice',title=sluice-database"
grant "$build_account" roles/run.sourceDeveloper # uploads the source, starts its build, deploys
grant "$build_account" roles/run.builder # builds it
grant "$build_account" "projects/$project/roles/$publisher" # lets callers in who have none of Google's tokens
grant "$build_account" roles/serviceusage.serviceUsageConsumer # sees that the APIs are enabled
grant "$build_account" roles/logging.logWriter # the build's own log
grant "$build_account" roles/logging.configWriter # log-based metrics
grant "$build_account" roles/monitoring.alertPolicyEditor
grant "$build_account" roles/monitoring.dashboardEditor
grant "$build_account" roles/monitoring.notificationChannelEditor
grant "$build_account" roles/monitoring.uptimeCheckConfigEditor

# Deploying as an account means acting as it: as the function's, and as its own for the inner build.
for account in "$function_account" "$build_account"; do
    bind iam service-accounts add-iam-policy-binding "$account" --role roles/iam.serviceAccountUser \
        --member "serviceAccount:$build_account"
    echo "granted ${build_account%@*} may deploy as ${account%@*}"
done

echo
[ -z "$openai_key$redis_url" ] || echo "Name the new secrets in cloudbuild.yaml's _SECRETS, as its comment shows."
echo "Ready. Deploy with:"
echo "  gcloud beta builds submit --project $project --config cloudbuild.yaml --substitutions _REGION=$region"
