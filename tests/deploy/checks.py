"""What Cloud Logging and Cloud Monitoring want of metrics, policies and dashboards, as far as their references say.

Sources: the references of `projects.metrics`, `projects.alertPolicies` and `projects.dashboards`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.deploy.log_query import QueryError, extract, parse
from tests.deploy.refusing import require

MONITORING_FIELDS = re.compile(r"metric\.type|metric\.labels\.\w+|resource\.type|resource\.labels\.\w+")
CLOUD_RUN_METRICS = {
    "run.googleapis.com/container/instance_count": {"state"},
    "run.googleapis.com/container/max_request_concurrencies": {"state"},
    "run.googleapis.com/container/cpu/utilizations": set[str](),
    "run.googleapis.com/container/memory/utilizations": set[str](),
}
"""Cloud Run's own metrics that are used, with their labels. The first counts, the others are distributions."""

USER = "logging.googleapis.com/user/"
_DISTRIBUTIONS = tuple(CLOUD_RUN_METRICS)[1:]
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
        buckets = metric["bucketOptions"]["exponentialBuckets"]
        require(
            1 <= buckets["numFiniteBuckets"] <= 199 and buckets["growthFactor"] > 1 and buckets["scale"] > 0, "bad buckets"
        )
    _understood(lambda: parse(metric["filter"]))
    for extractor in (*metric.get("labelExtractors", {}).values(), *([metric["valueExtractor"]] if distribution else ())):
        _understood(lambda extractor=extractor: extract(extractor, {}))


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
    require(
        [each.value for each in comparisons if each.field == "resource.type"] == ["cloud_run_revision"], "no resource type"
    )
    labels = _labels(metric, metrics)
    wanted = [field for field in aggregation.get("groupByFields", ()) if field != "resource.labels.revision_name"]
    grouped = {field.removeprefix("metric.labels.") for field in wanted}
    filtered = {each.field.removeprefix("metric.labels.") for each in comparisons if each.field.startswith("metric.labels.")}
    require(grouped | filtered <= labels, f"{metric} has no label {(grouped | filtered) - labels}")
    require(_seconds(aggregation["alignmentPeriod"]) >= 60, "periods are a minute at least")
    _check_arithmetic(_is_distribution(metric, metrics), aggregation["perSeriesAligner"], aggregation["crossSeriesReducer"])


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
