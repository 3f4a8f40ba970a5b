"""The generations of this process: started here, found here, kept for a while after their end, their memory bounded."""

import asyncio
import logging

from sluice_service.generation.base import Envelope, Log
from sluice_service.generation.claims import Claims
from sluice_service.generation.generation import Generation
from sluice_service.generation.memory_log import MemoryLog
from sluice_service.generation.pump import Pump
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

RETRY_AFTER_SECONDS = 1.0


class Registry:
    """Generations by stream id, live ones and ended ones that can still be resumed.

    Changed on the pump's thread, but for the entry that `start` makes; looking up is one atomic read on any thread.
    `max_log_bytes` bounds all logs together: the oldest ended one goes first, and with only live ones left a new
    generation is refused.
    """

    def __init__(self, pump: Pump, max_log_bytes: int, resume_ttl_seconds: float) -> None:
        self.claims = Claims()
        self._pump = pump
        self._max_log_bytes = max_log_bytes
        self._resume_ttl_seconds = resume_ttl_seconds
        self._log_bytes = 0
        self._kept: dict[str, Generation] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}

    def new_log(self, envelope: Envelope) -> Log:
        """A log whose memory is counted here."""
        return MemoryLog(envelope, self._grew)

    def start(self, generation: Generation) -> None:
        """Begin a generation. Raises `over_capacity` when live logs hold all the memory there is for logs."""
        if self._log_bytes >= self._max_log_bytes and not self._ended:
            raise SluiceError("over_capacity", retry_after_seconds=RETRY_AFTER_SECONDS)
        self._kept[generation.stream_id] = generation
        self._pump.post(generation.start, self._end)

    def find(self, stream_id: str, owner: str) -> Generation:
        """The caller's own generation. Raises `not_found` for any other, so that ids cannot be probed."""
        generation = self._kept.get(stream_id)
        if generation is None or generation.owner != owner or generation.heartbeat is None:
            raise SluiceError("not_found", path=f"/v1/streams/{stream_id}")
        return generation

    def abort_all(self, error: SluiceError) -> None:
        """End every live generation with this error, on the pump's thread."""
        for generation in list(self._kept.values()):
            generation.abort(error)

    def _grew(self, size_bytes: int) -> None:
        self._log_bytes += size_bytes
        while self._log_bytes > self._max_log_bytes and self._ended:
            self._drop(next(iter(self._ended)), "memory_needed")

    def _end(self, generation: Generation) -> None:
        loop = asyncio.get_running_loop()
        delay = self._resume_ttl_seconds if generation.kept else 0.0
        stream_id = generation.stream_id
        self._ended[stream_id] = loop.call_later(delay, self._drop, stream_id, "expired")

    def _drop(self, stream_id: str, reason: str) -> None:
        self._ended.pop(stream_id).cancel()
        generation = self._kept.pop(stream_id)
        self._log_bytes -= generation.log.size_bytes
        if generation.claim is not None:
            self.claims.release(generation.claim, generation)
        entries.write(
            entries.STREAM_CLEANUP,
            "The stream's log was released.",
            severity=logging.DEBUG if reason == "expired" else logging.INFO,
            reason=reason,
            stream_id=stream_id,
            log_bytes=generation.log.size_bytes,
        )
