#!/usr/bin/env bash
# Make, once for a project, what cloudbuild.yaml needs. What exists already is left as it is.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: deploy/setup.sh --project PROJECT [--region REGION] [--keys FILE] [--openai-key FILE] [--redis-url FILE]

Makes in a Google Cloud project what `gcloud builds submit --config cloudbuild.yaml` needs: the APIs, two service accounts
with the roles that they need and no others, the registry for the built images, the Firestore database for conversations,
and the secrets. Run it as often as you like: it prints what it makes, and what exists already.

  --project PROJECT   the project, which must have billing
  --region REGION     where the function, its images and its database live; europe-west1 when not given
  --keys FILE         the API keys of your callers, a JSON array of what `sluice key new` prints; the smoke test's own
                      is added. Without it there is only that one
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

gcloud services enable run.googleapis.com cloudbuild.googleapis.com artifactregistry.googleapis.com \
    secretmanager.googleapis.com firestore.googleapis.com logging.googleapis.com monitoring.googleapis.com
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

# secret NAME ACCOUNT: make it of what stands on standard input, and let the account, and nobody else, read it.
secret() {
    ensure "$secrets" secret "$1" gcloud secrets create "$1" --replication-policy automatic --data-file -
    gcloud secrets add-iam-policy-binding "$1" --role roles/secretmanager.secretAccessor \
        --member "serviceAccount:$2" --condition None >/dev/null </dev/null
    echo "granted ${2%@*} may read the secret $1"
}

# with_smoke_key KEY: the JSON array on standard input, the smoke test's entry in front; it may ask the demo agent alone.
with_smoke_key() {
    local sha256 others
    sha256=$(printf %s "$1" | openssl dgst -sha256 -r | cut -d' ' -f1)
    others=$(tr -d '\r\n' | sed 's/^[[:space:]]*\[//; s/\][[:space:]]*$//')
    printf '[{"user": "smoke-test", "sha256": "%s", "agents": ["demo"]}%s]' "$sha256" "${others:+, $others}"
}

# Not through pipes: a secret that exists already is not read.
secret sluice-ticket-secret "$function_account" < <(printf %s "$(openssl rand -hex 32)")
[ -z "$openai_key" ] || secret sluice-openai-api-key "$function_account" < <(tr -d '\r\n' <"$openai_key")
[ -z "$redis_url" ] || secret sluice-redis-url "$function_account" < <(tr -d '\r\n' <"$redis_url")

smoke_key=$(openssl rand -hex 24)
if grep -qxF sluice-api-keys <<<"$secrets" && ! grep -qxF sluice-smoke-key <<<"$secrets"; then
    known=$(gcloud secrets versions access latest --secret sluice-api-keys)
    gcloud secrets versions add sluice-api-keys --data-file - < <(with_smoke_key "$smoke_key" <<<"$known") >/dev/null
    echo "added   the smoke test's key to the secret sluice-api-keys"
fi
secret sluice-api-keys "$function_account" < <(with_smoke_key "$smoke_key" <"${keys:-/dev/null}")
secret sluice-smoke-key "$build_account" < <(printf %s "$smoke_key")

granted=$(gcloud projects get-iam-policy "$project" --flatten 'bindings[].members' \
    --format 'csv[no-heading](bindings.members,bindings.role)')

# grant ACCOUNT ROLE [CONDITION]: on the project.
grant() {
    ensure "$granted" role "serviceAccount:$1,$2" gcloud projects add-iam-policy-binding "$project" \
        --member "serviceAccount:$1" --role "$2" --condition "${3:-None}"
}

grant "$function_account" roles/datastore.user \
    "expression=resource.name == 'projects/$project/databases/sluice',title=sluice-database"
grant "$build_account" roles/run.sourceDeveloper # uploads the source, starts its build, deploys
grant "$build_account" roles/run.builder # builds it
grant "$build_account" roles/run.admin # lets callers in who have none of Google's tokens: setIamPolicy
grant "$build_account" roles/serviceusage.serviceUsageConsumer # sees that the APIs are enabled
grant "$build_account" roles/logging.logWriter # the build's own log
grant "$build_account" roles/logging.configWriter # log-based metrics
grant "$build_account" roles/monitoring.alertPolicyEditor
grant "$build_account" roles/monitoring.dashboardEditor

# Deploying as an account means acting as it: as the function's, and as its own for the inner build.
for account in "$function_account" "$build_account"; do
    gcloud iam service-accounts add-iam-policy-binding "$account" --role roles/iam.serviceAccountUser \
        --member "serviceAccount:$build_account" >/dev/null
    echo "granted ${build_account%@*} may deploy as ${account%@*}"
done

echo
[ -z "$openai_key$redis_url" ] || echo "Name the new secrets in cloudbuild.yaml's _SECRETS, as its comment shows."
echo "Ready. Deploy with:"
echo "  gcloud builds submit --project $project --config cloudbuild.yaml --substitutions _REGION=$region"
