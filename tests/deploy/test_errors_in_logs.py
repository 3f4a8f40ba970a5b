"""Every error code, driven on a function that runs as on Cloud Run: what its log says of each, line by line."""

import json
import re

import pytest

from sluice_wire.errors import ERRORS
from tests.deploy.driven import ASKED, FORGED, KEYS, SAID, SPAN_ID, TRACE_ID, UPSTREAM_KEY
from tests.deploy.drives import Driven
from tests.support.entries import SAMPLED, SPAN, TRACE, named

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("driven")]

TRACED = {TRACE: f"projects/a-project/traces/{TRACE_ID}", SPAN: SPAN_ID, SAMPLED: True}


def test_every_code_was_driven(driven: Driven) -> None:
    assert driven.requests.keys() == {*ERRORS, "", FORGED}


@pytest.mark.parametrize("code", [*ERRORS, ""])
def test_each_error_is_one_entry_with_what_to_do_and_the_request_has_one_end(code: str, driven: Driven) -> None:
    for request_id in driven.requests[code]:
        entries = driven.of(request_id)
        (complete,) = named(entries, "response_complete")
        assert complete.get("error_type", "") == code
        assert len(named(entries, "request_received")) == 1
        errors = [(entry["error_type"], entry["severity"]) for entry in named(entries, "error_occurred")]
        severe = code in ERRORS and ERRORS[code].status >= 500
        # Whoever cancels knows: that is no error of anybody's.
        expected = [] if code in ("", "cancelled") else [(code, "ERROR" if severe else "WARNING")]
        assert errors == expected
        assert all(entry["recovery_action"] for entry in named(entries, "error_occurred"))


def test_every_entry_of_a_request_is_traced(driven: Driven) -> None:
    sent_with_a_trace = {request_id for code in (*ERRORS, "") for request_id in driven.requests[code]}
    theirs = [entry for entry in driven.entries if entry.get("request_id") in sent_with_a_trace]

    assert len(theirs) > 3 * len(ERRORS)
    assert [entry for entry in theirs if {name: entry.get(name) for name in TRACED} != TRACED] == []
    # What a stream does on its own account belongs to the request that began it.
    assert [entry for entry in driven.entries if "stream_id" in entry and TRACE not in entry] == []


def test_every_line_is_one_entry_with_time_and_severity(driven: Driven) -> None:
    for line in driven.lines:
        entry = json.loads(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["time"]), line
        assert entry["severity"] in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        assert isinstance(entry.get("message", ""), str)
        assert line.isascii()
        assert line.isprintable()


@pytest.mark.parametrize("hidden", [*KEYS.values(), UPSTREAM_KEY, ASKED, SAID])
def test_no_key_and_no_content_is_in_any_line(hidden: str, driven: Driven) -> None:
    assert [line for line in driven.lines if hidden in line] == []


def test_nothing_that_a_caller_writes_forges_an_entry(driven: Driven) -> None:
    # It did reach the log, escaped: else this would show nothing.
    assert [line for line in driven.lines if "forged" in line] != []
    assert {entry["severity"] for entry in driven.entries} == {"DEBUG", "INFO", "WARNING", "ERROR"}
    assert [entry for entry in driven.entries if "forged" in (entry["event"], entry.get("message"))] == []
    assert len(driven.requests[FORGED]) > 25
    for request_id in driven.requests[FORGED]:
        assert [entry["event"] for entry in driven.of(request_id)].count("response_complete") == 1
