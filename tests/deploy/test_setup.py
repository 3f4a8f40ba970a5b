"""deploy/setup.sh, run by the real gcloud against the fake: what it makes, for whom, and that it can be run again."""

import base64
import hashlib
import json
import subprocess

import pytest

from sluice_service.settings import load
from tests.deploy.conftest import ALICE, OPENAI_KEY, ROOT, Deployment
from tests.deploy.fake_google import PROJECT

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("deploy")]

FUNCTION, BUILD = (f"serviceAccount:{name}@{PROJECT}.iam.gserviceaccount.com" for name in ("sluice", "sluice-deploy"))


def granted(deployment: Deployment, what: str) -> set[tuple[str, str]]:
    """(member, role) of a resource's policy."""
    bindings = deployment.google.resources.policies[what]["bindings"]
    return {(member, binding["role"]) for binding in bindings for member in binding["members"]}


def test_the_accounts_get_the_roles_that_they_need_and_no_others(deployment: Deployment) -> None:
    roles = granted(deployment, f"projects/{PROJECT}")

    assert {role for member, role in roles if member == FUNCTION} == {"roles/datastore.user"}
    assert {role.removeprefix("roles/") for member, role in roles if member == BUILD} == {
        *("run.sourceDeveloper", "run.builder", "run.admin", "serviceusage.serviceUsageConsumer"),
        *("logging.logWriter", "logging.configWriter", "monitoring.alertPolicyEditor", "monitoring.dashboardEditor"),
    }
    for account in ("sluice", "sluice-deploy"):
        name = f"projects/{PROJECT}/serviceAccounts/{account}@{PROJECT}.iam.gserviceaccount.com"
        assert granted(deployment, name) == {(BUILD, "roles/iam.serviceAccountUser")}


def test_the_function_may_use_its_own_database_alone(deployment: Deployment) -> None:
    bindings = deployment.google.resources.policies[f"projects/{PROJECT}"]["bindings"]

    (condition,) = [binding["condition"] for binding in bindings if binding["role"] == "roles/datastore.user"]
    assert condition["expression"] == f"resource.name == 'projects/{PROJECT}/databases/sluice'"
    assert deployment.google.resources.names("databases") == ["sluice"]
    (database,) = deployment.google.sent("POST", "/databases")
    assert (database["type"], database["locationId"]) == ("FIRESTORE_NATIVE", "europe-west1")


def test_each_secret_is_read_by_one_account(deployment: Deployment) -> None:
    reading = {
        name: granted(deployment, f"projects/{PROJECT}/secrets/{name}")
        for name in deployment.google.resources.names("secrets")
    }

    accessor = "roles/secretmanager.secretAccessor"
    assert reading == {
        "sluice-ticket-secret": {(FUNCTION, accessor)},
        "sluice-openai-api-key": {(FUNCTION, accessor)},
        "sluice-api-keys": {(FUNCTION, accessor)},
        "sluice-smoke-key": {(BUILD, accessor)},
    }


def test_the_smoke_tests_key_is_known_to_the_function_and_may_ask_the_demo_agent_alone(deployment: Deployment) -> None:
    google = deployment.google
    settings = load({"API_KEYS": google.secret("sluice-api-keys"), "TICKET_SECRET": google.secret("sluice-ticket-secret")})

    key, alice = settings.keys()
    assert (key.user, key.agents) == ("smoke-test", ("demo",))
    assert (alice.user, alice.sha256) == (ALICE["user"], ALICE["sha256"])
    assert key.sha256 == hashlib.sha256(google.secret("sluice-smoke-key").encode()).hexdigest()


def test_a_provider_key_is_stored_without_its_line_end(deployment: Deployment) -> None:
    assert deployment.google.secret("sluice-openai-api-key") == OPENAI_KEY
    assert "_SECRETS" in deployment.steps["setup"].stdout


def test_no_secret_is_printed(deployment: Deployment) -> None:
    told = deployment.steps["setup"].stdout + deployment.steps["setup"].stderr

    for name in deployment.google.resources.names("secrets"):
        assert deployment.google.secret(name) not in told


def test_ttl_policies_are_set_for_every_collection_of_the_store(deployment: Deployment) -> None:
    fields = [name for name in deployment.google.resources.things if name.endswith("/fields/expires")]

    groups = {name.split("/collectionGroups/")[1].split("/")[0] for name in fields}
    assert groups == {"sluice_conversations", "messages", "pieces", "sluice_progress"}
    assert all(name.startswith(f"projects/{PROJECT}/databases/sluice/") for name in fields)


def test_a_second_run_makes_nothing_and_says_so(deployment: Deployment) -> None:
    google = deployment.google
    things, before = set(google.resources.things), len(google.calls)
    (first,) = google.resources.secrets[f"projects/{PROJECT}/secrets/sluice-api-keys"]
    policies = json.dumps(google.resources.policies, sort_keys=True)
    # What somebody made by hand in between is kept, and the smoke test's key added to it.
    smoke = f"projects/{PROJECT}/secrets/sluice-smoke-key"
    del google.resources.things[smoke], google.resources.secrets[smoke]

    done = google.runs("deploy/setup.sh", "--project", PROJECT, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("made")] == ["made    secret sluice-smoke-key"]
    assert set(google.resources.things) == things
    made = [call.path.rpartition("/")[2] for call in google.calls[before:] if call.method == "POST"]
    assert [path for path in made if ":" not in path] == ["secrets"]
    assert json.dumps(google.resources.policies, sort_keys=True) == policies
    old, new = json.loads(base64.b64decode(first)), json.loads(google.secret("sluice-api-keys"))
    assert new[1:] == old
    assert new[0]["sha256"] == hashlib.sha256(google.secret("sluice-smoke-key").encode()).hexdigest()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--help"], 0, "usage: deploy/setup.sh"),
        ([], 2, "usage: deploy/setup.sh"),
        (["--projekt", "p"], 2, "usage: deploy/setup.sh"),
        (["--project", "p", "--keys", "/nowhere"], 2, "/nowhere cannot be read"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(arguments: list[str], status: int, words: str) -> None:
    # Without gcloud on the path: none of these may call it.
    environment = {"PATH": "/usr/bin:/bin"}
    command = ["bash", str(ROOT / "deploy" / "setup.sh"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    assert (done.returncode, words in done.stdout + done.stderr) == (status, True)
