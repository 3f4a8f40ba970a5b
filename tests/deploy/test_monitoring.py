"""deploy/monitoring, brought into a fake project by the real gcloud: nothing is lost on the way, refused or forgotten."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_wire.errors import ERRORS
from tests.deploy.checks import check_dashboard, check_metric, check_policy
from tests.deploy.conftest import ROOT, Deployment
from tests.deploy.fake_google import PROJECT
from tests.deploy.refusing import Refused

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("deploy")]

FOLDER = ROOT / "deploy" / "monitoring"
FIGURES = {
    "SERVICE": "sluice",
    "PROJECT": PROJECT,
    "MAX_INSTANCES": "10",
    "ALL_INSTANCES_BUT_ONE": "9",
    "CONCURRENCY": "60",
    "NEARLY_ALL_PLACES": "54",
    "EXPECT_TRAFFIC": "false",
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

    assert sent.keys() == POLICIES.keys()
    for name, policy in POLICIES.items():
        assert plain(sent[name]) == plain(policy)


def test_the_dashboard_arrives_as_it_is_written(deployment: Deployment) -> None:
    (sent,) = deployment.google.sent("POST", "/dashboards")

    # The API's own JSON writes 64-bit numbers as text.
    written = plain(filled(FOLDER / "dashboard.yaml"))
    written["gridLayout"]["columns"] = str(written["gridLayout"]["columns"])
    assert plain(sent) == written


def test_a_policy_waits_until_its_metric_is_known(deployment: Deployment) -> None:
    assert "waiting until Monitoring knows the new metrics" in deployment.steps["monitoring"].stdout
    assert len(deployment.google.sent("POST", "/alertPolicies")) == len(POLICIES) + 1


def test_a_second_run_brings_up_to_date_and_keeps_who_is_told(deployment: Deployment, tmp_path: Path) -> None:
    # One of each kind: gcloud takes a second for every file.
    shutil.copy(FOLDER / "apply.sh", tmp_path)
    shutil.copy(FOLDER / "dashboard.yaml", tmp_path)
    for path in ("metrics/sluice_chunks.yaml", "policies/error-ratio.yaml"):
        (tmp_path / path).parent.mkdir()
        shutil.copy(FOLDER / path, tmp_path / path)
    google = deployment.google
    (name,) = [
        key for key, thing in google.resources.things.items() if thing.get("userLabels", {}).get("policy") == "error-ratio"
    ]
    channel = f"projects/{PROJECT}/notificationChannels/7"
    google.resources.things[name]["notificationChannels"] = [channel]
    things = set(google.resources.things)

    done = google.runs(tmp_path / "apply.sh", cwd=ROOT, SERVICE="sluice", MAX_INSTANCES="20", CONCURRENCY="100")

    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [
        "updated metric sluice_chunks",
        "updated policy error-ratio",
        "updated dashboard sluice",
    ]
    assert set(google.resources.things) == things
    assert google.resources.things[name]["notificationChannels"] == [channel]
    assert "(of 20)" in str(google.resources.things[f"projects/{PROJECT}/dashboards/sluice"])


def test_every_error_code_that_a_policy_names_exists() -> None:
    named = re.findall(r'metric\.labels\.code="(\w+)"', "".join(str(policy) for policy in POLICIES.values()))

    assert named
    assert set(named) <= {code for code, kind in ERRORS.items() if kind.status >= 500}


def test_every_route_is_one_of_the_label() -> None:
    from sluice_service.web.operations import OPERATIONS

    pattern = re.search(r'"(.+)"', METRICS["sluice_requests"]["labelExtractors"]["route"])
    assert pattern is not None
    for operation in OPERATIONS:
        address = operation.path.replace("{", "x").replace("}", "x")
        found = re.search(pattern[1], address)
        assert (found is not None and "x" not in found[1].split("/")) or address == "/health", address
    assert [re.search(pattern[1], other) for other in ("/chatter", "/v1/secret", "/", "/v1/chat/completions2")] == [None] * 4


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
