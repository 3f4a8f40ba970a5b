"""cloudbuild.yaml, read by the clients that will read it: Cloud Build's and Cloud Run's commands of the real gcloud."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sluice_service.settings import RESERVED_THREADS, Settings, load
from tests.deploy.conftest import BUILDS, ROOT, Deployment, new_workspace, shares
from tests.deploy.fake_google import PROJECT, REGION, FakeGoogle

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("deploy")]

FIRST, SECOND = (f"sluice-b{build[:8]}" for build in BUILDS)


def container(service: Any) -> Any:
    (only,) = service["spec"]["template"]["spec"]["containers"]
    return only


def environment(service: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(service)["env"] if "value" in entry}


def test_cloud_build_accepts_the_file(google: FakeGoogle, build: dict[str, Any]) -> None:
    done = google.runs(
        "gcloud", "beta", "builds", "submit", "--no-source", "--async", "--config", "cloudbuild.yaml", cwd=ROOT
    )

    assert (done.returncode, google.refused) == (0, []), done.stderr
    assert "only displays logs from Cloud Storage" not in done.stderr
    (sent,) = google.sent("POST", "/builds")
    assert [step["id"] for step in sent["steps"]] == ["test", "bytecode", "deploy", "smoke-test", "traffic", "monitoring"]
    assert [step.get("script") for step in sent["steps"]] == [step.get("script") for step in build["steps"]]
    assert (sent["substitutions"], sent["serviceAccount"]) == (build["substitutions"], build["serviceAccount"])


def test_every_step_of_a_deployment_succeeds_and_google_refuses_nothing(deployment: Deployment) -> None:
    failed = {name: done.stderr for name, done in deployment.steps.items() if done.returncode and name != "failed"}

    assert (failed, deployment.google.refused) == ({}, [])


def test_the_first_revision_takes_the_traffic_and_the_next_one_waits(deployment: Deployment) -> None:
    second = deployment.services["second"]["status"]["traffic"]

    assert shares(deployment.services["first"]) == shares(deployment.services["second"]) == {FIRST: 100}
    assert [each["revisionName"] for each in second if each.get("tag") == "candidate"] == [SECOND]
    assert "gets the traffic before the smoke test" in deployment.steps["first"].stdout


def test_a_first_deployment_that_failed_can_be_made_again(deployment: Deployment) -> None:
    assert "The container failed to start" in deployment.steps["failed"].stderr
    assert deployment.services["failed"]["status"]["latestCreatedRevisionName"] == "sluice-b00000000"
    assert "latestReadyRevisionName" not in deployment.services["failed"]["status"]
    assert deployment.steps["first"].returncode == 0


def test_gcloud_refuses_to_leave_a_first_revision_without_traffic(google: FakeGoogle) -> None:
    command = ["gcloud", "run", "deploy", "new", "--image", "an/image", "--region", REGION, "--no-traffic"]

    done = google.runs(*command, "--allow-unauthenticated", cwd=ROOT)

    assert "--no-traffic not supported when creating a new service" in done.stderr


def test_the_smoke_test_asks_the_candidates_first_agent(deployment: Deployment) -> None:
    told = deployment.steps["smoke"].stdout

    assert re.search(r"(?m)^ok: \d+ pieces of an answer by demo arrived over \d{3,} ms$", told), told


def test_the_smoke_tests_key_is_the_revisions_own_and_only_its_hash_is_uploaded(deployment: Deployment) -> None:
    key = (deployment.workspace / "smoke.key").read_bytes()
    uploaded = deployment.google.uploaded

    (entry,) = json.loads(uploaded["smoke_key.json"])
    assert (len(key), entry["sha256"]) == (48, hashlib.sha256(key).hexdigest())
    assert not [path for path, content in uploaded.items() if key in content]
    assert environment(deployment.services["second"])["API_KEYS_FILE"] == "/workspace/smoke_key.json"


def test_a_candidate_of_another_build_is_not_tested_in_its_place(deployment: Deployment) -> None:
    done = deployment.step("smoke-test", "33333333")

    assert done.returncode == 1
    assert "another deployment has taken it" in done.stderr


def test_traffic_goes_to_the_tested_revision_in_stages_and_back_with_the_printed_command(deployment: Deployment) -> None:
    (back,) = re.findall(r"(?m)^To go back: (gcloud .*)$", deployment.steps["part"].stdout)

    assert f"{SECOND} has 5 % of the traffic of {deployment.google.run.url}\n" in deployment.steps["part"].stdout
    assert shares(deployment.services["part"]) == {FIRST: 95, SECOND: 5}
    assert shares(deployment.services["traffic"]) == {SECOND: 100}
    assert deployment.google.runs("bash", "-c", back, cwd=ROOT).returncode == 0
    assert shares(deployment.google.run.services["sluice"]) == {FIRST: 100}


def test_cloud_run_gets_the_service_that_the_function_needs(deployment: Deployment) -> None:
    service = deployment.services["first"]
    template = service["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    scale = {name.rpartition("/")[2]: value for name, value in annotations.items() if name.startswith("autoscaling")}

    assert scale == {"maxScale": "10"}
    assert annotations["run.googleapis.com/cpu-throttling"] == "False"
    assert annotations["run.googleapis.com/startup-cpu-boost"] == "True"
    assert annotations["run.googleapis.com/sessionAffinity"] == "true"
    assert annotations["run.googleapis.com/execution-environment"] == "gen2"
    assert template["spec"]["serviceAccountName"] == f"sluice@{PROJECT}.iam.gserviceaccount.com"
    assert container(service)["resources"]["limits"] == {"memory": "1Gi", "cpu": "1"}
    allowed = deployment.google.run.policies["sluice"]["bindings"]
    assert [(each["role"], each["members"]) for each in allowed] == [("roles/run.invoker", ["allUsers"])]


def test_secrets_come_from_secret_manager(deployment: Deployment) -> None:
    entries = container(deployment.services["first"])["env"]

    secrets = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in entries if "valueFrom" in entry}
    assert secrets == {
        "API_KEYS": {"name": "sluice-api-keys", "key": "latest"},
        "TICKET_SECRET": {"name": "sluice-ticket-secret", "key": "latest"},
    }


@pytest.mark.parametrize("name", ["first", "second"])
def test_the_function_understands_the_settings_that_it_gets(name: str, deployment: Deployment) -> None:
    service = deployment.services[name]
    settings = load({**environment(service), **deployment.keys()})

    spec = service["spec"]["template"]["spec"]
    assert settings.capacity == spec["containerConcurrency"]
    assert settings.threads == spec["containerConcurrency"] + RESERVED_THREADS
    assert spec["timeoutSeconds"] > settings.timeout_seconds
    assert settings.google_cloud_project == PROJECT
    users = {key.user for key in Settings.keys(settings)}
    assert users >= {"alice", "smoke-test"}
    assert set(environment(service)) <= {field.upper() for field in Settings.model_fields}


def test_substitutions_reach_the_function(deployment: Deployment) -> None:
    first, second = (load({**environment(deployment.services[name]), **deployment.keys()}) for name in ("first", "second"))

    assert (first.enable_streaming, first.conversations) == (True, "firestore:///sluice")
    assert (second.cors_origins, second.max_tokens) == (("https://a.example", "https://b.example"), 500)
    annotations = deployment.services["second"]["spec"]["template"]["metadata"]["annotations"]
    assert deployment.services["second"]["metadata"]["annotations"]["run.googleapis.com/minScale"] == "1"
    assert '"network":"inside"' in annotations["run.googleapis.com/network-interfaces"].replace(" ", "")


def test_sqlite_on_a_disk_that_is_memory_is_warned_of(deployment: Deployment) -> None:
    assert "WARNING: _CONVERSATIONS is sqlite://" in deployment.steps["second"].stderr
    assert "WARNING: _CONVERSATIONS" not in deployment.steps["first"].stderr


def test_the_function_folder_is_built_for_its_target_by_the_builds_account(deployment: Deployment) -> None:
    built = deployment.google.sent("POST", "/builds:submit")[0]
    uploaded = deployment.google.uploaded

    assert (built["buildpackBuild"]["baseImage"], built["buildpackBuild"]["functionTarget"]) == ("python313", "chat")
    assert built["serviceAccount"].endswith(f"sluice-deploy@{PROJECT}.iam.gserviceaccount.com")
    assert {"main.py", "requirements.txt", "sluice_service/entry.py", "sluice_service/agents.toml"} <= set(uploaded)


def test_bytecode_goes_along_for_the_pythons_version_and_whatever_the_time(deployment: Deployment) -> None:
    sources = {Path(path) for path in deployment.google.uploaded if path.endswith(".py")}
    compiled = [path for path in deployment.google.uploaded if path.endswith(".pyc")]

    assert {Path(path).parent.parent / f"{Path(path).name.partition('.')[0]}.py" for path in compiled} == sources
    for path in compiled:
        header = (deployment.workspace / "function" / path).read_bytes()[:8]
        assert int.from_bytes(header[4:], "little") == 0b01, f"{path} is not one of an unchecked hash (PEP 552)"
    base_image = "python" + "".join(deployment.build["substitutions"]["_PYTHON"].partition(":")[2].split(".")[:2])
    assert f"--base-image {base_image} " in (ROOT / "cloudbuild.yaml").read_text(encoding="utf-8")


def test_gcloud_refuses_a_misspelt_flag(build: dict[str, Any], google: FakeGoogle, tmp_path: Path) -> None:
    (script,) = [step["script"] for step in build["steps"] if step["id"] == "deploy"]
    known = {**build["substitutions"], "PROJECT_ID": PROJECT, "BUILD_ID": BUILDS[0]}

    done = google.runs(
        "bash", "-c", script.replace("--no-cpu-throttling", "--no-cpu-throtling"), cwd=new_workspace(tmp_path), **known
    )

    assert "unrecognized arguments" in done.stderr
    assert google.run.services == {}


def test_every_image_is_pinned(build: dict[str, Any]) -> None:
    for step in build["steps"]:
        name = re.sub(r"\$(_\w+)", lambda found: build["substitutions"][found[1]], step["name"])
        assert re.fullmatch(r"[^:]+:\d+\.\d+\.\d+(-\w+)*", name), name
