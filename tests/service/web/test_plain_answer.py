"""The plain answer: OpenAI's object, and the same text as the stream's, whatever upstream does."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from sluice_service.web.plain_answer import PlainAnswer
from sluice_wire.decoder import Decoder
from sluice_wire.events import Delta, Finish, Usage
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, ScriptedUpstream

PATH = "/v1/chat/completions"
REASONS = st.sampled_from(("stop", "length", "content_filter"))


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    with function.client() as client:
        yield client


def frame(choice: dict[str, Any], line_end: str, *, escaped: bool) -> bytes:
    body = json.dumps({"choices": [{"index": 0, **choice}]}, ensure_ascii=escaped)
    return f"data: {body}{line_end}{line_end}".encode()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces, cut at these places, inside characters too."""
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


@given(
    pieces=st.lists(st.text(max_size=20), max_size=6),
    places=st.lists(st.integers(0, 10_000), max_size=8),
    line_end=st.sampled_from(("\n", "\r\n", "\r")),
    escaped=st.booleans(),
    reason=REASONS,
)
@settings(max_examples=100, deadline=None)
def test_plain_equals_streamed(
    client: httpx.Client,
    shared_upstream: ScriptedUpstream,
    pieces: list[str],
    places: list[int],
    line_end: str,
    escaped: bool,
    reason: str,
) -> None:
    said: list[dict[str, Any]] = [{"delta": {"content": piece}} for piece in pieces]
    ended = {"delta": {}, "finish_reason": reason}
    wire = b"".join(frame(choice, line_end, escaped=escaped) for choice in (*said, ended))
    shared_upstream.script = [STREAM_HEAD, *cut(wire, places), CLOSE]
    question = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]}
    streamed = client.post(PATH, json={**question, "stream": True}).content
    plain = client.post(PATH, json=question).json()["choices"]
    chunks = [json.loads(event.data)["choices"][0] for event in Decoder().feed(streamed) if event.data != "[DONE]"]
    text = "".join(chunk["delta"].get("content", "") for chunk in chunks)
    assert text == plain[0]["message"]["content"] == "".join(pieces)
    assert chunks[-1]["finish_reason"] == plain[0]["finish_reason"] == reason


@given(
    answers=st.lists(st.tuples(st.lists(st.text(min_size=1), max_size=5), REASONS), min_size=1, max_size=3),
    tokens=st.integers(0, 2**40),
)
@settings(max_examples=100, deadline=None)
def test_plain_answer_follows_openais_format(answers: list[tuple[list[str], str]], tokens: int) -> None:
    dialect = PlainAnswer("5af0", "assistant")
    for index, (pieces, _) in enumerate(answers):
        for piece in pieces:
            dialect.encode(Delta([{"index": index, "delta": {"content": piece}, "finish_reason": None}], "", 0))
    ends = [{"index": index, "delta": {}, "finish_reason": reason} for index, (_, reason) in enumerate(answers)]
    dialect.encode(Finish(ends))
    dialect.encode(Usage({"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1}))
    completion = ChatCompletion.model_validate_json(b"".join(dialect.closing()), strict=True)
    assert (completion.id, completion.model) == ("chatcmpl-5af0", "assistant")
    assert [choice.message.content for choice in completion.choices] == ["".join(pieces) for pieces, _ in answers]
    assert [choice.finish_reason for choice in completion.choices] == [reason for _, reason in answers]
    assert [choice.index for choice in completion.choices] == list(range(len(answers)))
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == tokens


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([{"refusal": "I "}, {"refusal": "will not."}], {"content": None, "refusal": "I will not."}),
        ([{"reasoning_content": "h"}, {"reasoning_content": "m"}], {"content": "", "reasoning_content": "hm"}),
        (
            [
                {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
                {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}]},
                {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "", "arguments": "}"}}]},
            ],
            {
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
        ),
    ],
    ids=["refusal", "reasoning", "tool calls out of order"],
)
def test_what_is_no_content_is_folded_too(deltas: list[dict[str, Any]], message: dict[str, Any]) -> None:
    dialect = PlainAnswer("s", "m")
    for delta in deltas:
        dialect.encode(Delta([{"index": 0, "delta": delta, "finish_reason": None}], "", 0))
    dialect.encode(Finish([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    (choice,) = json.loads(b"".join(dialect.closing()))["choices"]
    assert choice["message"] == {"role": "assistant", **message}
