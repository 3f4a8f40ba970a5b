"""One full deployment to a fake Google, shared by all that look at what was sent: gcloud takes a second for each call."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer

from tests.deploy.drives import Driven, drive_all, drive_neighbours
from tests.deploy.fake_google import PROJECT, FakeGoogle
from tests.support.running_function import running_function
from tests.support.scripted_upstream import ScriptedUpstream

ROOT = Path(__file__).resolve().parent.parent.parent
BUILDS = ("11111111-first", "22222222-second")
ALICE = {"user": "alice", "sha256": hashlib.sha256(b"key").hexdigest()}
OPENAI_KEY = "sk-of-the-provider-0123456789"
VARIANT = {
    "_CONVERSATIONS": "sqlite://",
    "_NETWORK": "inside",
    "_SETTINGS": "CORS_ORIGINS=https://a.example,https://b.example;MAX_TOKENS=500",
    "_MIN_INSTANCES": "1",
    "_CONCURRENCY": "1000",
}
"""What the second deployment has otherwise."""

WATCHED = {"_NOTIFY": "on-call@example.org", "_UPTIME_CHECK": "true", "METRIC_WAIT_SECONDS": "0.1"}
"""What the step `monitoring` has otherwise."""

Done = subprocess.CompletedProcess[str]


@dataclass
class Deployment:
    """What was done, step by step: each step's words, and the services as they stood after it."""

    google: FakeGoogle
    build: dict[str, Any]
    workspace: Path
    steps: dict[str, Done] = field(default_factory=dict)
    services: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, build_id: str, **substitutions: str) -> Done:
        """Run one step's script as Cloud Build would."""
        (step,) = [step for step in self.build["steps"] if step["id"] == name]
        known = {**self.build["substitutions"], "PROJECT_ID": PROJECT, "BUILD_ID": build_id, **substitutions}
        return self.google.runs("bash", "-c", step["script"], cwd=self.workspace, **known)

    def keys(self) -> dict[str, str]:
        """Where a function that is deployed finds its callers' keys: in the secret, and in its source."""
        file = self.workspace / "function" / "smoke_key.json"
        return {"API_KEYS": self.google.secret("sluice-api-keys"), "API_KEYS_FILE": str(file)}

    def keep(self, name: str, done: Done) -> None:
        """Remember a step, and how the service stood after it."""
        self.steps[name] = done
        self.services[name] = json.loads(json.dumps(self.google.run.services.get("sluice")))


def shares(service: Any) -> dict[str, int]:
    """The revisions that have traffic, with their percentages."""
    return {each["revisionName"]: each["percent"] for each in service["status"]["traffic"] if each.get("percent")}


def new_google(folder: Path) -> Iterator[FakeGoogle]:
    """A fake with nothing in it. In CI gcloud has to be there."""
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    with HTTPServer(threaded=True) as server:
        yield FakeGoogle(server, folder / "config")


@pytest.fixture
def google(tmp_path: Path) -> Iterator[FakeGoogle]:
    yield from new_google(tmp_path)


@pytest.fixture(scope="session")
def build() -> dict[str, Any]:
    parsed = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    assert isinstance(parsed, dict)
    return parsed


def given_files(folders: pytest.TempPathFactory) -> list[str]:
    """Files as people write them, with line ends; their options."""
    folder = folders.mktemp("given")
    files = {"--keys": f"[\n  {json.dumps(ALICE, indent=2)}\n]\n", "--openai-key": f"{OPENAI_KEY}\n"}
    for option, text in files.items():
        (folder / option).write_text(text)
    return [word for option in files for word in (option, str(folder / option))]


def new_workspace(folder: Path) -> Path:
    """The checkout as Cloud Build's steps find it, and may write into it; as far as they need it."""
    for name in ("function", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def deployment(build: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Set up, deployed in vain, deployed, again with other settings, smoke-tested, given traffic in two stages, watched."""
    for google in new_google(tmp_path_factory.mktemp("deployment")):
        deployment = Deployment(google, build, new_workspace(tmp_path_factory.mktemp("workspace")))
        google.resources.unknown_accounts = 2
        deployment.keep(
            "setup",
            google.runs(
                *("deploy/setup.sh", "--project", PROJECT, *given_files(tmp_path_factory)),
                cwd=ROOT,
                SETUP_WAIT_SECONDS="0.1",
            ),
        )
        deployment.keep("bytecode", deployment.step("bytecode", BUILDS[0]))
        google.run.failing = 1
        deployment.keep("failed", deployment.step("deploy", "00000000-failed"))
        deployment.keep("first", deployment.step("deploy", BUILDS[0]))
        deployment.keep("second", deployment.step("deploy", BUILDS[1], **VARIANT))
        with running_function({**deployment.keys(), "DEMO_TOKENS_PER_SECOND": "200"}) as function:
            google.run.url = function.url
            deployment.keep("smoke", deployment.step("smoke-test", BUILDS[1]))
        google.resources.unknown_metrics = 1
        deployment.keep("part", deployment.step("traffic", BUILDS[1], _TRAFFIC_PERCENT="5"))
        deployment.keep("traffic", deployment.step("traffic", BUILDS[1]))
        deployment.keep("monitoring", deployment.step("monitoring", BUILDS[1], **WATCHED))
        yield deployment


@pytest.fixture(scope="session")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """The logs of functions on which every error has come about."""
    with closing(ScriptedUpstream()) as upstream, closing(ScriptedUpstream()) as neighbours, ThreadPoolExecutor(2) as pool:
        drives = [
            pool.submit(drive_all, upstream, tmp_path_factory.mktemp("driven")),
            pool.submit(drive_neighbours, neighbours, tmp_path_factory.mktemp("driven")),
        ]
        one, other = (drive.result() for drive in drives)
    return Driven([*one.lines, *other.lines], {**one.requests, **other.requests})
