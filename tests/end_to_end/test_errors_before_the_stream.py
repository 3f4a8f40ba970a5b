"""Errors before the stream are JSON: whatever is sent, and whatever upstream does before its first word."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_wire.errors import ERRORS
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import CLOSE, RESET, STREAM_HEAD, Script, ScriptedUpstream, response

PATH = "/v1/chat/completions"
PARTS = {"message", "type", "param", "code", "reason", "action", "retryable", "correlation_id"}

SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
FIELDS = st.sampled_from(("model", "messages", "stream", "stream_options", "n"))
SENSIBLE: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "stream": True}
BODIES = st.one_of(
    st.binary(max_size=40),
    VALUES.map(json.dumps).map(str.encode),
    st.dictionaries(FIELDS, VALUES, max_size=3).map(lambda some: json.dumps({**SENSIBLE, **some}).encode()),
    st.dictionaries(FIELDS, VALUES, max_size=3).map(json.dumps).map(str.encode),
)
TYPES = st.sampled_from(("application/json", "application/json; charset=utf-8", "text/plain", ""))
PATHS = st.sampled_from((PATH, "/v1/models", "/v1/nothing", "/v1/models/nobody", "/", "/v1/chat/completions/"))

REFUSALS: list[Script] = [
    [STREAM_HEAD, CLOSE],
    [STREAM_HEAD, b"data: {nope\n\n", CLOSE],
    response("400 No", b"<html>"),
    response("404 No", b"\xff\x00"),
    response("302 Found", b"", "location: http://127.0.0.1:1/"),
    response("402 Pay", b'{"error":{"code":"insufficient_quota"}}'),
    response("200 OK", b"[]"),
    response("200 OK", b"hi", content_type="text/plain"),
]


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    with function.client() as client:
        yield client


def assert_json_error(reply: httpx.Response) -> None:
    assert reply.headers["content-type"] == "application/json"
    assert reply.content.isascii()
    (key,) = reply.json()
    error = reply.json()[key]
    assert (key, error.keys()) == ("error", PARTS)
    kind = ERRORS[error["code"]]
    assert (reply.status_code, error["retryable"], error["type"]) == (kind.status, kind.retryable, kind.type)
    assert reply.headers.get("x-should-retry") == (None if kind.retryable else "false")
    assert error["correlation_id"] == reply.headers["x-correlation-id"]
    assert all(error[part] for part in ("message", "reason", "action"))


@given(method=st.sampled_from(("POST", "GET", "PUT")), path=PATHS, body=BODIES, content_type=TYPES)
@settings(max_examples=150, deadline=None)
def test_errors_before_the_stream_are_json_whatever_is_sent(
    client: httpx.Client, shared_upstream: ScriptedUpstream, method: str, path: str, body: bytes, content_type: str
) -> None:
    shared_upstream.script = response("400 No", b"{}")
    reply = client.request(method, path, content=body, headers={"content-type": content_type})
    if reply.status_code == 200:
        assert (method, path) in {("GET", "/v1/models"), ("GET", "/")}
    else:
        assert_json_error(reply)


@given(stream=st.booleans(), script=st.sampled_from(REFUSALS))
@settings(max_examples=100, deadline=None)
def test_errors_before_the_stream_are_json_whatever_upstream_says(
    client: httpx.Client, shared_upstream: ScriptedUpstream, stream: bool, script: Script
) -> None:
    shared_upstream.script = script
    assert_json_error(client.post(PATH, json={**SENSIBLE, "stream": stream}))


@pytest.mark.parametrize("script", [[RESET], response("500 No", b"<h1>"), response("503 No", b"")])
@pytest.mark.parametrize("stream", [True, False])
def test_failures_that_were_tried_again_are_json_too(
    client: httpx.Client, upstream: ScriptedUpstream, script: Script, stream: bool
) -> None:
    upstream.script = script
    assert_json_error(client.post(PATH, json={**SENSIBLE, "stream": stream}))
    assert len(upstream.calls) == 2
