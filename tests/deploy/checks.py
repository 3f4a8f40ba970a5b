"""What Cloud Logging and Cloud Monitoring want of metrics, policies, dashboards and checks, as far as their references say.

Sources: the references of `projects.metrics`, `projects.alertPolicies`, `projects.dashboards` and
`projects.uptimeCheckConfigs`; "Google Cloud metrics" for those of Cloud Run.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.deploy.log_query import Comparison, QueryError, extract, parse
from tests.deploy.refusing import require

MONITORING_FIELDS = re.compile(r"metric\.type|metric\.labels\.\w+|resource\.type|resource\.labels\.\w+")
CLOUD_RUN_METRICS = {
    "run.googleapis.com/container/instance_count": {"state"},
    "run.googleapis.com/container/max_request_concurrencies": {"state"},
    "run.googleapis.com/container/cpu/utilizations": set[str](),
    "run.googleapis.com/container/memory/utilizations": set[str](),
    "run.googleapis.com/request_count": {"response_code", "response_code_class"},
}
"""Cloud Run's own metrics that are used, with their labels."""

UPTIME = "monitoring.googleapis.com/uptime_check/check_passed"

USER = "logging.googleapis.com/user/"
_DISTRIBUTIONS = [metric for metric in CLOUD_RUN_METRICS if not metric.endswith("_count")]
_PERCENTILES = {f"REDUCE_PERCENTILE_{percent}" for percent in ("05", "50", "95", "99")}
_NUMBER_REDUCERS = {"REDUCE_SUM", "REDUCE_MAX", "REDUCE_MEAN"} | _PERCENTILES
_ALIGNERS = {"ALIGN_DELTA", "ALIGN_RATE", "ALIGN_MAX", "ALIGN_MEAN"}
_METRIC = {"name", "description", "filter", "metricDescriptor", "labelExtractors", "valueExtractor", "bucketOptions"}
_POLICY = {"displayName", "severity", "combiner", "enabled", "conditions", "documentation", "userLabels", "alertStrategy"}

Metrics = Mapping[str, Mapping[str, Any]]


def check_metric(metric: Mapping[str, Any]) -> None:
    """A log-based metric."""
    require(metric.keys() <= _METRIC, f"unknown fields: {metric.keys() - _METRIC}")
    require(re.fullmatch(r"[A-Za-z0-9_\-.]{1,100}", metric["name"]), "it has no name")
    descriptor = metric["metricDescriptor"]
    labels = [label["key"] for label in descriptor.get("labels", ())]
    require(descriptor["metricKind"] == "DELTA", "log-based metrics are deltas")
    require(len(set(labels)) == len(labels) <= 10, "there are at most ten labels, each once")
    require(set(labels) == metric.get("labelExtractors", {}).keys(), "every label has its extractor, and no other")
    distribution = descriptor["valueType"] == "DISTRIBUTION"
    require(distribution or descriptor["valueType"] == "INT64", "counters are INT64")
    require(
        distribution == ("valueExtractor" in metric) == ("bucketOptions" in metric), "distributions extract into buckets"
    )
    if distribution:
        bounds = bounds_of(metric)
        require(1 <= len(bounds) <= 200 and bounds == sorted(set(bounds)) and bounds[0] > 0, "bad buckets")
    _understood(lambda: parse(metric["filter"]))
    for extractor in (*metric.get("labelExtractors", {}).values(), *([metric["valueExtractor"]] if distribution else ())):
        _understood(lambda extractor=extractor: extract(extractor, {}))


def bounds_of(metric: Mapping[str, Any]) -> list[float]:
    """The bounds of a distribution's finite buckets."""
    ((kind, options),) = metric["bucketOptions"].items()
    if kind == "explicitBuckets":
        return [float(bound) for bound in options["bounds"]]
    require(kind == "exponentialBuckets" and options["growthFactor"] > 1, "bad buckets")
    return [options["scale"] * options["growthFactor"] ** step for step in range(options["numFiniteBuckets"] + 1)]


def check_uptime(check: Mapping[str, Any]) -> None:
    """An uptime check of an address."""
    require(check["monitoredResource"]["type"] == "uptime_url", "only addresses are known here")
    require(check["monitoredResource"]["labels"].keys() == {"host", "project_id"}, "an address has a host")
    require(check["httpCheck"]["useSsl"] and check["httpCheck"]["path"].startswith("/"), "it is asked by TLS")
    require(check["period"] in ("60s", "300s", "600s", "900s"), "the period is 1, 5, 10 or 15 minutes")
    require(1 <= _seconds(check["timeout"]) <= 60, "the time-out is at most a minute")


def check_policy(policy: Mapping[str, Any], metrics: Metrics) -> None:
    """An alert policy. `metrics` are the log-based ones that exist."""
    known = _POLICY | {"notificationChannels", "name"}
    require(policy.keys() <= known, f"unknown fields: {policy.keys() - known}")
    require(policy["combiner"] in ("AND", "OR"), "the combiner is AND or OR")
    require(1 <= len(policy["conditions"]) <= 6, "there are one to six conditions")
    require(policy["documentation"]["mimeType"] == "text/markdown", "documentation is Markdown")
    require(len(policy["documentation"]["content"]) <= 8192, "documentation is too long")
    for text in (*policy["userLabels"], *policy["userLabels"].values()):
        require(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", text), f"{text!r} is no label")
    require(_seconds(policy["alertStrategy"]["autoClose"]) >= 1800, "it closes after half an hour at the earliest")
    for condition in policy["conditions"]:
        require(len(condition.keys() & {"conditionThreshold", "conditionAbsent"}) == 1, "a condition is of one kind")
        if "conditionAbsent" in condition:
            _check_absent(condition["conditionAbsent"], metrics)
        else:
            _check_threshold(condition["conditionThreshold"], metrics)


def _check_absent(absent: Mapping[str, Any], metrics: Metrics) -> None:
    require(120 <= _seconds(absent["duration"]) <= 84600, "absence lasts two minutes to 23.5 hours")
    _check_series(absent["filter"], absent["aggregations"][0], metrics)


def _check_threshold(threshold: Mapping[str, Any], metrics: Metrics) -> None:
    require(threshold["comparison"] in ("COMPARISON_GT", "COMPARISON_LT"), "only GT and LT are supported")
    require(_seconds(threshold["duration"]) % 60 == 0, "durations are whole minutes")
    require(isinstance(threshold["thresholdValue"], int | float), "the threshold is a number")
    _check_series(threshold["filter"], threshold["aggregations"][0], metrics)
    if "denominatorFilter" in threshold:
        above, below = threshold["aggregations"][0], threshold["denominatorAggregations"][0]
        require(above["alignmentPeriod"] == below["alignmentPeriod"], "a ratio's periods are the same")
        _check_series(threshold["denominatorFilter"], below, metrics)


def check_dashboard(dashboard: Mapping[str, Any], metrics: Metrics) -> None:
    """A dashboard of charts."""
    require(dashboard["displayName"], "it has no name")
    for widget in dashboard["gridLayout"]["widgets"]:
        require(widget.keys() == {"title", "xyChart"} and widget["xyChart"]["dataSets"], "it is no chart")
        for data in widget["xyChart"]["dataSets"]:
            require(data["plotType"] in ("LINE", "STACKED_BAR", "STACKED_AREA"), "no such plot")
            for series in _series_of(data["timeSeriesQuery"], metrics):
                _check_series(series["filter"], series["aggregation"], metrics)


def _series_of(query: Mapping[str, Any], metrics: Metrics) -> Iterator[Mapping[str, Any]]:
    ((kind, value),) = query.items()
    if kind == "prometheusQuery":
        name, labels = re.fullmatch(
            r"sum\(rate\(logging_googleapis_com:user_(\w+?)_sum\s*\{(.+)\}\[5m\]\)\)", value
        ).groups()  # type: ignore[union-attr]
        require(metrics[name]["metricDescriptor"]["valueType"] == "DISTRIBUTION", f"{name} has no sum")
        require(re.fullmatch(r'(?:\w+="[^"]+"(?:, )?)+', labels), "its labels are not understood")
    elif kind == "timeSeriesFilterRatio":
        yield from (value["numerator"], value["denominator"])
    else:
        require(kind == "timeSeriesFilter", f"{kind} is not known here")
        yield value


def _check_series(query: str, aggregation: Mapping[str, Any], metrics: Metrics) -> None:
    comparisons = _understood(lambda: parse(query, MONITORING_FIELDS))[1]
    (metric,) = [str(each.value) for each in comparisons if each.field == "metric.type"]
    if metric == UPTIME:
        _check_uptime_series(comparisons, aggregation)
        return
    named = {each.field: each.value for each in comparisons if each.field.startswith("resource.")}
    require(named.get("resource.type") == "cloud_run_revision", "no resource type")
    require("resource.labels.service_name" in named, "metrics are the whole project's: it names no service")
    labels = _labels(metric, metrics)
    wanted = [field for field in aggregation.get("groupByFields", ()) if field != "resource.labels.revision_name"]
    grouped = {field.removeprefix("metric.labels.") for field in wanted}
    filtered = {each.field.removeprefix("metric.labels.") for each in comparisons if each.field.startswith("metric.labels.")}
    require(grouped | filtered <= labels, f"{metric} has no label {(grouped | filtered) - labels}")
    require(_seconds(aggregation["alignmentPeriod"]) >= 60, "periods are a minute at least")
    _check_arithmetic(_is_distribution(metric, metrics), aggregation["perSeriesAligner"], aggregation["crossSeriesReducer"])


def _check_uptime_series(comparisons: list[Comparison], aggregation: Mapping[str, Any]) -> None:
    """As the reference of uptime checks writes it: how many places had no answer."""
    fields = {each.field for each in comparisons}
    require(fields == {"metric.type", "resource.type", "resource.labels.host"}, "it selects a host")
    require(aggregation["perSeriesAligner"] == "ALIGN_NEXT_OLDER", "a check's newest result counts")
    require(aggregation["crossSeriesReducer"] == "REDUCE_COUNT_FALSE", "failures are counted")
    require(aggregation["groupByFields"] == ["resource.labels.host"], "of a host, whoever checks it")


def _check_arithmetic(distribution: bool, aligner: str, reducer: str) -> None:
    require(aligner in _ALIGNERS and reducer in _NUMBER_REDUCERS, f"{aligner} or {reducer} is not known here")
    if distribution:
        require(aligner == "ALIGN_DELTA", f"{aligner} makes no distribution")
        require(reducer in {"REDUCE_MEAN"} | _PERCENTILES, f"{reducer} of a distribution is no number")


def _labels(metric: str, metrics: Metrics) -> set[str]:
    if metric in CLOUD_RUN_METRICS:
        return CLOUD_RUN_METRICS[metric]
    name = metric.removeprefix(USER)
    require(metric.startswith(USER) and name in metrics, f"Cannot find metric that matches type = {metric!r}")
    return {label["key"] for label in metrics[name]["metricDescriptor"]["labels"]}


def _is_distribution(metric: str, metrics: Metrics) -> bool:
    if metric in CLOUD_RUN_METRICS:
        return metric in _DISTRIBUTIONS
    return bool(metrics[metric.removeprefix(USER)]["metricDescriptor"]["valueType"] == "DISTRIBUTION")


def _seconds(duration: str) -> int:
    require(re.fullmatch(r"\d+s", duration), f"{duration!r} is no duration")
    return int(duration[:-1])


def _understood(read: Any) -> Any:
    try:
        return read()
    except QueryError as problem:
        require(False, str(problem))
