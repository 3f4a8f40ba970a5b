"""deploy/monitoring, brought into a fake project by the real gcloud: nothing is lost on the way, refused or forgotten."""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import yaml

from sluice_service.app import create_app
from sluice_service.settings import load
from sluice_service.web.operations import OPERATIONS
from sluice_wire.errors import ERRORS
from tests.deploy.checks import bounds_of, check_dashboard, check_metric, check_policy
from tests.deploy.conftest import ROOT, WATCHED, Deployment
from tests.deploy.fake_google import PROJECT, REGION, FakeGoogle
from tests.deploy.log_query import parse
from tests.deploy.refusing import Refused

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("deploy")]

FOLDER = ROOT / "deploy" / "monitoring"
CONCURRENCY = int(yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))["substitutions"]["_CONCURRENCY"])
FIGURES = {
    "SERVICE": "sluice",
    "PROJECT": PROJECT,
    "MAX_INSTANCES": "10",
    "ALL_INSTANCES_BUT_ONE": "9",
    "CONCURRENCY": str(CONCURRENCY),
    "NEARLY_ALL_PLACES": str(CONCURRENCY * 9 // 10),
    "EXPECT_TRAFFIC": "false",
    "UPTIME_CHECK": WATCHED["_UPTIME_CHECK"],
    "HOST": "the-host",
    "ETAG": "",
}


def filled(path: Path) -> dict[str, Any]:
    """A file with the figures of the deployment; what is no placeholder of ours (`${metric.labels…}`) stays."""
    text = re.sub(r"\$\{([A-Z_]+)\}", lambda found: FIGURES[found[1]], path.read_text(encoding="utf-8"))
    parsed = yaml.safe_load(text)
    assert isinstance(parsed, dict)
    return parsed


METRICS = {path.stem: {**filled(path), "name": path.stem} for path in (FOLDER / "metrics").glob("*.yaml")}
POLICIES = {path.stem: filled(path) for path in (FOLDER / "policies").glob("*.yaml")}


def names(google: FakeGoogle, kind: str) -> list[str]:
    return [name for name in google.resources.things if f"/{kind}/" in name]


def host_of(deployment: Deployment) -> str:
    return deployment.google.run.url.removeprefix("http://")


def plain(sent: Any) -> Any:
    """Without the empty texts and defaults that a client may leave out."""
    if isinstance(sent, dict):
        return {key: plain(value) for key, value in sent.items() if value not in ("", None)}
    return [plain(value) for value in sent] if isinstance(sent, list) else sent


def test_every_metric_arrives_as_it_is_written(deployment: Deployment) -> None:
    sent = {metric["name"]: metric for metric in deployment.google.sent("POST", "/metrics")}

    assert sent.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        assert plain(sent[name]) == plain(metric)


def test_every_policy_arrives_as_it_is_written(deployment: Deployment) -> None:
    sent = {policy["userLabels"]["policy"]: policy for policy in deployment.google.sent("POST", "/alertPolicies")}
    (channel,) = names(deployment.google, "notificationChannels")

    assert sent.keys() == POLICIES.keys()
    for name, policy in POLICIES.items():
        written = json.loads(json.dumps(policy).replace(FIGURES["HOST"], host_of(deployment)))
        assert plain(sent[name]) == plain({**written, "notificationChannels": [channel]})


def test_the_dashboard_arrives_as_it_is_written(deployment: Deployment) -> None:
    (sent,) = deployment.google.sent("POST", "/dashboards")

    # The API's own JSON writes 64-bit numbers as text.
    written = plain(filled(FOLDER / "dashboard.yaml"))
    written["gridLayout"]["columns"] = str(written["gridLayout"]["columns"])
    assert plain(sent) == written


def test_a_policy_waits_until_its_metric_is_known(deployment: Deployment) -> None:
    assert "waiting until Monitoring knows the new metrics" in deployment.steps["monitoring"].stdout
    assert len(deployment.google.sent("POST", "/alertPolicies")) == len(POLICIES) + 1


def test_an_address_that_is_named_gets_a_channel_and_health_a_check(deployment: Deployment) -> None:
    (channel,) = deployment.google.sent("POST", "/notificationChannels")
    (check,) = deployment.google.sent("POST", "/uptimeCheckConfigs")

    assert (channel["type"], channel["labels"]) == ("email", {"email_address": WATCHED["_NOTIFY"]})
    assert "WARNING: no one is told" not in deployment.steps["monitoring"].stderr
    assert check["monitoredResource"]["labels"] == {"host": host_of(deployment), "project_id": PROJECT}
    assert (check["httpCheck"]["path"], check["period"]) == ("/health", "60s")


def some_of_it(folder: Path) -> Path:
    """apply.sh with one file of each kind: gcloud takes a second for every file."""
    for path in ("apply.sh", "dashboard.yaml", "metrics/sluice_chunks.yaml", "policies/error-ratio.yaml"):
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(FOLDER / path, folder / path)
    return folder / "apply.sh"


def of_policy(google: FakeGoogle, slug: str) -> list[str]:
    return [name for name, thing in google.resources.things.items() if thing.get("userLabels", {}).get("policy") == slug]


def test_a_second_run_brings_up_to_date_and_keeps_who_is_told(deployment: Deployment, tmp_path: Path) -> None:
    google = deployment.google
    (name,) = of_policy(google, "error-ratio")
    told = [*names(google, "notificationChannels"), f"projects/{PROJECT}/notificationChannels/7"]
    google.resources.things[name]["notificationChannels"] = told
    things, checks = set(google.resources.things), set(names(google, "uptimeCheckConfigs"))

    again = {"REGION": REGION, "MAX_INSTANCES": "20", "CONCURRENCY": "100", "NOTIFY": WATCHED["_NOTIFY"]}
    done = google.runs(some_of_it(tmp_path), cwd=ROOT, SERVICE="sluice", **again)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [
        "updated metric sluice_chunks",
        f"deleted uptime check of https://{host_of(deployment)}/health",
        "updated policy error-ratio",
        "updated dashboard sluice",
    ]
    assert set(google.resources.things) == things - checks
    assert sorted(google.resources.things[name]["notificationChannels"]) == sorted(told)
    assert "(of 20)" in str(google.resources.things[f"projects/{PROJECT}/dashboards/sluice"])


def test_a_second_service_has_alerts_of_its_own_and_leaves_the_firsts(deployment: Deployment, tmp_path: Path) -> None:
    google = deployment.google
    google.run.services["sluice-staging"] = google.run.services["sluice"]
    before = copy.deepcopy(google.resources.things)

    staging = {"SERVICE": "sluice-staging", "REGION": REGION, "MAX_INSTANCES": "1", "CONCURRENCY": "100"}
    done = google.runs(some_of_it(tmp_path), cwd=ROOT, **staging)

    assert done.returncode == 0, done.stderr
    assert len(of_policy(google, "error-ratio")) == 2
    assert f"projects/{PROJECT}/dashboards/sluice-staging" in google.resources.things
    # A metric is the project's: one that named its service would stop counting for the first.
    assert {name: google.resources.things[name] for name in before} == before
    assert "WARNING: no one is told of these alerts." in done.stderr


def test_no_metric_depends_on_the_service() -> None:
    assert [path.name for path in (FOLDER / "metrics").iterdir() if "${" in path.read_text(encoding="utf-8")] == []


def test_an_only_instance_that_runs_is_no_alert() -> None:
    script = (FOLDER / "apply.sh").read_text(encoding="utf-8")
    (arithmetic,) = re.findall(r"ALL_INSTANCES_BUT_ONE}\|(\$\(\(.+?\)\))", script)

    for instances, threshold in ((1, 1), (2, 1), (10, 9)):
        done = subprocess.run(
            ["bash", "-c", f"MAX_INSTANCES={instances}; echo {arithmetic}"], capture_output=True, text=True
        )
        assert done.stdout.strip() == str(threshold)


def test_the_threshold_of_the_first_token_is_a_bound_of_its_buckets() -> None:
    threshold = POLICIES["first-token"]["conditions"][0]["conditionThreshold"]["thresholdValue"]

    assert threshold in bounds_of(METRICS["sluice_first_token_ms"])


def test_the_documents_tell_every_alert() -> None:
    told = re.findall(r"(?m)^\| `([a-z][a-z-]+)` \|", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))

    assert set(told) == POLICIES.keys()


def test_every_error_code_that_a_policy_names_exists() -> None:
    named = re.findall(r'metric\.labels\.code="(\w+)"', "".join(str(policy) for policy in POLICIES.values()))

    assert named
    assert set(named) <= {code for code, kind in ERRORS.items() if kind.status >= 500}


def test_every_route_is_one_of_the_label() -> None:
    pattern = re.search(r'"(.+)"', METRICS["sluice_requests"]["labelExtractors"]["route"])
    assert pattern is not None
    app: flask.Flask = create_app(load({})).app
    for rule in app.url_map.iter_rules():
        address = re.sub("<[^>]+>", "an-id", rule.rule)
        found = re.search(pattern[1], address)
        assert (found is not None and "an-id" not in found[1]) or address == "/health", address
    others = ("/chatter", "/v1/secret", "/index.php", "/v1/chat/completions2", "/pages")
    assert [re.search(pattern[1], other) for other in others] == [None] * len(others)


def test_whatever_asks_an_agent_counts_as_a_question() -> None:
    counts, _ = parse(METRICS["sluice_turns"]["filter"])
    asked = {operation.path for operation in OPERATIONS if operation.streams and operation.id != "stream"}

    assert {operation.path for operation in OPERATIONS if counts(a_good_answer(operation.path))} == asked


def a_good_answer(path: str) -> dict[str, Any]:
    return {
        "resource": {"type": "cloud_run_revision"},
        "labels": {"python_logger": "sluice.counted"},
        "httpRequest": {"requestUrl": path, "status": 200},
        "jsonPayload": {"event": "response_complete"},
    }


Spoil = Callable[[Any], object]
SPOILT_METRICS: dict[str, Spoil] = {
    "a misspelt field": lambda metric: metric.update(labelExtractor={}),
    "an unknown field of the entry": lambda metric: metric.update(filter="jsonpayload.event=1"),
    "an unquoted text": lambda metric: metric.update(filter="jsonPayload.event=response_complete"),
    "a label without extractor": lambda metric: metric["labelExtractors"].pop("agent"),
    "an extractor without label": lambda metric: metric["labelExtractors"].update(more="EXTRACT(severity)"),
    "an extractor of two groups": lambda metric: metric["labelExtractors"].update(
        agent='REGEXP_EXTRACT(jsonPayload.agent, "(a)(b)")'
    ),
    "a distribution without value": lambda metric: metric.pop("valueExtractor"),
    "a gauge": lambda metric: metric["metricDescriptor"].update(metricKind="GAUGE"),
}


@pytest.mark.parametrize("spoil", SPOILT_METRICS)
def test_a_metric_that_google_would_refuse_is_refused_here(spoil: str) -> None:
    metric = copy.deepcopy(METRICS["sluice_chunks"])
    check_metric(metric)
    SPOILT_METRICS[spoil](metric)

    with pytest.raises((Refused, KeyError)):
        check_metric(metric)


SPOILT_CONDITIONS: dict[str, Spoil] = {
    "an unknown metric": lambda threshold: threshold.update(filter=threshold["filter"].replace("failures", "failure")),
    "an unknown label": lambda threshold: threshold.update(filter=threshold["filter"] + ' AND metric.labels.kode="x"'),
    "an unsupported comparison": lambda threshold: threshold.update(comparison="COMPARISON_GE"),
    "half a minute": lambda threshold: threshold.update(duration="30s"),
    "an unknown aligner": lambda threshold: threshold["aggregations"][0].update(perSeriesAligner="ALIGN_SUM"),
    "no resource": lambda threshold: threshold.update(filter='metric.type="logging.googleapis.com/user/sluice_failures"'),
    "a ratio of unlike periods": lambda threshold: threshold["denominatorAggregations"][0].update(alignmentPeriod="60s"),
}


@pytest.mark.parametrize("spoil", SPOILT_CONDITIONS)
def test_a_policy_that_google_would_refuse_is_refused_here(spoil: str) -> None:
    policy = copy.deepcopy(POLICIES["error-ratio"])
    check_policy(policy, METRICS)
    SPOILT_CONDITIONS[spoil](policy["conditions"][0]["conditionThreshold"])

    with pytest.raises(Refused):
        check_policy(policy, METRICS)


def test_a_sum_of_a_distribution_is_refused_here() -> None:
    dashboard = filled(FOLDER / "dashboard.yaml")
    check_dashboard(dashboard, METRICS)
    (widget,) = [widget for widget in dashboard["gridLayout"]["widgets"] if widget["title"] == "Duration"]
    query = widget["xyChart"]["dataSets"][0]["timeSeriesQuery"]["timeSeriesFilter"]
    query["aggregation"]["crossSeriesReducer"] = "REDUCE_SUM"

    with pytest.raises(Refused):
        check_dashboard(dashboard, METRICS)
