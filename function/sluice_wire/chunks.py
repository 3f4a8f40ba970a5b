"""OpenAI's `chat.completion.chunk`, parsed into typed events.

Source: OpenAI API reference, "The chat completion chunk object", and how OpenRouter, Gemini, Ollama and vLLM differ from
it. What those differences are is written beside the line that allows for it.
"""

from typing import Any

from sluice_wire.events import Choice, Delta, Event, Finish, Usage


class InvalidChunk(ValueError):
    """The JSON is not a chunk: it has another shape than the reference gives."""


class ErrorChunk(ValueError):
    """Upstream said, inside the stream, that it failed. `error` is its own object: never to be relayed as it stands."""

    def __init__(self, error: object) -> None:
        super().__init__("an error event inside the stream")
        self.error = error


def events_of(chunk: Any, size_bytes: int = 0) -> list[Event]:
    """The events in one parsed chunk, in the order in which they are to be told; often one, sometimes none.

    A role alone or an empty first delta gives none. Content that shares a chunk with its finish reason (Gemini) gives
    two events, so that whoever stores the answer can do it between them. Raises InvalidChunk, ErrorChunk.
    """
    text = _plain_text(chunk)
    if text is not None:
        return [Delta(chunk["choices"], text, size_bytes)]
    if not isinstance(chunk, dict):
        raise InvalidChunk("a chunk is a JSON object")
    if chunk.get("error"):
        raise ErrorChunk(chunk["error"])
    choices = chunk.get("choices") or []
    if not isinstance(choices, list):
        raise InvalidChunk("choices is a list")
    events = _choice_events(choices, size_bytes)
    if isinstance(chunk.get("usage"), dict):
        events.append(Usage(chunk["usage"]))
    return events


def _plain_text(chunk: Any) -> str | None:
    """The text of a chunk that is nothing but text of choice 0, as nearly all are; None for any other."""
    if type(chunk) is not dict or chunk.get("error") or chunk.get("usage") is not None:
        return None
    choices = chunk.get("choices")
    if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict:
        return None
    choice = choices[0]
    delta, index = choice.get("delta"), choice.get("index")
    if type(index) is not int or index != 0 or choice.get("finish_reason", "") is not None:
        return None
    if type(delta) is not dict or len(delta) != 1:
        return None
    text = delta.get("content")
    return text if type(text) is str and text else None


def _choice_events(choices: list[Any], size_bytes: int) -> list[Event]:
    told: list[Choice] = []
    ended: list[Choice] = []
    text = ""
    for choice in choices:
        delta = _delta(choice)
        if type(choice.get("index", 0)) is not int:
            raise InvalidChunk("an index is a number")
        reason = choice.get("finish_reason")
        if _says_something(delta):
            told.append({**choice, "delta": delta, "finish_reason": None})
            if choice.get("index", 0) == 0 and isinstance(delta.get("content"), str):
                text += delta["content"]
        if reason:
            ended.append(_end(choice, reason, keep_rest=not _says_something(delta)))
    events: list[Event] = [Delta(told, text, size_bytes)] if told else []
    return [*events, Finish(ended)] if ended else events


def _delta(choice: Any) -> dict[str, Any]:
    if not isinstance(choice, dict):
        raise InvalidChunk("a choice is a JSON object")
    delta = choice.get("delta") or {}
    if not isinstance(delta, dict):
        raise InvalidChunk("a delta is a JSON object")
    # Ours is the one role of the stream; vLLM and Gemini repeat it on every chunk.
    return {key: value for key, value in delta.items() if key != "role"} if "role" in delta else delta


def _says_something(delta: dict[str, Any]) -> bool:
    return any(value not in (None, "", []) for value in delta.values())


def _end(choice: Choice, reason: Any, *, keep_rest: bool) -> Choice:
    if not isinstance(reason, str):
        raise InvalidChunk("a finish_reason is a string")
    # OpenRouter ends a failed answer with this reason; the object beside it says why.
    if reason == "error":
        raise ErrorChunk(choice.get("error") or {"code": "error"})
    kept = choice if keep_rest else {"index": choice.get("index", 0)}
    return {**kept, "delta": {}, "finish_reason": reason}
