"""Every log-based metric, fed with what a running function has logged: that each counts what it says."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import httpx
import pytest

from sluice_wire.errors import ERRORS
from tests.deploy.checks import bounds_of
from tests.deploy.driven import W3C, Driver, environment
from tests.deploy.drives import Driven
from tests.deploy.log_query import entry_of, extract, parse
from tests.deploy.test_monitoring import METRICS
from tests.support.running_function import running_function
from tests.support.scripted_upstream import USAGE, ScriptedUpstream, answer

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("driven")]

DEFAULTS = {"STRING": "", "INT64": "0", "BOOL": "false"}


class Counted:
    """A metric over a log: the labels of each entry that it counts, and the value where it is a distribution."""

    def __init__(self, name: str, entries: list[dict[str, Any]]) -> None:
        metric = METRICS[name]
        counts, _ = parse(metric["filter"])
        found = [entry for entry in entries if counts(entry)]
        types = {label["key"]: label.get("valueType", "STRING") for label in metric["metricDescriptor"]["labels"]}
        extractors: Mapping[str, str] = metric["labelExtractors"]
        self.labels = [
            {key: extract(how, entry) or DEFAULTS[types[key]] for key, how in extractors.items()} for entry in found
        ]
        how = metric.get("valueExtractor")
        self.values = [float(extract(how, entry) or math.nan) for entry in found] if how else []

    def by(self, label: str) -> Counter[str]:
        return Counter(labels[label] for labels in self.labels)


def counted(name: str, lines: list[str]) -> Counted:
    return Counted(name, [entry_of(line, "sluice") for line in lines])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The log of: 3 streamed and 2 plain answers, 1 stored in time and 1 not, 2 resumes, a reader who left, and refusals."""
    folder = tmp_path_factory.mktemp("watched")
    more = {"RESUME_GRACE_SECONDS": "30", "TIMEOUT_SECONDS": "30"}
    with (
        closing(ScriptedUpstream()) as upstream,
        running_function(environment(upstream, folder) | more) as function,
        function.client() as client,
    ):
        driver = Driver(function, upstream, client, folder, W3C)
        replies = [driver.ask(answer("one", " two", " three")) for _ in range(3)]
        replies += [driver.ask(answer("one", " two", " three"), stream=False) for _ in range(2)]
        replies += [driver.ask(answer("kept"), store=True, metadata={"conversation_id": "c1"})]
        replies += [_kept_too_late(driver)]
        stream_id = replies[0].headers["x-stream-id"]
        replies += [driver.call("GET", f"/v1/streams/{stream_id}?starting_after={cursor}") for cursor in (0, 2)]
        replies += [driver.call("GET", "/v1/models"), driver.call("GET", "/nowhere"), driver.ask(messages=[])]
        with driver.open_stream() as left:
            replies += [left]
        for reply in replies:
            function.wait_for_log(f'"request_id": "{reply.headers["x-request-id"]}".*"event": "response_complete"', 30)
        yield function.log().split("\n")[:-1]


def _kept_too_late(driver: Driver) -> httpx.Response:
    """An answer whose end comes while nobody can write into the store."""
    stored: dict[str, Any] = {"store": True, "metadata": {"conversation_id": "c2"}}
    with driver.open_stream(script=answer("late", pause=1.0), **stored) as reply, driver.locked_store():
        reply.read()
    return reply


def test_requests_are_counted_by_route_status_and_code(watched: list[str]) -> None:
    requests = counted("sluice_requests", watched)

    assert requests.by("route") == {"/v1/chat/completions": 9, "/v1/streams": 2, "/v1/models": 1, "": 1}
    assert requests.by("status") == {"200": 11, "404": 1, "400": 1}
    assert requests.by("code") == {"": 11, "not_found": 1, "invalid_request": 1}
    assert requests.by("stream") == {"true": 6, "false": 2, "": 5}
    assert requests.by("agent")["assistant"] == 8


def test_the_error_ratio_is_one_of_questions_alone(watched: list[str]) -> None:
    turns = counted("sluice_turns", watched)

    # Neither resumes, nor lists, nor addresses that are not there, nor a request that its caller has to mend.
    assert (turns.by("code"), turns.by("agent")) == ({"": 8}, {"assistant": 8})
    assert turns.by("disconnected")["true"] == 1
    assert len(counted("sluice_duration_ms", watched).values) == 8


def test_resumed_departed_and_stored_requests_are_told_apart(watched: list[str]) -> None:
    requests = counted("sluice_requests", watched)

    assert requests.by("resumed") == {"true": 2, "": 11}
    assert requests.by("disconnected")["true"] == 1
    assert requests.by("persisted") == {"true": 1, "false": 1, "": 11}
    failures = counted("sluice_save_failures", watched)
    assert (failures.by("code"), failures.by("severity")) == ({"storage_unavailable": 1}, {"WARNING": 1})


def test_what_each_answer_took_and_cost_is_measured_once(watched: list[str]) -> None:
    begun = 8  # whoever resumes one of them does not count it again
    first_token, chunks = counted("sluice_first_token_ms", watched), counted("sluice_chunks", watched)

    assert len(first_token.values) == begun
    assert all(0 <= value < 30_000 for value in first_token.values)
    assert Counter(chunks.values) == {3: 5, 1: 3}
    whole = begun - 1  # the one that was left had not come to its usage
    assert counted("sluice_input_tokens", watched).values == [USAGE["prompt_tokens"]] * whole
    assert counted("sluice_output_tokens", watched).values == [USAGE["completion_tokens"]] * whole
    durations = counted("sluice_duration_ms", watched).values
    assert max(durations) > 2000 > min(durations)


def test_every_value_falls_into_a_bucket_that_tells_it_from_others(watched: list[str]) -> None:
    for name, metric in METRICS.items():
        if "bucketOptions" in metric:
            largest = bounds_of(metric)[-1]
            assert all(value < largest for value in counted(name, watched).values), name


def test_every_failure_of_ours_or_a_providers_is_counted_by_its_code(driven: Driven) -> None:
    failures = counted("sluice_failures", driven.lines).by("code")

    # A provider that turns us away is a 429 to the caller; that alone does not make it the caller's.
    severe = {code for code, kind in ERRORS.items() if kind.status >= 500} | {"upstream_rate_limited"}
    assert failures.keys() == severe
    requests = {code: len(ids) for code, ids in driven.requests.items()}
    # A stream that two read, and one that is broken off when its instance stops, are one failure each.
    assert {code: failures[code] for code in severe} == {code: requests[code] for code in severe}


def test_what_callers_have_to_mend_dilutes_no_ratio(driven: Driven) -> None:
    turns = counted("sluice_turns", driven.lines)

    assert {"idle_timeout", "upstream_rate_limited", "storage_unavailable", "over_capacity"} <= turns.by("code").keys()
    refused = {"missing_credentials", "invalid_request", "model_not_found", "rate_limited", "request_too_large"}
    assert turns.by("code").keys() & refused == set()


def test_every_error_is_counted_with_its_status(driven: Driven) -> None:
    requests = counted("sluice_requests", driven.lines)
    codes = requests.by("code")

    for code in ERRORS:
        assert codes[code] >= len(driven.requests[code]), code
    told = {(labels["code"], labels["status"]) for labels in requests.labels}
    for code, status in told:
        assert not code or status in {str(ERRORS[code].status), "200"}, (code, status)
    # What somebody types makes no time series.
    routes = {"chat/completions", "models", "streams", "conversations", "tickets"}
    assert requests.by("route").keys() == {"", "/chat", "/chat/stream", *(f"/v1/{route}" for route in routes)}
