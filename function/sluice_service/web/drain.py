"""The end of the process: what is open ends with a whole frame, what comes is refused, then the server may stop.

Cloud Run sends SIGTERM and kills ten seconds later; the four bounds and gunicorn's own two seconds stay below nine.
"""

import threading
import time
from collections.abc import Callable, Sequence

from sluice_service.chat.saving import Saver
from sluice_service.generation.pump import Pump
from sluice_service.generation.registry import Registry
from sluice_service.telemetry import entries
from sluice_service.web.lifecycle import Lifecycle
from sluice_wire.errors import SluiceError

FINISH_SECONDS = 4.0
"""How long answers may still finish by themselves."""

TELL_SECONDS = 1.0
"""How long readers may take to hear that theirs will not."""

HANG_UP_SECONDS = 0.5
"""How long the threads of connections that were cut may take to notice."""


FLUSH_SECONDS = 1.2
"""How long stores may take to get what is still unsaved."""

POLL_SECONDS = 0.02


class Drain:
    """Ends the service's work once. `flushes` save what is not saved yet, each within a bounded time."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        registry: Registry,
        pump: Pump,
        saver: Saver,
        flushes: Sequence[Callable[[], object]],
    ) -> None:
        self._lifecycle = lifecycle
        self._registry = registry
        self._pump = pump
        self._saver = saver
        self._flushes = flushes
        # Taken by the only beginning, and never given back.
        self._begun = threading.Lock()

    def begin(self, then: Callable[[], object]) -> None:
        """Refuse new requests from now on, and call `then` from another thread when all has ended.

        For a signal handler: it does not block, and only its first call counts.
        """
        if self._begun.acquire(blocking=False):
            self._lifecycle.refuse_new()
            threading.Thread(target=self._run, args=(then,), name="drain").start()

    def _run(self, then: Callable[[], object]) -> None:
        lifecycle, registry = self._lifecycle, self._registry
        open_requests, live_streams = lifecycle.open_requests, registry.live
        entries.write("draining", "New requests are refused.", open_requests=open_requests, live_streams=live_streams)
        if not self._is_quiet_within(FINISH_SECONDS):
            error = SluiceError("server_draining", retry_after_seconds=1, resumable=registry.outlives_the_process)
            self._pump.post(self._saver.hurry)
            self._pump.post(registry.abort_all, error)
            if not self._is_quiet_within(TELL_SECONDS):
                lifecycle.hang_up()
                lifecycle.wait_until_idle(HANG_UP_SECONDS)
        self._flush()
        entries.write("drained", "The server may stop.", open_requests=lifecycle.open_requests, live_streams=registry.live)
        then()

    def _is_quiet_within(self, seconds: float) -> bool:
        """Whether requests and streams have ended by then, those that nobody reads here included."""
        deadline = time.monotonic() + seconds
        idle = self._lifecycle.wait_until_idle(seconds)
        while self._registry.live and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return idle and not self._registry.live

    def _flush(self) -> None:
        """All at once, so that one store that hangs takes no other one's time."""
        flushing = [threading.Thread(target=flush, daemon=True) for flush in (self._registry.flush, *self._flushes)]
        for thread in flushing:
            thread.start()
        deadline = time.monotonic() + FLUSH_SECONDS
        for thread in flushing:
            thread.join(max(0.0, deadline - time.monotonic()))
