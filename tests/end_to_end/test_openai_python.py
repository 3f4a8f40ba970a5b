"""openai-python, unchanged, against the function: what its users see, with the sync and the async client."""

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.end_to_end.conftest import NARROW_KEY
from tests.end_to_end.openai_clients import CLIENTS, MakeClient, stream_with
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import (
    CLOSE,
    HANG,
    RESET,
    STREAM_HEAD,
    USAGE,
    Script,
    ScriptedUpstream,
    answer,
    chunk,
    response,
)

TOOLS = [{"type": "function", "function": {"name": "tides", "parameters": {"type": "object"}}}]
TOOL_DELTAS: list[dict[str, Any]] = [
    {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "tides", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"port":'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '"Brest"}'}}]},
]
TOOL_ANSWER: Script = [
    STREAM_HEAD,
    *(b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n" for delta in TOOL_DELTAS),
    chunk(finish="tool_calls"),
    CLOSE,
]


@pytest.fixture(params=CLIENTS, ids=["sync", "async"])
def client(request: pytest.FixtureRequest) -> MakeClient:
    """Makes a client of openai-python: the sync one, then the async one."""
    made: MakeClient = request.param
    return made


def test_stream_gives_the_whole_text_and_the_finish_reason(
    client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = answer("Ebb", " and", " flood ☾", pause=0.01)
    received = client(function).stream()
    assert received.error is None
    assert received.text == "Ebb and flood ☾"
    assert received.finish_reasons == ["stop"]
    assert received.chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.usage is None for chunk in received.chunks)
    assert {chunk.model for chunk in received.chunks} == {"assistant"}


@pytest.mark.usefixtures("upstream")
def test_stream_ends_with_usage_when_asked(client: MakeClient, function: RunningFunction) -> None:
    received = client(function).stream(stream_options={"include_usage": True})
    last = received.chunks[-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.model_dump(exclude_none=True) == USAGE
    assert all(chunk.usage is None for chunk in received.chunks[:-1])


@pytest.mark.usefixtures("upstream")
def test_plain_answer_is_whole_and_has_usage(client: MakeClient, function: RunningFunction) -> None:
    completion = client(function).plain()
    choice = completion.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello world", "stop")
    assert completion.object == "chat.completion"
    assert completion.model == "assistant"
    assert completion.usage is not None
    assert completion.usage.model_dump(exclude_none=True) == USAGE


def test_tools_reach_upstream_and_its_calls_come_back_streamed(
    client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = TOOL_ANSWER
    received = client(function).stream(tools=TOOLS, tool_choice="auto")
    calls = [call for chunk in received.chunks for c in chunk.choices for call in c.delta.tool_calls or []]
    assert calls[0].id == "c1"
    assert "".join(call.function.arguments or "" for call in calls if call.function) == '{"port":"Brest"}'
    assert received.finish_reasons == ["tool_calls"]
    assert (upstream.calls[0].body["tools"], upstream.calls[0].body["tool_choice"]) == (TOOLS, "auto")


def test_tool_calls_come_back_plain(client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = TOOL_ANSWER
    choice = client(function).plain(tools=TOOLS).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert [call.to_dict() for call in choice.message.tool_calls or []] == [
        {"id": "c1", "type": "function", "function": {"name": "tides", "arguments": '{"port":"Brest"}'}}
    ]


def test_several_answers_are_told_apart(client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    choices = [{"index": i, "delta": {"content": f"answer {i}"}, "finish_reason": None} for i in range(2)]
    ends = [{"index": i, "delta": {}, "finish_reason": "stop"} for i in range(2)]
    frames = [b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" for choice in (*choices, *ends)]
    upstream.script = [STREAM_HEAD, *frames, CLOSE]
    completion = client(function).plain(n=2)
    assert [choice.message.content for choice in completion.choices] == ["answer 0", "answer 1"]
    received = client(function).stream(n=2)
    roles = [choice.index for chunk in received.chunks for choice in chunk.choices if choice.delta.role]
    assert roles == [0, 1]
    assert received.finish_reasons == ["stop", "stop"]


def test_models_are_listed_and_retrieved(client: MakeClient, function: RunningFunction) -> None:
    assert client(function).models() == ["assistant", "demo"]
    model = client(function).model("demo")
    assert (model.id, model.object, model.owned_by) == ("demo", "model", "sluice")
    with pytest.raises(openai.NotFoundError):
        client(function).model("nobody")
    assert client(function, key=NARROW_KEY).models() == []


REFUSALS: list[tuple[str, dict[str, Any], type[openai.APIStatusError], int, str]] = [
    ("unknown agent", {"model": "nobody"}, openai.NotFoundError, 404, "model_not_found"),
    ("no messages", {"messages": []}, openai.BadRequestError, 400, "invalid_request"),
    ("unknown role", {"messages": [{"role": "king", "content": "x"}]}, openai.BadRequestError, 400, "invalid_request"),
    ("n of zero", {"n": 0}, openai.BadRequestError, 400, "invalid_request"),
]


@pytest.mark.parametrize(("body", "raised", "status", "code"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_refusals_raise_the_sdks_own_exceptions(
    client: MakeClient, function: RunningFunction, body: dict[str, Any], raised: type[Exception], status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as plain:
        client(function).plain(**body)
    streamed = client(function).stream(**body).error
    for error in (plain.value, streamed):
        assert isinstance(error, openai.APIStatusError)
        assert (type(error), error.status_code, error.code) == (raised, status, code)


@pytest.mark.parametrize(
    ("key", "raised", "code"),
    [
        ("wrong", openai.AuthenticationError, "invalid_credentials"),
        (NARROW_KEY, openai.PermissionDeniedError, "permission_denied"),
    ],
)
def test_keys_that_may_not_raise_the_sdks_own_exceptions(
    client: MakeClient, function: RunningFunction, key: str, raised: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(raised) as failed:
        client(function, key=key).plain()
    assert failed.value.code == code
    assert isinstance(client(function, key=key).stream().error, raised)


UPSTREAM_FAILURES: list[tuple[str, Script, type[openai.APIStatusError], int, str]] = [
    ("429", response("429 Slow", b"{}", "retry-after: 9"), openai.RateLimitError, 429, "upstream_rate_limited"),
    ("401", response("401 No", b"{}"), openai.InternalServerError, 502, "upstream_auth_failed"),
    ("400", response("400 No", b"{}"), openai.BadRequestError, 400, "upstream_rejected"),
    ("500", response("500 No", b"{}"), openai.InternalServerError, 502, "upstream_unavailable"),
    ("503", response("503 No", b"{}"), openai.InternalServerError, 503, "upstream_overloaded"),
    ("no finish", [STREAM_HEAD, CLOSE], openai.InternalServerError, 502, "upstream_truncated"),
]


@pytest.mark.parametrize(
    ("script", "raised", "status", "code"), [f[1:] for f in UPSTREAM_FAILURES], ids=[f[0] for f in UPSTREAM_FAILURES]
)
def test_upstream_failures_raise_the_sdks_own_exceptions(
    client: MakeClient,
    function: RunningFunction,
    upstream: ScriptedUpstream,
    script: Script,
    raised: type[openai.APIStatusError],
    status: int,
    code: str,
) -> None:
    upstream.script = script
    error = client(function).stream().error
    assert isinstance(error, raised)
    assert (error.status_code, error.code) == (status, code)
    assert error.request_id
    with pytest.raises(raised):
        client(function).plain()


@pytest.mark.parametrize("status", ["401 No", "402 Pay"])
def test_error_that_is_not_worth_it_is_not_retried_by_the_sdk(
    client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream, status: str
) -> None:
    upstream.script = response(status, b"{}")
    error = client(function, max_retries=2).stream().error
    assert isinstance(error, openai.APIStatusError)
    assert error.status_code == 502, "a status that the SDK retries by itself"
    assert error.response.headers["x-should-retry"] == "false"
    assert len(upstream.calls) == 1


def test_error_that_passes_is_retried_by_the_sdk(
    client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    scripts = [response("503 Busy", b"{}"), response("503 Busy", b"{}"), answer("at last")]
    upstream.script = lambda _: scripts.pop(0)
    assert client(function, max_retries=1).plain().choices[0].message.content == "at last"
    assert len(upstream.calls) == 3, "twice for the first request, by our own retry, and once for the second"


BREAKS: list[tuple[str, Script, str]] = [
    ("clean end", [CLOSE], "The answer broke off."),
    ("reset", [RESET], "The answer broke off."),
    ("silence", [HANG], "The model fell silent for 1.6 s in the middle of its answer."),
    ("error event", [b'data: {"error":{"message":"sk-theirs"}}\n\n', CLOSE], "cannot be reached or failed"),
]


@pytest.mark.parametrize(("script", "message"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS])
def test_failure_mid_stream_raises_our_message_after_the_text(
    client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream, script: Script, message: str
) -> None:
    upstream.script = [*answer("what was", " said")[:5], 0.1, *script]
    received = client(function, max_retries=2).stream()
    assert received.text == "what was said"
    assert received.finish_reasons == []
    assert type(received.error) is openai.APIError
    assert message in received.error.message
    assert isinstance(received.error.body, dict)
    assert received.error.body["reason"]
    assert received.error.body["action"]
    assert len(upstream.calls) == 1, "what has begun is never asked for again"


def test_heartbeats_go_unnoticed(client: MakeClient, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    told = answer("one", " two")
    upstream.script = [STREAM_HEAD, 1.1, *told[1:4], 1.1, *told[4:]]
    received = client(function).stream()
    assert received.error is None
    assert received.text == "one two"
    assert len(received.chunks) == 4, "the role, two pieces of text, the finish reason"


async def _ask_twenty(function: RunningFunction) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{function.url}/v1", api_key=function.key, max_retries=0) as client:
        questions = [[{"role": "user", "content": f"question {number}"}] for number in range(20)]
        answers = await asyncio.gather(*(stream_with(client, messages=question) for question in questions))
    assert all(received.finish_reasons == ["stop"] for received in answers)
    return [received.text for received in answers]


def test_twenty_streams_at_once_each_get_their_own_answer(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = lambda body: answer(*(f"{body['messages'][0]['content']}/{n} " for n in range(30)), pause=0.02)
    texts = asyncio.run(_ask_twenty(function))
    assert texts == ["".join(f"question {number}/{n} " for n in range(30)) for number in range(20)]
    assert len(upstream.calls) == 20
