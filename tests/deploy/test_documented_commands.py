"""Every command of gcloud in the documents, run by the real one against the fake after a deployment: its effect."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import BUILDS, ROOT, Deployment, shares
from tests.deploy.fake_google import PROJECT, REGION, FakeGoogle
from tests.docs.documents import DOCUMENTS, blocks

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("deploy")]

OLD, NEW = (f"sluice-b{build[:8]}" for build in BUILDS)
NAMES = {"PROJECT": PROJECT, "REGION": REGION, "REVISION": OLD, "NEW": NEW}
COMMANDS = [block for path in DOCUMENTS for block in blocks(path, "bash") if re.search(r"(?m)^gcloud ", block)]

Check = Callable[[FakeGoogle, str], None]


def newest_has_all_traffic(google: FakeGoogle) -> Any:
    """The service, of which no revision but the newest has traffic."""
    service = google.run.services["sluice"]
    assert shares(service) == {service["status"]["latestCreatedRevisionName"]: 100}
    assert service["status"]["latestCreatedRevisionName"] not in (OLD, NEW)
    return service["spec"]["template"]


def streaming_is_off(google: FakeGoogle, _: str) -> None:
    (container,) = newest_has_all_traffic(google)["spec"]["containers"]
    assert {"name": "ENABLE_STREAMING", "value": "false"} in container["env"]


def secrets_are_read_anew(google: FakeGoogle, _: str) -> None:
    assert newest_has_all_traffic(google)["metadata"]["labels"]["keys"].isdigit()


def half_of_the_traffic(google: FakeGoogle, _: str) -> None:
    assert shares(google.run.services["sluice"])[NEW] == 50


def all_is_as_before(google: FakeGoogle, told: str) -> None:
    assert shares(google.run.services["sluice"]) == {OLD: 100}
    assert {OLD, NEW} <= set(re.findall(r"sluice-b\d+", told))


def keys_are_told(google: FakeGoogle, told: str) -> None:
    assert json.loads(told) == json.loads(google.secret("sluice-api-keys"))


def entries_are_looked_for(google: FakeGoogle, _: str) -> None:
    (query,) = google.sent("POST", "/entries:list")
    assert 'jsonPayload.correlation_id="…"' in query["filter"]


def substituted(**names: str) -> Check:
    def check(google: FakeGoogle, _: str) -> None:
        sent = google.sent("POST", "/builds")[-1]["substitutions"]
        assert {name: sent[name] for name in names} == names

    return check


SECRETS = (
    "API_KEYS=sluice-api-keys:latest,TICKET_SECRET=sluice-ticket-secret:latest,OPENAI_API_KEY=sluice-openai-api-key:latest"
)
CHECKS: dict[str, Check] = {
    "--config cloudbuild.yaml\n": substituted(_SERVICE="sluice", _REGION=REGION),
    "_TRAFFIC_PERCENT=5": substituted(_TRAFFIC_PERCENT="5", _REGION=REGION),
    "|_SECRETS=": substituted(_SECRETS=SECRETS, _REGION=REGION),
    "ENABLE_STREAMING=false": streaming_is_off,
    "keys=$(date": secrets_are_read_anew,
    "NEW=50": half_of_the_traffic,
    "revisions list": all_is_as_before,
    "versions access": keys_are_told,
    "logging read": entries_are_looked_for,
}
"""By a part of it, what each command is to bring about."""


@pytest.mark.parametrize("part", CHECKS)
def test_what_the_documents_tell_to_type_has_its_effect(part: str, deployment: Deployment) -> None:
    (block,) = [block for block in COMMANDS if part in block]
    google = deployment.google
    # The source is not packed, and set-up, which has tests of its own, is not repeated.
    typed = block.replace("cloudbuild.yaml", "cloudbuild.yaml --no-source --async").replace(" > keys.json", "")
    typed = re.sub(r"(?m)^deploy/setup.sh .*", "", re.sub(r"\b[A-Z]+\b", lambda found: NAMES.get(found[0], found[0]), typed))
    refused = len(google.refused)

    done = google.runs("bash", "-ec", typed, cwd=ROOT)

    assert (done.returncode, google.refused[refused:]) == (0, []), done.stderr
    CHECKS[part](google, done.stdout)


def test_every_such_command_is_run_here() -> None:
    assert [block for block in COMMANDS if not any(part in block for part in CHECKS)] == []


def test_what_set_up_is_given_is_not_uploaded_with_the_checkout(tmp_path: Path, google: FakeGoogle) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    secret = ["keys.json", "openai.key", "redis.url", ".env"]
    for name in [*secret, "cloudbuild.yaml"]:
        (checkout / name).touch()
    documents = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)

    done = google.runs("gcloud", "meta", "list-files-for-upload", cwd=checkout)

    assert done.stdout.split() == ["cloudbuild.yaml"], done.stderr
    assert set(re.findall(r"--(?:keys|openai-key|redis-url) ([a-z][\w.]*)", documents)) <= set(secret)
