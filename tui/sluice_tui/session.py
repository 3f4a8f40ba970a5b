"""A conversation as the terminal knows it, for any face. No screen, no network; time comes in as an argument.

A turn is a question and its answer: `waiting → streaming → finished | failed | cancelled`. Whatever becomes of the
answer, the question and the text that did arrive stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sluice_wire.errors import ErrorReport
from sluice_wire.events import Delta, Event, Finish, Usage

MAX_TOKENS = 2**53
"""What a server states beyond this is no count of tokens."""

CHARACTERS_PER_TOKEN = 4
"""About, in most languages: where nobody has counted."""

MIN_SPAN_SECONDS = 0.05
"""An answer that came faster has no pace worth telling."""


class TurnState(StrEnum):
    """Where a turn stands."""

    WAITING = "waiting"
    STREAMING = "streaming"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Measures:
    """How a turn went so far. `tokens` is a count of chunks until the server has stated its usage (`tokens_exact`)."""

    first_token_ms: float | None
    tokens_per_second: float | None
    tokens: int
    tokens_exact: bool
    elapsed_seconds: float


class Busy(Exception):
    """A turn is in progress; one is sent at a time."""


@dataclass(slots=True, eq=False, repr=False)
class Turn:
    """A question and its answer. `now` is a monotonic clock's seconds, the same clock in every call.

    Two turns may say the same and are two; what they say is in no traceback.
    """

    question: str
    started_at: float
    state: TurnState = TurnState.WAITING
    agent: str = ""
    """What the one who answers is called."""
    key: str = ""
    """What the server knows the request by: asked again under it, a failed answer takes the place of the first."""
    stream_id: str = ""
    correlation_id: str = ""
    report: ErrorReport | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    persisted: bool | None = None
    """Whether the server has stored the answer; None where it was not asked to, or has not said."""
    _parts: list[str] = field(default_factory=list)
    _chunks: int = 0
    _first_at: float | None = None
    _last_at: float = 0.0
    _ended_at: float | None = None

    @classmethod
    def stored(
        cls, question: str, text: str, state: TurnState, first_token_ms: float | None = None, total_ms: float | None = None
    ) -> "Turn":
        """A turn of the past, with the server's own times."""
        turn = cls(question, 0.0, state)
        turn._parts, turn._chunks = [text], -(-len(text) // CHARACTERS_PER_TOKEN)
        turn._first_at = None if first_token_ms is None else first_token_ms / 1000
        turn._last_at = turn._ended_at = (total_ms or 0.0) / 1000
        return turn

    @property
    def text(self) -> str:
        """The answer so far, exactly as the model sent it."""
        return "".join(self._parts)

    @property
    def active(self) -> bool:
        """Whether the answer may still grow."""
        return self.state in (TurnState.WAITING, TurnState.STREAMING)

    def sent(self, now: float) -> None:
        """The question leaves only now: what came before is not the server's time."""
        self.started_at = now

    def take(self, event: Event, now: float) -> str:
        """Add an event of the stream; the text that it adds to the answer, "" for most kinds."""
        match event:
            case Delta():
                self._count(now)
                self._parts.append(event.text)
                return event.text
            case Finish():
                self.finish_reason = event.reasons[0]
            case Usage():
                self.usage = event.usage
        return ""

    def clear(self) -> None:
        """The answer begins anew: what arrived is void."""
        self._parts.clear()
        self.state, self.finish_reason, self.usage = TurnState.WAITING, None, {}
        self._chunks, self._first_at = 0, None

    def finish(self, now: float) -> None:
        """The model has said that the answer is whole."""
        self._end(TurnState.FINISHED, now)

    def fail(self, report: ErrorReport, now: float) -> None:
        """The answer will not be whole; what arrived is kept."""
        self.report = report
        self._end(TurnState.FAILED, now)

    def cancel(self, now: float) -> None:
        """The user stopped it; what arrived is kept."""
        self._end(TurnState.CANCELLED, now)

    def measures(self, now: float) -> Measures:
        """Times and counts, up to the end or to now."""
        stated = self.usage.get("completion_tokens")
        exact = isinstance(stated, int) and not isinstance(stated, bool) and 0 <= stated <= MAX_TOKENS
        tokens = int(stated) if exact and stated is not None else self._chunks
        return Measures(
            first_token_ms=None if self._first_at is None else (self._first_at - self.started_at) * 1000,
            tokens_per_second=self._rate(tokens),
            tokens=tokens,
            tokens_exact=exact,
            elapsed_seconds=(now if self._ended_at is None else self._ended_at) - self.started_at,
        )

    def _count(self, now: float) -> None:
        self.state = TurnState.STREAMING
        self._chunks += 1
        self._last_at = now
        if self._first_at is None:
            self._first_at = now

    def _rate(self, tokens: int) -> float | None:
        """Over the intervals between chunks: the wait for the first one is told by itself."""
        span = 0.0 if self._first_at is None else self._last_at - self._first_at
        return tokens * (self._chunks - 1) / self._chunks / span if span >= MIN_SPAN_SECONDS else None

    def _end(self, state: TurnState, now: float) -> None:
        self.state = state
        self._ended_at = now


class Session:
    """The turns of one conversation, oldest first. `id` is what a server that stores it knows it by."""

    def __init__(self, id: str = "", title: str = "", turns: Sequence[Turn] = ()) -> None:
        self.id = id
        self.title = title
        self.turns = list(turns)

    @property
    def active(self) -> Turn | None:
        """The turn in progress."""
        return self.turns[-1] if self.turns and self.turns[-1].active else None

    def begin(self, question: str, now: float) -> Turn:
        """Start a turn. Raises Busy while another is in progress."""
        if self.active:
            raise Busy
        self.turns.append(Turn(question, now))
        return self.turns[-1]

    def again(self, now: float) -> Turn:
        """Ask the last question once more, in place of its failed or cancelled answer. Raises Busy."""
        if self.active:
            raise Busy
        before = self.turns.pop()
        turn = self.begin(before.question, now)
        turn.agent, turn.key = before.agent, before.key
        return turn

    def messages(self) -> list[dict[str, str]]:
        """The conversation as OpenAI's messages: every question, and the answers that are whole."""
        messages = []
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.question})
            if turn.state is TurnState.FINISHED and turn.text:
                messages.append({"role": "assistant", "content": turn.text})
        return messages

    def tokens(self, now: float) -> int:
        """Of all answers together, as far as they are known."""
        return sum(turn.measures(now).tokens for turn in self.turns)
