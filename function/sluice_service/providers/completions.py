"""OpenAI's `chat.completion`, an answer that came whole, unfolded into the chunks of a stream. No I/O."""

from collections.abc import Callable, Iterator
from typing import Any

from sluice_wire.chunks import InvalidChunk

Split = Callable[[str], list[str]]
"""Cuts a whole text into the pieces in which it is to be streamed."""


def chunks_of(completion: Any, split: Split) -> Iterator[dict[str, Any]]:
    """The chunks that a streaming server would have sent for this completion, usage last.

    For each choice: whatever precedes the text (reasoning, a refusal), the text in pieces, tool calls, the finish
    reason. An error object is passed on for `events_of` to raise. Raises InvalidChunk for another shape.
    """
    if not isinstance(completion, dict):
        raise InvalidChunk("a completion is a JSON object")
    if completion.get("error"):
        yield {"error": completion["error"]}
        return
    choices = completion.get("choices")
    if not isinstance(choices, list):
        raise InvalidChunk("a completion has a list of choices")
    for choice in choices:
        yield from _choice_chunks(choice, split)
    yield {"choices": [], "usage": completion.get("usage")}


def _choice_chunks(choice: Any, split: Split) -> Iterator[dict[str, Any]]:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise InvalidChunk("a choice of a completion has a message")
    index = choice.get("index", 0)
    for delta in _deltas(message, split):
        yield {"choices": [{"index": index, "delta": delta, "finish_reason": None, "logprobs": None}]}
    yield {"choices": [{**{key: value for key, value in choice.items() if key != "message"}, "delta": {}}]}


def _deltas(message: dict[str, Any], split: Split) -> Iterator[dict[str, Any]]:
    known = ("role", "content", "tool_calls")
    other = {key: value for key, value in message.items() if key not in known and value not in (None, "", [])}
    if other:
        yield other
    content = message.get("content")
    if isinstance(content, str):
        yield from ({"content": piece} for piece in split(content))
    elif content:
        yield {"content": content}
    if calls := message.get("tool_calls"):
        yield {"tool_calls": _numbered(calls)}


def _numbered(calls: Any) -> list[dict[str, Any]]:
    # In a stream every tool call carries the index under which its pieces are put together; whole ones have none.
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise InvalidChunk("tool_calls is a list of objects")
    return [{"index": index, **call} for index, call in enumerate(calls)]
