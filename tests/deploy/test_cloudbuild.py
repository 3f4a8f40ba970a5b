"""cloudbuild.yaml, read by the clients that will read it: Cloud Build's and Cloud Run's commands of the real gcloud."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer

from sluice_service.settings import RESERVED_THREADS
from tests.deploy.fake_google import PROJECT, FakeGoogle

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
    pytest.mark.timeout(120),
]


@pytest.fixture
def google(httpserver: HTTPServer, tmp_path: Path) -> FakeGoogle:
    return FakeGoogle(httpserver, tmp_path / "config")


@pytest.fixture
def build() -> dict[str, Any]:
    parsed = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    assert isinstance(parsed, dict)
    return parsed


def deploy_script(build: Mapping[str, Any], **substitutions: str) -> str:
    """The deploy step's script after Cloud Build has put in its substitutions."""
    (step,) = [step for step in build["steps"] if step["id"] == "deploy"]
    script = str(step["args"][-1])
    for name, value in {**build["substitutions"], **substitutions, "PROJECT_ID": PROJECT}.items():
        script = script.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return script.replace("$$", "$")


def deployed(google: FakeGoogle, script: str) -> dict[str, Any]:
    """The service that gcloud would create, as it sends it to Cloud Run."""
    words = google.run("bash", "-euc", script, cwd=ROOT)
    assert "services" in google.sent, words
    service = google.sent["services"]
    assert isinstance(service, dict)
    return service


def test_cloud_build_accepts_the_file(google: FakeGoogle, build: dict[str, Any]) -> None:
    words = google.run("gcloud", "builds", "submit", "--no-source", "--config", "cloudbuild.yaml", cwd=ROOT)

    assert "builds" in google.sent, words
    assert [step["id"] for step in google.sent["builds"]["steps"]] == ["install", "test", "deploy"]
    assert google.sent["builds"]["substitutions"] == build["substitutions"]


def test_cloud_run_gets_the_service_that_the_function_needs(google: FakeGoogle, build: dict[str, Any]) -> None:
    template = deployed(google, deploy_script(build))["spec"]["template"]
    (container,) = template["spec"]["containers"]

    assert template["metadata"]["annotations"]["run.googleapis.com/cpu-throttling"] == "False"
    assert template["spec"]["serviceAccountName"] == f"sluice@{PROJECT}.iam.gserviceaccount.com"
    assert container["resources"]["limits"] == {"memory": "1Gi", "cpu": "1"}
    secrets = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry}
    assert secrets == {
        "API_KEYS": {"name": "sluice-api-keys", "key": "latest"},
        "OPENAI_API_KEY": {"name": "sluice-openai-api-key", "key": "latest"},
    }


def test_the_function_folder_is_built_for_its_target(google: FakeGoogle, build: dict[str, Any]) -> None:
    deployed(google, deploy_script(build))

    built = google.sent["builds:submit"]["buildpackBuild"]
    assert (built["baseImage"], built["functionTarget"]) == ("python313", "chat")
    assert {"main.py", "requirements.txt", "sluice_service/entry.py", "sluice_service/agents.toml"} <= set(google.uploaded)
    assert not [path for path in google.uploaded if "__pycache__" in path]


@pytest.mark.parametrize("concurrency", ["1", "80", "1000"])
def test_threads_are_the_concurrency_and_the_reserve(concurrency: str, google: FakeGoogle, build: dict[str, Any]) -> None:
    spec = deployed(google, deploy_script(build, _CONCURRENCY=concurrency))["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}

    assert spec["containerConcurrency"] == int(concurrency)
    assert environment["THREADS"] == str(int(concurrency) + RESERVED_THREADS)


def test_cloud_run_waits_longer_than_the_function(google: FakeGoogle, build: dict[str, Any]) -> None:
    spec = deployed(google, deploy_script(build, _TIMEOUT_SECONDS="900"))["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}

    assert environment["TIMEOUT_SECONDS"] == "900"
    assert spec["timeoutSeconds"] > 900


@pytest.mark.parametrize(
    ("flag", "wrong"),
    [("--concurrency", "--concurency"), ("--no-cpu-throttling", "--no-cpu-throtling"), ("--base-image", "--baze-image")],
)
def test_gcloud_refuses_a_misspelt_flag(flag: str, wrong: str, google: FakeGoogle, build: dict[str, Any]) -> None:
    words = google.run("bash", "-euc", deploy_script(build).replace(f"{flag} ", f"{wrong} "), cwd=ROOT)

    assert "unrecognized arguments" in words
    assert google.paths == []


def test_gcloud_accepts_the_commands_of_the_readme(google: FakeGoogle, tmp_path: Path) -> None:
    (block,) = re.findall(r"(?ms)^```sh\n(gcloud iam .*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"))
    for file in ("keys.json", "openai-key.txt"):
        (tmp_path / file).write_text("[]")

    words = google.run("bash", "-uc", f"PROJECT={PROJECT}\n{block}", cwd=tmp_path)

    # One command makes the account, two the secrets, and two let the one read the others.
    assert words.count("refused by the fake") == 5, words


def test_every_image_is_pinned(build: dict[str, Any]) -> None:
    for step in build["steps"]:
        assert re.fullmatch(r"[^:]+:\d+\.\d+\.\d+", step["name"]), step["name"]
