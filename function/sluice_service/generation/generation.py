"""One model call, from the request to the last frame."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from sluice_service.generation.attempts import Target, relay_first_that_answers
from sluice_service.generation.base import Dialect, Keeper, Log
from sluice_service.generation.claims import Claim
from sluice_service.generation.clocks import Clocks, Watchdog
from sluice_service.generation.record import Record, Saved
from sluice_service.telemetry import entries
from sluice_service.telemetry.errors import write_error
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Event, Finish, Usage

TAIL_SECONDS = 2.0
"""How long to wait for usage after the model has finished; the answer itself is whole by then."""


class State(StrEnum):
    """Where a generation stands."""

    CONNECTING = "connecting"
    WAITING = "waiting"
    STREAMING = "streaming"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a generation needs to know from the start.

    `owner` is the principal's user. `grace_seconds` is how long it goes on without any reader; None means that it cannot
    be resumed, and so ends with its reader.
    """

    stream_id: str
    owner: str
    targets: Sequence[Target]
    clocks: Clocks
    max_bytes: int
    grace_seconds: float | None
    claim: Claim | None = None
    keeper: Keeper | None = None
    request_bytes: int = 0
    """About how much memory the request takes, which is held until the end."""
    release: Callable[[], object] | None = None
    """Called when it has ended, just before its readers can know."""


class Generation:
    """Runs on the pump's thread, which is the only one to change it; other threads read `state`, `record` and `log`."""

    def __init__(self, plan: Plan, dialect: Dialect, log: Log) -> None:
        self.stream_id = plan.stream_id
        self.owner = plan.owner
        self.kept = plan.grace_seconds is not None
        self.heartbeat = dialect.heartbeat
        self.envelope = dialect.envelope
        self.state = State.CONNECTING
        self.record = Record()
        self.log = log
        self.claim = plan.claim
        self.request_bytes = plan.request_bytes
        self.text_bytes = 0
        self._plan = plan
        self._dialect = dialect
        self._aborted_by: SluiceError | None = None
        self.opened = False
        self._finishing = False
        self._tail: asyncio.Timeout | None = None
        self._readers = 0
        self._task: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None

    def start(self, on_end: Callable[["Generation"], object]) -> None:
        """Begin, on the pump's thread. `on_end` is called there after the last frame, however it ended."""
        self._task = asyncio.create_task(self._run(), name=self.stream_id)
        self._task.add_done_callback(self._settle)
        self._task.add_done_callback(lambda _: on_end(self))
        if self._aborted_by is not None:
            self._task.cancel()

    def abort(self, error: SluiceError) -> None:
        """End it with this error, on the pump's thread; the upstream connection is closed first. No-op after the end."""
        if self._finishing:
            if self._tail is not None:
                self._tail.reschedule(asyncio.get_running_loop().time())
        elif self._aborted_by is None and not self.log.ended:
            self._aborted_by = error
            if self._task is not None:
                self._task.cancel()

    def closing_frames(self, error: SluiceError) -> Sequence[bytes]:
        """The frames that would end the stream with this error."""
        return self._dialect.failure(error)

    def attach(self) -> None:
        """One reader more, on the pump's thread."""
        self._readers += 1
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def detach(self) -> None:
        """One reader less, on the pump's thread; with the last one the grace begins."""
        self._readers -= 1
        if self._readers == 0 and not self.log.ended:
            grace = self._plan.grace_seconds or 0.0
            self._grace = asyncio.get_running_loop().call_later(grace, self.abort, SluiceError("cancelled"))

    @property
    def failed(self) -> bool:
        """Whether it has failed, or is about to, having been aborted."""
        return self._aborted_by is not None or self.record.error is not None

    @property
    def departed(self) -> bool:
        """Whether it goes on for nobody, for the time of its grace."""
        return self._grace is not None and self._aborted_by is None and not self.log.ended

    def linger(self) -> None:
        """Somebody reads it on another instance: let the grace begin anew."""
        self.attach()
        self.detach()

    async def _run(self) -> None:
        watchdog = Watchdog(self._plan.clocks, self.abort)
        try:
            await relay_first_that_answers(
                self._plan.targets,
                relay=lambda target: self._relay(target, watchdog),
                began=lambda: self.record.began,
                budget_seconds=lambda: watchdog.first_token_budget_seconds,
            )
        finally:
            watchdog.stop()
        await self._finish()

    async def _relay(self, target: Target, watchdog: Watchdog) -> None:
        self.state = State.CONNECTING
        self.record.forget_attempt()
        take = partial(self._take, watchdog=watchdog, choices=target.call.choices)
        try:
            async with asyncio.timeout(None) as self._tail:
                await target.provider.relay(target.call, take)
        except (SluiceError, TimeoutError):
            # Once the answer is whole, a tail that fails or hangs costs the usage alone.
            if not self._finishing:
                raise
        finally:
            self._tail = None
        self._require_whole()

    def _take(self, batch: Sequence[Event], *, watchdog: Watchdog, choices: int) -> None:
        payloads: list[bytes] = []
        for event in batch:
            if isinstance(event, Delta):
                self.record.note(event)
                payloads.extend(self._dialect.encode(event))
            elif isinstance(event, Finish):
                self.record.finish(event)
            elif isinstance(event, Usage):
                self.record.usage = event.usage
        if self.record.began or self.record.finishes:
            self._append(payloads)
        elif not batch:
            self.state = State.WAITING
        if self._finishing:
            return
        if self.opened:
            watchdog.heard()
        if self.record.received_bytes > self._plan.max_bytes:
            raise SluiceError("output_too_large", limit_bytes=self._plan.max_bytes)
        if self.record.finishes and len(self.record.finish_reasons) >= choices:
            self._require_whole()
            self._await_tail(watchdog)

    def _await_tail(self, watchdog: Watchdog) -> None:
        """The answer is whole: from now on no clock and no departure can undo it."""
        watchdog.stop()
        self._finishing = True
        if self._tail is not None:
            self._tail.reschedule(asyncio.get_running_loop().time() + TAIL_SECONDS)

    def _require_whole(self) -> None:
        if not self.record.finished:
            raise SluiceError("upstream_truncated")

    def _append(self, payloads: Sequence[bytes]) -> None:
        if not self.opened:
            self.opened = True
            self.state = State.STREAMING
            payloads = [*self._dialect.opening(), *payloads]
        self.log.append(payloads)
        if entries.is_debug():
            entries.write(entries.CHUNK_SENT, "", severity=logging.DEBUG, sequence=self.log.count)

    async def _finish(self) -> None:
        record = self.record
        told: list[Event | Saved] = [*record.finishes]
        if record.usage is not None:
            told.append(Usage(record.usage))
        if self._plan.keeper is not None:
            record.saved = await self._plan.keeper.finished(record)
            told.insert(0, record.saved)
        self.log.append([payload for event in told for payload in self._dialect.encode(event)])
        record.ended = time.monotonic()
        self.state = State.FINISHED
        self._end(self._dialect.closing())

    def _settle(self, task: asyncio.Task[None]) -> None:
        """Turn whatever ended the task into the end of the log: the one place where a generation fails."""
        if task.cancelled():
            self._fail(self._aborted_by or SluiceError("cancelled"))
        elif (error := task.exception()) is not None:
            known = error if isinstance(error, SluiceError) else SluiceError("internal_error")
            self._fail(known, cause=error)

    def _fail(self, error: SluiceError, cause: BaseException | None = None) -> None:
        self.record.error = error
        self.record.ended = time.monotonic()
        self.state = State.CANCELLED if error.code == "cancelled" else State.FAILED
        if error.code != "cancelled":
            write_error(error, cause)
        if self._plan.keeper is not None and self.record.began:
            self._plan.keeper.interrupted(self.record)
        self._end(self.closing_frames(error))

    def _end(self, frames: Sequence[bytes]) -> None:
        if self._grace is not None:
            self._grace.cancel()
        if self._plan.release is not None:
            self._plan.release()
        # It may be kept for its readers for a long time; the request is not.
        self.text_bytes = len(self.record.text.encode("utf-8", "surrogatepass"))
        self._plan = replace(self._plan, targets=(), keeper=None, release=None)
        self.log.end(frames)
