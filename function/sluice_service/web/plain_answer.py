"""The plain answer: the same events, folded into one `chat.completion` object.

Source: OpenAI API reference, "The chat completion object". Folding as openai-python does it: text grows, lists of items
with an `index` merge item by item, everything else is replaced.
"""

import time
from collections.abc import Sequence
from typing import Any

from sluice_service.generation.base import Envelope
from sluice_service.generation.record import Saved
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.openai_dialect import saved_json
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Event, Finish, Usage

REPLACED = frozenset({"id", "type", "index", "role", "finish_reason"})
"""Text that names something: a repetition is the same name again, not more of it."""

INSTEAD_OF_TEXT = frozenset({"tool_calls", "function_call", "refusal", "audio"})
"""Beside these the content is null; otherwise it is text, as in the stream, if need be an empty one."""


class PlainAnswer:
    """A dialect whose log holds one frame: the response's body."""

    envelope = Envelope()
    heartbeat = None

    def __init__(self, stream_id: str, model: str, correlation_id: str = "") -> None:
        self._head = {
            "id": f"chatcmpl-{stream_id}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
        }
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] | None = None
        self._saved: Saved | None = None
        self._correlation_id = correlation_id

    def opening(self) -> Sequence[bytes]:
        """Nothing: there is no body before the end."""
        return ()

    def encode(self, event: Event | Saved) -> Sequence[bytes]:
        """Keep it."""
        if isinstance(event, Delta | Finish):
            for choice in event.choices:
                _merge(self._choices.setdefault(choice.get("index", 0), {}), choice)
        elif isinstance(event, Usage):
            self._usage = event.usage
        elif isinstance(event, Saved):
            self._saved = event
        return ()

    def closing(self) -> Sequence[bytes]:
        """The body."""
        choices = [_completed(joined(choice)) for _, choice in sorted(self._choices.items())]
        body = {**self._head, "choices": choices}
        if self._usage is not None:
            body["usage"] = self._usage
        if self._saved is not None and (told := saved_json(self._saved)):
            body["sluice"] = told
        return (ascii_json(body),)

    def failure(self, error: SluiceError) -> Sequence[bytes]:
        """The error's body."""
        return (ascii_json(error.report(self._correlation_id).to_openai()),)


class _Pieces(list[str]):
    """Text that still grows: joined once, at the end."""


def joined(value: Any) -> Any:
    """The value with all its text joined and its indexed items in order."""
    if isinstance(value, _Pieces):
        return "".join(value)
    if isinstance(value, _Items):
        return [joined(item) for _, item in sorted(value.items())]
    if isinstance(value, dict):
        return {key: joined(item) for key, item in value.items()}
    return value


class _Items(dict[int, dict[str, Any]]):
    """A list whose items say their place (`tool_calls`)."""


def _merge(target: dict[str, Any], news: dict[str, Any]) -> None:
    for key, value in news.items():
        known = target.get(key)
        if isinstance(value, str) and key not in REPLACED:
            if not isinstance(known, _Pieces):
                known = target[key] = _Pieces()
            known.append(value)
        elif isinstance(value, dict):
            inner = known if isinstance(known, dict) else {}
            target[key] = inner
            _merge(inner, value)
        elif isinstance(value, list) and value:
            target[key] = _merged_list(known, value)
        elif value is not None or key not in target:
            target[key] = value


def _merged_list(known: Any, news: list[Any]) -> Any:
    if not all(isinstance(item, dict) and isinstance(item.get("index"), int) for item in news):
        return [*known, *news] if isinstance(known, list) else news
    items = known if isinstance(known, _Items) else _Items()
    for item in news:
        _merge(items.setdefault(item["index"], {}), item)
    return items


def _completed(choice: dict[str, Any]) -> dict[str, Any]:
    said = choice.pop("delta", {})
    message = {"role": "assistant", "content": None if INSTEAD_OF_TEXT & said.keys() else "", **said}
    for call in message.get("tool_calls") or ():
        if isinstance(call, dict):
            call.pop("index", None)
    return {**choice, "message": message}
