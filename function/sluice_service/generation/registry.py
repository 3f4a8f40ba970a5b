"""The streams that this process knows: started here, found here, kept for a while after their end, their memory bounded."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeAlias

from sluice_service.generation.base import Envelope, Log, Stream
from sluice_service.generation.claims import Claim, Claims
from sluice_service.generation.generation import Generation
from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_service.generation.sharing import Sharing
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

RETRY_AFTER_SECONDS = 1.0

SHARED_SECONDS = 2.0
"""How long to wait for what another instance has sent to a reader, but not yet shared."""

MakeLog: TypeAlias = Callable[[Envelope, Callable[[int], object]], Log]
"""Makes a log that tells how many bytes it has grown by, each time."""


class Registry:
    """Generations by stream id, live ones and ended ones that can still be resumed.

    Changed on the pump's thread, but for the entry that `start` makes; looking up is one atomic read on any thread.
    `max_log_bytes` bounds all logs together, and what else is held for an answer: the oldest ended one goes first, and
    with only live ones left a new generation is refused. With `share` other instances know these streams, and theirs are
    found here.
    """

    def __init__(self, pump: Pump, make_log: MakeLog, max_log_bytes: int, resume_ttl_seconds: float) -> None:
        self._claims = Claims()
        self._pump = pump
        self._make_log = make_log
        self._max_log_bytes = max_log_bytes
        self._resume_ttl_seconds = resume_ttl_seconds
        self._log_bytes = 0
        self._kept: dict[str, Generation] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}
        self._sharing: Sharing | None = None
        self._draining: SluiceError | None = None

    @property
    def outlives_the_process(self) -> bool:
        """Whether a stream can be resumed when this process is gone."""
        return self._sharing is not None

    def share(self, sharing: Sharing) -> None:
        """Share streams and claims with other instances; once, before the first stream."""
        self._sharing = sharing

    def new_log(self, envelope: Envelope) -> Log:
        """A log whose memory is counted here."""
        return self._make_log(envelope, self._grew)

    def release_log(self, log: Log) -> None:
        """Count its memory no more."""
        self._log_bytes -= log.size_bytes

    def start(self, generation: Generation) -> None:
        """Begin a generation. Raises as `require_room`, and for an id that stands here already: a ticket's other turn."""
        self.require_room()
        if self._kept.setdefault(generation.stream_id, generation) is not generation:
            raise SluiceError("over_capacity", retry_after_seconds=RETRY_AFTER_SECONDS)
        self._pump.post(self._begin, generation)

    def require_room(self) -> None:
        """Raises `over_capacity` when live streams hold all the memory there is; `server_draining` when they are ended."""
        if self._draining is not None:
            raise self._draining
        if self._log_bytes >= self._max_log_bytes and not self._ended:
            raise SluiceError("over_capacity", retry_after_seconds=RETRY_AFTER_SECONDS)

    def claimed_or_started(self, claim: Claim, stream_id: str, start: Callable[[], Stream]) -> Stream:
        """What holds the claim, on any instance; otherwise the stream of this id that `start` returns.

        Raises `idempotency_mismatch`, and what `start` raises, which leaves the key unclaimed.
        """
        sharing = self._sharing
        if sharing is None:
            return self._claims.get_or_start(claim, start)

        def start_unless_elsewhere() -> Stream:
            elsewhere = sharing.claim(claim, stream_id)
            if elsewhere is not None:
                return elsewhere
            try:
                return start()
            except SluiceError:
                sharing.release(claim, stream_id)
                raise

        stream = self._claims.get_or_start(claim, start_unless_elsewhere)
        if stream.stream_id not in self._kept:
            # Another instance's: the claim stands in the shared store, and what mirrors it here is soon dropped.
            self._claims.release(claim, stream)
        return stream

    def find(self, stream_id: str, owner: str, *, patient: bool = True) -> Stream:
        """The caller's own stream. Raises `not_found` for any other, so that ids cannot be probed.

        `patient`: one that another instance may only just have begun is waited for.
        """
        stream: Stream | None = self._kept.get(stream_id)
        if stream is None and self._sharing is not None:
            stream = self._sharing.find(stream_id, owner, patient=patient)
        if stream is None or stream.owner != owner or stream.heartbeat is None:
            raise SluiceError("not_found", path=f"/v1/streams/{stream_id}")
        return stream

    def oldest_departed(self, owner: str) -> Stream | None:
        """The user's stream that has gone on longest without a reader, if there is one."""
        departed = [stream for stream in list(self._kept.values()) if stream.owner == owner and stream.departed]
        return min(departed, key=lambda stream: stream.record.started, default=None)

    def end(self, stream: Stream, error: SluiceError, timeout_seconds: float) -> None:
        """End a stream with this error and wait for its end, for a bounded time. Not for the pump's thread."""
        self._pump.post(stream.abort, error)
        _wait_until(stream, lambda: stream.log.ended, timeout_seconds)

    def hear(self, word: str, stream_id: str) -> None:
        """What another instance says of a stream of this one, on the pump's thread: `cancelled` or `reading`."""
        generation = self._kept.get(stream_id)
        if generation is None:
            return
        if word == "cancelled":
            generation.abort(SluiceError("cancelled"))
        elif word == "reading":
            generation.linger()

    @property
    def live(self) -> int:
        """How many generations have not ended, with or without a reader."""
        return len(self._kept) - len(self._ended)

    def caught_up(self, stream: Stream, cursor: int) -> bool:
        """Whether the stream has reached a cursor; waited for, a little, when it comes from another instance.

        A reader that comes straight from the producing instance may have more than has been shared yet.
        """
        if stream.stream_id not in self._kept and not stream.log.ended and stream.log.count < cursor:
            _wait_until(stream, lambda: stream.log.ended or stream.log.count >= cursor, SHARED_SECONDS)
        return stream.log.count >= cursor

    def abort_all(self, error: SluiceError) -> None:
        """End every live generation with this error, and every further one, on the pump's thread."""
        self._draining = error
        for generation in list(self._kept.values()):
            generation.abort(error)

    def flush(self) -> None:
        """Wait, for a bounded time, until the other instances know how everything ended."""
        if self._sharing is not None:
            self._sharing.flush()

    def _begin(self, generation: Generation) -> None:
        self._grew(generation.request_bytes)
        generation.start(self._end)
        if self._draining is not None:
            generation.abort(self._draining)
        if self._sharing is not None and generation.kept:
            self._sharing.publish(generation)

    def _grew(self, size_bytes: int) -> None:
        self._log_bytes += size_bytes
        while self._log_bytes > self._max_log_bytes and self._ended:
            self._drop(next(iter(self._ended)), "memory_needed")

    def _end(self, generation: Generation) -> None:
        self._grew(generation.text_bytes - generation.request_bytes)
        loop = asyncio.get_running_loop()
        delay = self._resume_ttl_seconds if generation.kept else 0.0
        stream_id = generation.stream_id
        self._ended[stream_id] = loop.call_later(delay, self._drop, stream_id, "expired")

    def _drop(self, stream_id: str, reason: str) -> None:
        self._ended.pop(stream_id).cancel()
        generation = self._kept.pop(stream_id)
        self.release_log(generation.log)
        self._log_bytes -= generation.text_bytes
        if generation.claim is not None:
            self._claims.release(generation.claim, generation)
        entries.write(
            entries.STREAM_CLEANUP,
            "The stream's log was released.",
            severity=logging.DEBUG if reason == "expired" else logging.INFO,
            reason=reason,
            stream_id=stream_id,
            log_bytes=generation.log.size_bytes,
        )


def _wait_until(stream: Stream, reached: Callable[[], bool], timeout_seconds: float) -> None:
    """Wait, on a request's thread, for what only the stream's growth or end can bring."""
    reader = Reader(stream.log, stream.log.count)
    deadline = time.monotonic() + timeout_seconds
    while not reached() and (left := deadline - time.monotonic()) > 0 and reader.wait(left):
        reader.take()
    reader.close()
