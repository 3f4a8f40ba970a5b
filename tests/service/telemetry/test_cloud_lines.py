"""Our lines, held against what google-cloud-logging's own structured handler writes of the same entry."""

import io
import json
import logging
from contextvars import Context
from typing import Any

import pytest
from google.cloud.logging_v2.handlers import StructuredLogHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.telemetry.cloud import CloudHandler
from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_service.telemetry.trace import Trace

PROJECT = "a-project"
NAMES = st.sampled_from(
    ["user", "gen_ai.request.model", "severity", "time", "httpRequest", "timestamp", "logging.googleapis.com/trace"]
) | st.text(max_size=8)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=20)
    | st.lists(st.text(max_size=3), max_size=3)
)
FIELDS = st.dictionaries(NAMES, VALUES | st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=5)
TRACES = st.none() | st.builds(
    Trace, st.just("4bf92f3577b34da6a3ce929d0e0e4736"), st.just("00f067aa0ba902b7"), st.booleans()
)


def a_record(level: int, message: str, fields: dict[str, Any], name: str) -> logging.LogRecord:
    record = logging.LogRecord(name, level, "/app/web.py", 7, "%s", (message,), None, func="create")
    record.json_fields = fields
    return record


def ours(record: logging.LogRecord, trace: Trace | None) -> dict[str, Any]:
    def line() -> str:
        CURRENT.set(RequestContext("r-1", "c-1", trace))
        return CloudHandler(io.StringIO(), lambda text: text, PROJECT).format(record)

    document: dict[str, Any] = json.loads(Context().run(line))
    return document


def googles(document: dict[str, Any], record: logging.LogRecord, trace: Trace | None) -> dict[str, Any]:
    """What Google's handler writes when it is given the same payload, clean as ours is."""
    given = {
        "name": record.name,
        "levelname": document["severity"],
        "pathname": record.pathname,
        "lineno": record.lineno,
        "funcName": record.funcName,
        "msg": {name: value for name, value in document.items() if not name.startswith("logging.googleapis.com/")},
        "http_request": document.get("httpRequest", {}),
        "trace": f"projects/{PROJECT}/traces/{trace.trace_id}" if trace else "",
        "span_id": trace.span_id if trace else "",
        "trace_sampled": trace.sampled if trace else False,
    }
    handler = StructuredLogHandler(stream=io.StringIO(), project_id=PROJECT)  # type: ignore[no-untyped-call]
    clean = logging.makeLogRecord(given)
    Context().run(handler.filter, clean)
    told = {name: value for name, value in json.loads(handler.format(clean)).items() if value not in ("", {})}  # type: ignore[no-untyped-call]
    if trace is None:
        del told["logging.googleapis.com/trace_sampled"]
    return {"time": document["time"], **told}


@given(
    st.sampled_from([10, 20, 30, 40, 50, 25]),
    st.text(min_size=1, max_size=30),
    FIELDS,
    TRACES,
    st.sampled_from(["sluice", "x"]),
)
@settings(max_examples=300)
def test_line_is_what_googles_handler_writes(
    level: int, message: str, fields: dict[str, Any], trace: Trace | None, name: str
) -> None:
    record = a_record(level, message, fields, name)

    document = ours(record, trace)

    assert document == googles(document, record, trace)


@pytest.mark.parametrize("name", ["severity", "time", "logging.googleapis.com/trace"])
def test_field_of_a_special_name_does_not_take_the_place_of_the_entrys_own(name: str) -> None:
    record = a_record(logging.INFO, "hello", {name: "forged"}, "sluice")

    assert "forged" not in json.dumps(ours(record, None))
