"""OpenAI's stream: events as `chat.completion.chunk` frames.

Source: OpenAI API reference, "The chat completion chunk object". Deliberate: only `data:` lines and comments, for
openai-python, LangChain and `llm` crash on some of `id:`, `event:` and `retry:`; an error in the stream is one frame with
an `error` object and no `[DONE]`, which openai-python raises as an APIError.
"""

import time
from collections.abc import Sequence
from typing import Any

from sluice_service.generation.base import Envelope
from sluice_service.generation.record import Saved
from sluice_service.web.ascii_json import ascii_json
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Event, Finish, Usage
from sluice_wire.frames import HEARTBEAT_BLOCK

DONE = b"data: [DONE]\n\n"


class OpenAIDialect:
    """`model` is the agent's id, `choices` how many answers were asked for (`n`)."""

    heartbeat = HEARTBEAT_BLOCK

    def __init__(
        self, stream_id: str, model: str, *, choices: int = 1, include_usage: bool = False, correlation_id: str = ""
    ) -> None:
        head = {
            "id": f"chatcmpl-{stream_id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self.envelope = Envelope(prefix=b"data: " + ascii_json(head)[:-1] + b",", suffix=b"}\n\n")
        self._choices = choices
        self._include_usage = include_usage
        self._stored = b""
        self._correlation_id = correlation_id

    def opening(self) -> Sequence[bytes]:
        """The role, once for each choice."""
        delta = {"role": "assistant", "content": ""}
        roles = ({"index": i, "delta": delta, "finish_reason": None} for i in range(self._choices))
        return [b'"choices":[' + ascii_json(role) + b"]" for role in roles]

    def encode(self, event: Event | Saved) -> Sequence[bytes]:
        """One chunk; usage only for those who asked. Where the answer was stored goes with the finish reason."""
        if isinstance(event, Delta):
            return (b'"choices":' + ascii_json(event.choices),)
        if isinstance(event, Finish):
            return (b'"choices":' + ascii_json(event.choices) + self._stored,)
        if isinstance(event, Saved):
            self._stored = b',"sluice":' + ascii_json(told) if (told := saved_json(event)) else b""
        if isinstance(event, Usage) and self._include_usage:
            return (b'"choices":[],"usage":' + ascii_json(event.usage),)
        return ()

    def closing(self) -> Sequence[bytes]:
        """The end of a good answer."""
        return (DONE,)

    def failure(self, error: SluiceError) -> Sequence[bytes]:
        """The error, as the last frame."""
        return (b"data: " + ascii_json(error.report(self._correlation_id).to_openai()) + b"\n\n",)


def saved_json(saved: Saved) -> dict[str, Any]:
    """Sluice's addition to OpenAI's objects: where the answer was stored, if it was to be, and an onboarding's progress."""
    where = {"conversation_id": saved.conversation_id, "persisted": saved.persisted}
    return {**(where if saved.conversation_id is not None else {}), **(saved.progress or {})}
