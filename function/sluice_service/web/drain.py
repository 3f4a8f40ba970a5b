"""The end of the process: what is open ends with a whole frame, what comes is refused, then the server may stop.

Cloud Run sends SIGTERM and kills ten seconds later; the three bounds and gunicorn's own two seconds stay below nine.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from sluice_service.generation.pump import Pump
from sluice_service.generation.registry import Registry
from sluice_service.telemetry import entries
from sluice_service.web.lifecycle import Lifecycle
from sluice_wire.errors import SluiceError

FINISH_SECONDS = 4.5
"""How long answers may still finish by themselves."""

TELL_SECONDS = 1.0
"""How long readers may take to hear that theirs will not."""

HANG_UP_SECONDS = 0.5
"""How long the threads of connections that were cut may take to notice."""


class Drain:
    """Ends the service's work once. `flushes` save what is not saved yet, each within a bounded time."""

    def __init__(
        self, lifecycle: Lifecycle, registry: Registry, pump: Pump, flushes: Sequence[Callable[[], object]]
    ) -> None:
        self._lifecycle = lifecycle
        self._flushes = flushes
        self._registry = registry
        self._pump = pump
        # Guards the only beginning.
        self._lock = threading.Lock()
        self._begun = False

    def begin(self, then: Callable[[], object]) -> None:
        """Refuse new requests from now on, and call `then` from another thread when the open ones have ended.

        For a signal handler: it does not block, and only its first call counts.
        """
        with self._lock:
            if self._begun:
                return
            self._begun = True
        self._lifecycle.refuse_new()
        threading.Thread(target=self._run, args=(then,), name="drain").start()

    def _run(self, then: Callable[[], object]) -> None:
        lifecycle = self._lifecycle
        open_requests = lifecycle.open_requests
        entries.write("draining", "SIGTERM: new requests are refused.", severity=logging.INFO, open_requests=open_requests)
        if not lifecycle.wait_until_idle(FINISH_SECONDS):
            resumable = self._registry.outlives_the_process
            error = SluiceError("server_draining", retry_after_seconds=1, resumable=resumable)
            self._pump.post(self._registry.abort_all, error)
            if not lifecycle.wait_until_idle(TELL_SECONDS):
                lifecycle.hang_up()
                lifecycle.wait_until_idle(HANG_UP_SECONDS)
        for flush in (self._registry.flush, *self._flushes):
            flush()
        entries.write("drained", "The server may stop.", open_requests=lifecycle.open_requests)
        then()
