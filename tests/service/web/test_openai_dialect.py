"""Events to OpenAI's chunks: validated strictly with openai-python's own types."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from sluice_service.generation.memory_log import MemoryLog
from sluice_service.web.openai_dialect import OpenAIDialect
from sluice_wire.decoder import Decoder
from sluice_wire.errors import ERRORS, SluiceError
from sluice_wire.events import Delta, Event, Finish, Usage

TEXTS = st.lists(st.text(min_size=1), max_size=8)
ANY_TEXTS = st.lists(st.text(st.characters(exclude_categories=()), min_size=1), max_size=8)
REASONS = st.sampled_from(("stop", "length", "tool_calls", "content_filter"))
COUNTS = st.integers(0, 2**40)

TOOL_CALLS = st.builds(
    lambda index, name, arguments: {
        "tool_calls": [{"index": index, "id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}]
    },
    st.integers(0, 9),
    st.text(),
    st.text(),
)
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(min_size=1)),
    st.builds(lambda text: {"refusal": text}, st.text(min_size=1)),
    st.builds(lambda text: {"reasoning_content": text}, st.text(min_size=1)),
    TOOL_CALLS,
)
USAGES = st.builds(
    lambda given, made: {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}, COUNTS, COUNTS
)


def delta(said: dict[str, Any], index: int = 0) -> Delta:
    return Delta([{"index": index, "delta": said, "finish_reason": None, "logprobs": None}], said.get("content", ""), 1)


def finish(reason: str, index: int = 0) -> Finish:
    return Finish([{"index": index, "delta": {}, "finish_reason": reason}])


def told(dialect: OpenAIDialect, events: Sequence[Event], error: SluiceError | None = None) -> bytes:
    """The bytes on the wire, made as the engine makes them."""
    log = MemoryLog(dialect.envelope)
    log.append(dialect.opening())
    for event in events:
        log.append(dialect.encode(event))
    log.end(dialect.failure(error) if error else dialect.closing())
    return log.read(0)[0]


def frames(wire: bytes) -> list[str]:
    return [event.data for event in Decoder().feed(wire)]


@given(
    said=st.lists(st.tuples(st.integers(0, 2), DELTAS), max_size=8),
    reasons=st.lists(REASONS, min_size=1, max_size=3),
    usage=USAGES,
    include_usage=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_chunks_follow_openais_format(
    said: list[tuple[int, dict[str, Any]]], reasons: list[str], usage: dict[str, int], include_usage: bool
) -> None:
    dialect = OpenAIDialect("5af0", "assistant", choices=len(reasons), include_usage=include_usage)
    ends = [finish(reason, index) for index, reason in enumerate(reasons)]
    *chunks, done = frames(told(dialect, [*(delta(d, i) for i, d in said), *ends, Usage(usage)]))
    assert done == "[DONE]"
    parsed = [ChatCompletionChunk.model_validate_json(chunk, strict=True) for chunk in chunks]
    assert {(chunk.id, chunk.object, chunk.model) for chunk in parsed} == {
        ("chatcmpl-5af0", "chat.completion.chunk", "assistant")
    }
    assert len({chunk.created for chunk in parsed}) == 1
    assert [chunk.choices[0].delta.role for chunk in parsed[: len(reasons)]] == ["assistant"] * len(reasons)
    assert all(choice.delta.role is None for chunk in parsed[len(reasons) :] for choice in chunk.choices)
    assert [c.finish_reason for chunk in parsed for c in chunk.choices if c.finish_reason] == reasons
    usages = [chunk.usage for chunk in parsed if chunk.usage]
    assert [u.model_dump(exclude_none=True) for u in usages] == ([usage] if include_usage else [])
    assert [not chunk.choices for chunk in parsed].count(True) == len(usages)


@given(ANY_TEXTS)
@settings(max_examples=150, deadline=None)
def test_content_chunks_are_partial_text_and_together_the_whole(pieces: list[str]) -> None:
    wire = told(OpenAIDialect("s", "m"), [*(delta({"content": piece}) for piece in pieces), finish("stop")])
    deltas = [json.loads(frame)["choices"][0]["delta"] for frame in frames(wire)[:-1]]
    assert [said["content"] for said in deltas[1:-1]] == pieces
    assert "".join(said.get("content", "") for said in deltas) == "".join(pieces)


@given(ANY_TEXTS)
@settings(max_examples=100, deadline=None)
def test_lines_are_data_alone_in_ascii_for_any_text(pieces: list[str]) -> None:
    wire = told(OpenAIDialect("s", "m"), [*(delta({"content": piece}) for piece in pieces), finish("stop")])
    assert {line[:6] for line in wire.splitlines()} == {b"data: ", b""}
    assert wire.isascii()
    assert len(frames(wire)) == len(pieces) + 3


@given(st.sampled_from(sorted(ERRORS)), TEXTS)
@settings(max_examples=100, deadline=None)
def test_error_in_the_stream_is_one_frame_in_openais_shape_and_the_end(code: str, pieces: list[str]) -> None:
    dialect = OpenAIDialect("s", "m", correlation_id="c-1")
    *before, last = frames(told(dialect, [delta({"content": piece}) for piece in pieces], SluiceError(code)))
    error = json.loads(last)["error"]
    assert (error["code"], error["correlation_id"]) == (code, "c-1")
    assert all(isinstance(error[part], str) and error[part] for part in ("message", "type", "reason", "action"))
    assert error["retryable"] is ERRORS[code].retryable
    assert "[DONE]" not in before
    assert len(before) == len(pieces) + 1
