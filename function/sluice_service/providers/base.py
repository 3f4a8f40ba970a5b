"""The seam between the engine and whatever answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
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


class Provider(Protocol):
    """Something that answers. Safe for any number of calls at once, all on the pump's event loop."""

    def stream(self, call: ModelCall) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """Open a call; what it yields are batches of events, one batch for each piece that arrived together.

        Entering sends the request and waits for the upstream's status line. Leaving the context, also by cancellation,
        closes the upstream connection before it returns. The iterator ends when upstream ends, finished or not: telling
        the two apart is the engine's part. Raises SluiceError with an `upstream_*` code (or `context_length_exceeded`,
        `content_filtered`), on entering and while iterating; `retry_after_seconds` is set where upstream gave it. What
        upstream said is logged, escaped, and never part of the error.
        """
        ...

    async def aclose(self) -> None:
        """Close pooled connections; no call is open any more."""
        ...
