"""POST /v1/chat/completions: what a client sees, over real sockets."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sluice_wire.decoder import Decoder
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import (
    CLOSE,
    HANG,
    RESET,
    STREAM_HEAD,
    USAGE,
    Script,
    ScriptedUpstream,
    Step,
    answer,
    chunk,
    response,
)

PATH = "/v1/chat/completions"


def request(**more: Any) -> dict[str, Any]:
    return {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], **more}


def stream(function: RunningFunction, **more: Any) -> tuple[httpx.Response, list[Any]]:
    """The response, and its events' data parsed, `[DONE]` as it is."""
    with function.client() as client:
        reply = client.post(PATH, json=request(stream=True, **more))
    if reply.status_code != 200:
        return reply, []
    return reply, [
        event.data if event.data == "[DONE]" else json.loads(event.data) for event in Decoder().feed(reply.content)
    ]


def text_of(events: list[Any]) -> str:
    chosen = [event["choices"][0]["delta"] for event in events if event != "[DONE]" and event.get("choices")]
    return "".join(delta.get("content") or "" for delta in chosen)


def test_stream_carries_role_text_finish_usage_and_done(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("Hel", "lo")
    reply, events = stream(function, stream_options={"include_usage": True})
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_of(events) == "Hello"
    assert [e["choices"][0]["finish_reason"] for e in events[:-2]] == [None, None, None, "stop"]
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == USAGE
    assert events[-1] == "[DONE]"
    stream_id = reply.headers["x-stream-id"]
    assert {(e["id"], e["object"], e["model"]) for e in events[:-1]} == {
        (f"chatcmpl-{stream_id}", "chat.completion.chunk", "assistant")
    }


def test_sse_responses_carry_the_required_headers(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    reply, _ = stream(function)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache, no-transform"
    assert reply.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in reply.headers
    assert len(upstream.calls) == 1


def test_usage_is_not_sent_unless_asked_for(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    _, events = stream(function)
    assert all(event["choices"] for event in events[:-1])
    assert upstream.calls[0].body["stream_options"] == {"include_usage": True}


def test_stream_flag_decides_the_response_format(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("Hello", " world")
    for flag in ({}, {"stream": False}, {"stream": None}):
        with function.client() as client:
            reply = client.post(PATH, json=request(**flag))
        assert reply.headers["content-type"] == "application/json"
        body = reply.json()
        assert body["object"] == "chat.completion"
        assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello world"}
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"] == USAGE
    assert all(call.body["stream"] is True for call in upstream.calls)


def test_only_data_lines_and_comments_are_sent(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = [*answer("Hello")[:3], 1.4, *answer(" you")[2:]]
    with function.client() as client:
        raw = client.post(PATH, json=request(stream=True)).text
    assert {line[:6] for line in raw.split("\n") if line} == {"data: ", ": ping"}
    assert raw.isascii()


def test_callers_parameters_and_messages_reach_a_passthrough_agent(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x-own": 1}}}]
    messages = [{"role": "user", "content": [{"type": "text", "text": "naïve ☃"}], "own_key": {"a": None}}]
    stream(function, messages=messages, tools=tools, temperature=0.3, seed=7, metadata={"a": "b"}, store=False)
    sent = upstream.calls[0].body
    assert sent["messages"] == messages
    assert (sent["tools"], sent["temperature"], sent["seed"]) == (tools, 0.3, 7)
    assert not {"metadata", "store"} & sent.keys()
    assert upstream.calls[0].headers["authorization"] == "Bearer sk-upstream-secret-0123456789"


def test_tool_calls_and_reasoning_pass_through_unchanged(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "hm"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    ]
    frames = [b"data: " + json.dumps({"choices": [{"index": 0, "delta": d}]}).encode() + b"\n\n" for d in deltas]
    upstream.script = [STREAM_HEAD, *frames, chunk(finish="tool_calls"), CLOSE]
    _, events = stream(function)
    assert [event["choices"][0]["delta"] for event in events[1:5]] == deltas
    with function.client() as client:
        message = client.post(PATH, json=request()).json()["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert message["tool_calls"] == [called]


def test_first_token_is_delivered_while_upstream_is_still_talking(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    seen = threading.Event()

    def script(_: Any) -> Iterator[Step]:
        yield from answer("first")[:3]
        # Upstream goes on only when the client has what came so far.
        yield chunk(" second") if seen.wait(10) else HANG
        yield from answer("third")[2:]

    upstream.script = script  # type: ignore[assignment]
    with function.client() as client, client.stream("POST", PATH, json=request(stream=True)) as reply:
        lines = reply.iter_lines()
        assert any("first" in line for line in lines)
        seen.set()
        assert "data: [DONE]" in list(lines)


FAILURES: list[tuple[str, Script, int, str]] = [
    ("401", response("401 Unauthorized", b'{"error":{"message":"bad key sk-leak"}}'), 502, "upstream_auth_failed"),
    ("500 with HTML", response("500 Oops", b"<h1>sk-leak</h1>", content_type="text/html"), 502, "upstream_unavailable"),
    ("503", response("503 Busy", b"{}"), 503, "upstream_overloaded"),
    ("429", response("429 Slow", b"{}", "retry-after: 17"), 429, "upstream_rate_limited"),
    ("400", response("400 Bad", b'{"error":{"message":"sk-leak"}}'), 400, "upstream_rejected"),
    ("hang before headers", [HANG], 504, "first_token_timeout"),
    ("hang after headers", [STREAM_HEAD, HANG], 504, "first_token_timeout"),
    ("reset before headers", [RESET], 502, "upstream_unavailable"),
    ("HTML under 200", response("200 OK", b"<p>hi", content_type="text/html"), 502, "upstream_invalid_response"),
    ("malformed event", [STREAM_HEAD, b"data: {nope\n\n", HANG], 502, "upstream_invalid_response"),
    (
        "error event",
        [STREAM_HEAD, b'data: {"error":{"message":"sk-leak","code":500}}\n\n', HANG],
        502,
        "upstream_unavailable",
    ),
    ("empty stream", [STREAM_HEAD, b"data: [DONE]\n\n", CLOSE], 502, "upstream_truncated"),
]


@pytest.mark.parametrize(("script", "status", "code"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
@pytest.mark.parametrize("streamed", [True, False])
def test_errors_before_the_stream_are_json_with_their_status(
    function: RunningFunction, upstream: ScriptedUpstream, script: Script, status: int, code: str, streamed: bool
) -> None:
    upstream.script = script
    with function.client() as client:
        reply = client.post(PATH, json=request(stream=streamed))
    # A silence longer than one heartbeat starts the stream: what fails later is told inside it.
    if reply.status_code == 200:
        assert code == "first_token_timeout"
        error = json.loads(Decoder().feed(reply.content)[-1].data)["error"]
    else:
        assert reply.status_code == status
        error = reply.json()["error"]
    assert error["code"] == code
    assert error["correlation_id"] == reply.headers["x-correlation-id"]
    assert all(error[part] for part in ("message", "reason", "action"))
    assert "sk-leak" not in reply.text


def test_retry_after_of_upstream_is_handed_on(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = response("429 Slow", b"{}", "retry-after: 17")
    reply, _ = stream(function)
    assert reply.headers["retry-after"] == "17"
    assert len(upstream.calls) == 1


TRUNCATIONS: list[tuple[str, Script, str]] = [
    ("hang mid-answer", [HANG], "idle_timeout"),
    ("reset mid-answer", [RESET], "upstream_truncated"),
    ("clean end without finish_reason", [CLOSE], "upstream_truncated"),
    ("done without finish_reason", [b"data: [DONE]\n\n", CLOSE], "upstream_truncated"),
    ("malformed event", [b"data: {nope\n\n", HANG], "upstream_invalid_response"),
    ("error event", [b'data: {"error":{"message":"x"}}\n\n', HANG], "upstream_unavailable"),
    ("endless", [chunk("y" * 1000)] * 300, "output_too_large"),
]


@pytest.mark.parametrize(("script", "code"), [case[1:] for case in TRUNCATIONS], ids=[case[0] for case in TRUNCATIONS])
def test_failure_mid_answer_keeps_the_text_and_is_one_frame_without_done(
    function: RunningFunction, upstream: ScriptedUpstream, script: Script, code: str
) -> None:
    upstream.script = [*answer("kept")[:3], 0.1, *script]
    _, events = stream(function)
    assert text_of(events[:-1]).startswith("kept")
    assert events[-1]["error"]["code"] == code
    assert "[DONE]" not in events
    assert all(event["choices"][0]["finish_reason"] is None for event in events[:-1])


def test_finish_reason_without_done_is_a_good_end(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("all"), chunk(finish="length"), CLOSE]
    _, events = stream(function)
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"][0]["finish_reason"] == "length"


def test_refused_connection_is_unavailable(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = [RESET]
    reply, _ = stream(function)
    assert reply.json()["error"]["code"] == "upstream_unavailable"
    assert len(upstream.calls) == 2, "a failure before content is tried once more"


def test_silence_before_the_first_token_is_filled_with_heartbeats(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = [STREAM_HEAD, 1.6, *answer("late")[1:]]
    with function.client() as client, client.stream("POST", PATH, json=request(stream=True)) as reply:
        pieces = reply.iter_raw()
        started = time.monotonic()
        first = next(pieces)
        waited = time.monotonic() - started
        rest = b"".join(pieces)
    assert first == b": ping\n\n"
    assert waited < 0.4, "the heartbeat follows the status line at once"
    assert b"late" in rest


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("beginning", [[], [STREAM_HEAD, chunk("a")]], ids=["before headers", "mid-answer"])
def test_departed_client_closes_upstream_within_two_seconds(
    function: RunningFunction, upstream: ScriptedUpstream, beginning: Script, streamed: bool
) -> None:
    upstream.script = [*beginning, HANG]
    with function.client(timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.post(PATH, json=request(stream=streamed))
    left = time.monotonic()
    call = upstream.calls[0]
    assert call.closed.wait(5)
    assert call.closed_at - left < 2
    function.wait_for_log("client_disconnected=true")
