"""The seam between the engine and whatever answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from sluice_wire.events import Event


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call to a model, ready to send.

    `messages` are OpenAI's, instructions included, passed on unchanged. `parameters` are the rest of the body
    (`temperature`, `max_tokens`, `tools`, …). With `upstream_stream` false the whole text is asked for at once and the
    provider cuts it into pieces.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    upstream_stream: bool = True

    @property
    def choices(self) -> int:
        """How many answers are asked for at once (`n`)."""
        wanted = self.parameters.get("n")
        return wanted if isinstance(wanted, int) else 1


KeySource: TypeAlias = Callable[[], Awaitable[str]]
"""Gives the key for one call; raises SluiceError when it cannot."""


Take: TypeAlias = Callable[[Sequence[Event]], None]
"""Is given events as they arrive, one batch for each piece that arrived together; it returns at once."""


class Provider(Protocol):
    """Something that answers. Safe for any number of calls at once, all on the pump's event loop."""

    async def relay(self, call: ModelCall, take: Take) -> None:
        """Make a call and hand over what it tells, until upstream ends; whether it had finished is the engine's to tell.

        `take` is called on the pump's thread, first with no event at all when upstream has accepted the call. Whenever
        this returns or raises, also by cancellation, the upstream connection is closed or ready for another call. Raises
        what `take` raises, and SluiceError with an `upstream_*` code (or `context_length_exceeded`, `content_filtered`);
        `retry_after_seconds` is set where upstream gave it. What upstream said is logged, escaped, and never part of the
        error.
        """
        ...

    async def aclose(self) -> None:
        """Close pooled connections; no call is open any more."""
        ...
