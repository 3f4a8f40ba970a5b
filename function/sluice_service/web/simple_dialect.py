"""The simple API's stream: one JSON object a frame, numbered, the last one with everything that is known at the end.

Deliberate: every frame has an `id`, so a heartbeat is a comment without a blank line, on which clients would dispatch an
empty event.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sluice_service.generation.base import Envelope
from sluice_service.generation.record import Saved
from sluice_service.web.ascii_json import ascii_json
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Event, Usage
from sluice_wire.frames import HEARTBEAT_LINE


class SimpleDialect:
    """`{"content", "sequence", "is_final", "correlation_id"}`; `sequence` is the frame's number, from 1.

    `id_prefix` stands before the number in a frame's `id`; `typed` puts a `type` into every object: `chunk`, `complete` or
    `error`.
    """

    heartbeat: bytes | None = HEARTBEAT_LINE

    def __init__(self, correlation_id: str, *, id_prefix: bytes = b"", typed: bool = False) -> None:
        self._correlation_id = correlation_id
        self._id_prefix = id_prefix
        self._typed = typed
        self._chunk_head = b'\ndata: {"type":"chunk","content":' if typed else b'\ndata: {"content":'
        ended = b',"is_final":false,"correlation_id":' + ascii_json(correlation_id) + b"}\n\n"
        self.envelope = Envelope(prefix=b"id: " + id_prefix, suffix=ended)
        self._sequence = 0
        self._ending = Ending()

    def opening(self) -> Sequence[bytes]:
        """Nothing: the first frame is the first text."""
        return ()

    def encode(self, event: Event | Saved) -> Sequence[bytes]:
        """A frame for text; what belongs to the end is kept for it."""
        if not isinstance(event, Delta):
            self._ending.note(event)
        elif event.text:
            self._sequence += 1
            number = b"%d" % self._sequence
            return (number + self._chunk_head + ascii_json(event.text) + b',"sequence":' + number,)
        return ()

    def closing(self) -> Sequence[bytes]:
        """The last frame."""
        return (self._last("complete", {"content": "", "status": "complete", **self._ending.facts()}),)

    def failure(self, error: SluiceError) -> Sequence[bytes]:
        """The error, as the last frame."""
        return (self._last("error", {**simple_error(error, self._correlation_id), "status": "error"}),)

    def _last(self, kind: str, facts: Mapping[str, Any]) -> bytes:
        # Not counted: `failure` is also asked what it would say, while the stream goes on.
        number = self._sequence + 1
        body = {"sequence": number, "is_final": True, "correlation_id": self._correlation_id, **facts}
        said = ascii_json({"type": kind, **body} if self._typed else body)
        return b"id: " + self._id_prefix + b"%d\ndata: " % number + said + b"\n\n"


class SimpleAnswer:
    """The simple API's plain answer: one JSON object, of the same events."""

    envelope = Envelope()
    heartbeat: bytes | None = None

    def __init__(self, correlation_id: str) -> None:
        self._correlation_id = correlation_id
        self._pieces: list[str] = []
        self._ending = Ending()

    def opening(self) -> Sequence[bytes]:
        """Nothing: there is no body before the end."""
        return ()

    def encode(self, event: Event | Saved) -> Sequence[bytes]:
        """Keep it."""
        if isinstance(event, Delta):
            self._pieces.append(event.text)
        else:
            self._ending.note(event)
        return ()

    def closing(self) -> Sequence[bytes]:
        """The body."""
        body = {
            "content": "".join(self._pieces),
            "correlation_id": self._correlation_id,
            "status": "complete",
            **self._ending.facts(),
        }
        return (ascii_json(body),)

    def failure(self, error: SluiceError) -> Sequence[bytes]:
        """The error's body."""
        return (ascii_json(simple_error(error, self._correlation_id)),)


class Ending:
    """What the last frame of the simple dialects says of the whole answer."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._usage: dict[str, Any] | None = None
        self._saved: Saved | None = None

    def note(self, event: Event | Saved) -> None:
        """Keep what is told at the end."""
        if isinstance(event, Usage):
            self._usage = event.usage
        elif isinstance(event, Saved):
            self._saved = event

    def facts(self) -> dict[str, Any]:
        """`duration_ms, total_tokens, usage, conversation_id, persisted`, and an onboarding agent's progress."""
        saved = self._saved
        facts = {
            "duration_ms": round((time.monotonic() - self._started) * 1000),
            "total_tokens": (self._usage or {}).get("total_tokens"),
            "usage": self._usage,
            "conversation_id": saved.conversation_id if saved else None,
            "persisted": saved.persisted if saved else False,
        }
        return facts if saved is None or saved.progress is None else {**facts, **saved.progress}


def simple_error(error: SluiceError, correlation_id: str) -> dict[str, Any]:
    """`{"error", "detail", "correlation_id", "code"}`: what happened; why, and what to do."""
    report = error.report(correlation_id)
    detail = f"{report.why} {report.action}"
    return {"error": report.what, "detail": detail, "correlation_id": correlation_id, "code": report.code}
