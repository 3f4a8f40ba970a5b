"""A turn on its way: its events to the session and to its widget, and what is known of its stream."""

from dataclasses import dataclass, field

from textual.worker import Worker

from sluice_tui.reconnecting import AnsweredAtOnce, Cleared, Connected, Progress, Reconnecting
from sluice_tui.safety import inert
from sluice_tui.session import Turn
from sluice_tui.stream import Addition, Stored, reasoning_of
from sluice_tui.widgets.answer import Answer
from sluice_wire.events import Delta, Event, Finish, Usage


@dataclass(slots=True)
class Running:
    """The turn in progress. `now` is the clock that the turn was begun by."""

    turn: Turn
    widget: Answer
    worker: Worker[None] | None = None
    asked: bool = False
    """Whether the server may be at work on it."""
    unwanted: bool = False
    """Whether the user has stopped it, and only the server does not know yet."""
    _wait: Reconnecting | None = None
    _due: float = field(default=0.0)

    def take(self, event: Event | Progress | Addition, now: float) -> None:
        """Something arrived, or happened to the connection."""
        if isinstance(event, Reconnecting):
            self._wait, self._due = event, now + event.wait_seconds
            self.show_wait(now)
            return
        if self._wait:
            self._wait = None
            self.widget.tell("")
        match event:
            case Connected():
                self.turn.stream_id, self.turn.correlation_id = event.stream_id, event.correlation_id
            case Cleared():
                self.turn.clear()
                self.widget.clear()
            case AnsweredAtOnce():
                self.widget.tell("This server does not stream: waiting for the whole answer.")
            case Stored():
                self.turn.persisted = event.persisted
            case Delta() | Finish() | Usage():
                self._take_text(event, now)

    def _take_text(self, event: Event, now: float) -> None:
        if isinstance(event, Delta) and (thought := reasoning_of(event)):
            self.widget.reason(inert(thought))
        if text := self.turn.take(event, now):
            self.widget.append(inert(text))

    def show_wait(self, now: float) -> str:
        """How long it is to the next attempt, as text for the status line too; "" while the connection stands."""
        if not self._wait:
            return ""
        told = self._wait.told(self._due - now)
        self.widget.tell(f"The connection is lost: {told}")
        return told
