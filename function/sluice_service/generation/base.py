"""The seams of the engine: what a log is, and what turns events into frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sluice_service.generation.record import Record, Saved
from sluice_wire.errors import SluiceError
from sluice_wire.events import Event


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every frame of a stream shares, kept once: a frame is `prefix + payload + suffix`."""

    prefix: bytes = b""
    suffix: bytes = b""

    def wrap(self, payloads: Sequence[bytes]) -> bytes:
        """The frames of all payloads, joined."""
        return self.prefix + (self.suffix + self.prefix).join(payloads) + self.suffix if payloads else b""


class Dialect(Protocol):
    """Turns one generation's events into frames, each exactly once, on the pump's thread. May keep state."""

    envelope: Envelope
    """Shared by the payloads of `opening` and `encode`."""

    @property
    def heartbeat(self) -> bytes | None:
        """What a reader is sent while there is nothing else; None for an answer that is told whole, and so is no stream."""
        ...

    def opening(self) -> Sequence[bytes]:
        """Payloads to send when the model begins to answer."""
        ...

    def encode(self, event: Event | Saved) -> Sequence[bytes]:
        """The event's payloads, often one, sometimes none."""
        ...

    def closing(self) -> Sequence[bytes]:
        """Whole frames (no envelope) to send after a good end."""
        ...

    def failure(self, error: SluiceError) -> Sequence[bytes]:
        """Whole frames to send when the generation fails after it began."""
        ...


class Keeper(Protocol):
    """Stores an answer, for the generation that made it. Called on the pump's thread; stores elsewhere."""

    async def finished(self, record: Record) -> Saved:
        """Store the whole answer. Takes a bounded time and never fails: what could not be saved by then says so."""
        ...

    def interrupted(self, record: Record) -> None:
        """Store what there is of an answer that will not be finished, in the background."""
        ...


class Stream(Protocol):
    """One answer as its readers know it, wherever it is produced.

    `attach`, `detach` and `abort` run on the pump's thread; the rest may be read on any.
    """

    stream_id: str
    owner: str
    heartbeat: bytes | None
    log: "Log"
    record: Record
    opened: bool
    """Whether the model has begun to answer: before that a failure is a status line, from then on a frame."""

    @property
    def failed(self) -> bool:
        """Whether it has failed, or is about to end because it was aborted: nobody new should follow it."""
        ...

    def attach(self) -> None:
        """One reader more."""
        ...

    def detach(self) -> None:
        """One reader less; with the last one the grace begins."""
        ...

    def abort(self, error: SluiceError) -> None:
        """End it with this error. No-op after the end."""
        ...


class Waiter(Protocol):
    """Somebody who wants to know that a log has grown or ended."""

    def wake(self) -> None:
        """May be called from any thread, any number of times; must not block."""
        ...


class Log(Protocol):
    """An append-only sequence of frames, numbered from 1. One writer; readers on any thread."""

    @property
    def count(self) -> int:
        """How many frames there are: the cursor of a reader that has them all."""
        ...

    @property
    def ended(self) -> bool:
        """Whether there will be no more."""
        ...

    @property
    def size_bytes(self) -> int:
        """The memory it takes."""
        ...

    def append(self, payloads: Sequence[bytes]) -> None:
        """Add a frame for each payload and wake the waiters. Writer only."""
        ...

    def end(self, frames: Sequence[bytes]) -> None:
        """Add the last frames, whole ones, and wake the waiters for good. Writer only, once."""
        ...

    def read(self, cursor: int) -> tuple[bytes, int]:
        """The frames after the first `cursor`, joined, and the cursor after them; many at once, but a bounded number."""
        ...

    def raw(self, cursor: int) -> tuple[Sequence[bytes], Sequence[bytes], int]:
        """Everything after the first `cursor` frames, unwrapped: payloads, closing frames, and the cursor after them."""
        ...

    def subscribe(self, waiter: Waiter) -> None:
        """Wake this waiter from now on."""
        ...

    def unsubscribe(self, waiter: Waiter) -> None:
        """Wake it no more."""
        ...
