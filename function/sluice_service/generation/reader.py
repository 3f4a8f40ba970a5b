"""A reader: one request's place in one log."""

from queue import Empty, SimpleQueue

from sluice_service.generation.base import Log


class Reader:
    """Used by one thread; only `wake` and `depart` may be called from others.

    A SimpleQueue carries the wake-ups because its waiting is one C call; a token too many only costs one empty look.
    """

    def __init__(self, log: Log, cursor: int = 0) -> None:
        self.cursor = cursor
        self.departed = False
        self._log = log
        self._parked = False
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        log.subscribe(self)

    @property
    def at_end(self) -> bool:
        """Whether everything has been taken and nothing will come any more."""
        return self._log.ended and self.cursor >= self._log.count

    def take(self) -> bytes:
        """All frames that are new, joined; b"" when there are none."""
        data, self.cursor = self._log.read(self.cursor)
        return data

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until there is something to take, the log has ended or the client has gone. False after the time-out."""
        self._parked = True
        if not self._something_happened():
            try:
                self._wakeups.get(timeout=max(0.0, timeout_seconds))
            except Empty:
                return self._something_happened()
            finally:
                self._parked = False
        return True

    def wake(self) -> None:
        """Look again. Puts a token only when somebody waits, so that tokens do not pile up."""
        if self._parked:
            self._parked = False
            self._wakeups.put(None)

    def depart(self) -> None:
        """The client has gone: there is nobody to take anything any more."""
        self.departed = True
        self.wake()

    def close(self) -> None:
        """Wake this reader no more."""
        self._log.unsubscribe(self)

    def _something_happened(self) -> bool:
        return self.departed or self._log.ended or self._log.count > self.cursor
