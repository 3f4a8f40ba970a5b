"""One call to a provider, and everything it told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice_service.providers.base import ModelCall, Provider
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Event, Finish, Usage

MESSAGES: Sequence[dict[str, Any]] = ({"role": "user", "content": "Say hello"},)


@dataclass
class Told:
    """What a call yielded, in order, and the error that ended it."""

    batches: list[Sequence[Event]] = field(default_factory=list)
    error: SluiceError | None = None

    def take(self, batch: Sequence[Event]) -> None:
        if batch:
            self.batches.append(batch)

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for event in self.events if isinstance(event, Delta) for choice in event.choices]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def reasons(self) -> list[str]:
        return [reason for event in self.events if isinstance(event, Finish) for reason in event.reasons]

    @property
    def usage(self) -> dict[str, Any] | None:
        """The last one: Gemini and vLLM send a running count."""
        return next((event.usage for event in reversed(self.events) if isinstance(event, Usage)), None)

    @property
    def code(self) -> str | None:
        return self.error.code if self.error else None


def a_call(messages: Sequence[dict[str, Any]] = MESSAGES, *, stream: bool = True, **parameters: Any) -> ModelCall:
    return ModelCall("up-1", messages, parameters, upstream_stream=stream)


async def ask(provider: Provider, call: ModelCall | None = None) -> Told:
    told = Told()
    try:
        await provider.relay(call or a_call(), told.take)
    except SluiceError as error:
        told.error = error
    return told
