"""What is known of one generation: for the log entry at its end, for storing its answer, for whoever waits."""

import io
import time
from dataclasses import dataclass, field
from typing import Any

from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Finish


@dataclass(frozen=True, slots=True)
class Saved:
    """Where an answer was stored, told with its end. `progress` is an onboarding agent's: `step`, `total`, `done`."""

    conversation_id: str | None
    persisted: bool
    progress: dict[str, Any] | None = None


@dataclass(slots=True)
class Record:
    """Written on the pump's thread alone; times are seconds of `time.monotonic()`."""

    started: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    last_event: float | None = None
    ended: float | None = None
    chunks: int = 0
    received_bytes: int = 0
    max_gap_seconds: float = 0.0
    choices_begun: set[int] = field(default_factory=set)
    finishes: list[Finish] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    error: SluiceError | None = None
    saved: Saved | None = None
    """Where it was stored; None for one that was not whole."""
    _text: io.StringIO = field(default_factory=io.StringIO)

    @property
    def began(self) -> bool:
        """Whether the model has said anything: from then on nothing is retried."""
        return self.first_token is not None

    @property
    def finished(self) -> bool:
        """Whether every choice that the model began has its finish reason."""
        ended = {choice.get("index", 0) for finish in self.finishes for choice in finish.choices}
        return bool(ended) and self.choices_begun <= ended

    @property
    def finish_reasons(self) -> list[str]:
        """Every choice's finish reason, so far."""
        return [reason for finish in self.finishes for reason in finish.reasons]

    def milliseconds_to(self, moment: float | None) -> float | None:
        """From the start to a moment of `time.monotonic()`; None for one that never came."""
        return None if moment is None else round((moment - self.started) * 1000, 1)

    @property
    def text(self) -> str:
        """The answer's text (choice 0), so far."""
        return self._text.getvalue()

    def finish(self, event: Finish) -> None:
        """Keep a choice's end; the first one counts when it is told again."""
        ended = {choice.get("index", 0) for finish in self.finishes for choice in finish.choices}
        news = [choice for choice in event.choices if choice.get("index", 0) not in ended]
        if news:
            self.finishes.append(Finish(news))

    def forget_attempt(self) -> None:
        """Another upstream is asked: what the one before said of an end or of usage is not part of the answer."""
        self.finishes.clear()
        self.usage = None

    def note(self, delta: Delta) -> None:
        """Count one more piece of the answer."""
        now = time.monotonic()
        if self.last_event is None:
            self.first_token = now
        elif now - self.last_event > self.max_gap_seconds:
            self.max_gap_seconds = now - self.last_event
        self.last_event = now
        self.chunks += 1
        self.received_bytes += delta.size_bytes
        for choice in delta.choices:
            self.choices_begun.add(choice.get("index", 0))
        self._text.write(delta.text)
