"""Another instance's stream, followed through Redis into a log of this one."""

import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

from sluice_service.generation.base import Envelope, Log
from sluice_service.generation.record import Record
from sluice_service.generation.redis_keys import frames_key, unpacked
from sluice_service.telemetry.errors import write_error
from sluice_wire.errors import ERRORS, SluiceError


class Mirror:
    """A Stream whose frames come out of Redis. Changed on the pump's thread only.

    `ask` sends a word to the producing instance: `cancelled`, or `reading` while somebody here reads.
    """

    claim = None

    def __init__(
        self, stream_id: str, about: Mapping[bytes, bytes], new_log: Callable[[Envelope], Log], ask: Callable[..., object]
    ) -> None:
        self.stream_id = stream_id
        self.owner = about[b"owner"].decode("utf-8", "surrogatepass")
        self.instance = about[b"instance"].decode()
        self.heartbeat = about[b"heartbeat"] or None
        self.log = new_log(Envelope(about[b"prefix"], about[b"suffix"]))
        self.record = Record()
        self.opened = False
        self.readers = 0
        self.last_entry = "0-0"
        self.used = self.seen = time.monotonic()
        self._lost = unpacked(about[b"lost"])
        self._ask = ask
        self._context = copy_context()

    @property
    def key(self) -> str:
        """Where its frames stand."""
        return frames_key(self.stream_id)

    @property
    def failed(self) -> bool:
        """Whether it has failed, as far as is known here."""
        return self.record.error is not None

    def attach(self) -> None:
        """One reader more."""
        self.readers += 1

    def detach(self) -> None:
        """One reader less."""
        self.readers -= 1
        self.used = time.monotonic()

    def abort(self, error: SluiceError) -> None:
        """Have the producing instance end it; the end comes back through the log."""
        if not self.log.ended:
            self._ask(self, error.code)

    def take(self, entries: list[tuple[bytes, Mapping[bytes, Any]]]) -> None:
        """Append what stands in these entries of the Redis Stream and is new: two readings may overlap."""
        for entry, fields in entries:
            if self.log.ended or _place(entry.decode()) <= _place(self.last_entry):
                continue
            self.last_entry = entry.decode()
            if b"payloads" not in fields:
                continue
            self.opened = fields[b"opened"] == b"1"
            self._lost = unpacked(fields[b"lost"])
            self.log.append(unpacked(fields[b"payloads"]))
            if b"closing" in fields:
                code = fields[b"error"].decode()
                self.record.error = SluiceError(code if code in ERRORS else "internal_error") if code else None
                self.log.end(unpacked(fields[b"closing"]))

    def lose(self) -> None:
        """End it: its producer is gone, or Redis has lost it."""
        if not self.log.ended:
            self.record.error = SluiceError("producer_lost")
            # Nobody else will: in the context of the request that first asked for it here.
            self._context.run(write_error, self.record.error)
            self.log.end(self._lost)


def _place(entry: str) -> tuple[int, int]:
    frame, _, kind = entry.partition("-")
    return int(frame), int(kind)
