"""deploy/setup.sh, run by the real gcloud against the fake: what it makes, for whom, and that it can be run again."""

import json
import subprocess
from pathlib import Path

import pytest

from sluice_service.settings import load
from tests.deploy.conftest import ALICE, OPENAI_KEY, ROOT, Deployment
from tests.deploy.fake_google import PROJECT

BOB = {"user": "bob", "sha256": "b" * 64}
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
        f"projects/{PROJECT}/roles/sluicePublisher",
        *("run.sourceDeveloper", "run.builder", "serviceusage.serviceUsageConsumer"),
        *("logging.logWriter", "logging.configWriter", "monitoring.alertPolicyEditor", "monitoring.dashboardEditor"),
        *("monitoring.notificationChannelEditor", "monitoring.uptimeCheckConfigEditor"),
    }
    (publisher,) = deployment.google.sent("POST", "/roles")
    assert publisher["role"]["includedPermissions"] == ["run.services.getIamPolicy", "run.services.setIamPolicy"]
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
    }


def test_the_function_can_read_the_keys_and_the_ticket_secret(deployment: Deployment) -> None:
    google = deployment.google
    settings = load({"API_KEYS": google.secret("sluice-api-keys"), "TICKET_SECRET": google.secret("sluice-ticket-secret")})

    (alice,) = settings.keys()
    assert (alice.user, alice.sha256) == (ALICE["user"], ALICE["sha256"])


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


def test_an_account_that_is_not_known_everywhere_yet_is_waited_for(deployment: Deployment) -> None:
    assert deployment.google.resources.unknown_accounts == 0
    assert deployment.steps["setup"].returncode == 0


def test_a_second_run_mends_what_is_missing_takes_what_is_new_and_says_so(deployment: Deployment, tmp_path: Path) -> None:
    google = deployment.google
    things, before = set(google.resources.things), len(google.calls)
    versions = google.resources.secrets
    policies = json.dumps(google.resources.policies, sort_keys=True)
    # As if the first run had been broken off between making the secret and filling it.
    versions[f"projects/{PROJECT}/secrets/sluice-ticket-secret"].clear()
    (tmp_path / "keys.json").write_text(json.dumps([ALICE, BOB]))
    (tmp_path / "openai.key").write_text(f"{OPENAI_KEY}\r\n")
    given = ("--keys", str(tmp_path / "keys.json"), "--openai-key", str(tmp_path / "openai.key"))

    done = google.runs("deploy/setup.sh", "--project", PROJECT, *given, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if not line.startswith(("granted", "exists"))]
    assert told[1:3] == ["changed secret sluice-ticket-secret", "changed secret sluice-api-keys"]
    assert "exists  secret sluice-openai-api-key" in done.stdout
    assert not [line for line in told if line.startswith("made")]
    assert set(google.resources.things) == things
    made = [call.path.rpartition("/")[2] for call in google.calls[before:] if call.method == "POST"]
    assert [path for path in made if ":" not in path] == []
    assert json.dumps(google.resources.policies, sort_keys=True) == policies
    assert json.loads(google.secret("sluice-api-keys")) == [ALICE, BOB]
    assert [len(each) for each in versions.values()] == [1, 2, 1]


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


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("[ ]", "holds no key"),
        ('[{"user": "alice", }', "not valid JSON"),
        ('[{"user": "alice", "sha256": "abc"}]', "sha256: String should match pattern"),
        (json.dumps(ALICE), "not a JSON array"),
    ],
)
def test_keys_that_the_function_could_not_read_are_refused_before_anything_is_made(
    keys: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(keys)
    command = ["bash", str(ROOT / "deploy" / "setup.sh"), "--project", "p", "--keys", str(tmp_path / "keys.json")]

    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)

    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
