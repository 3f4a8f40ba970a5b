"""A reader: one request's place in one log."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from sluice_service.generation.base import Log

Push: TypeAlias = Callable[[bytes], bool]
"""Delivers some frames without waiting, on the log's writer's thread; False when not all could be."""


class Reader:
    """Used by one thread; only `wake` and `depart` may be called from others.

    A thread that waits may leave delivery to the log's writer: waking one thread for each frame costs more than the frame.
    A SimpleQueue carries the wake-ups because its waiting is one C call; a token too many only costs one empty look.
    """

    def __init__(self, log: Log, cursor: int = 0) -> None:
        self.cursor = cursor
        self.departed = False
        self._log = log
        self._parked = False
        self._push: Push | None = None
        # Guards the cursor and what it stands for. The reader's thread holds it, but for the time of its waiting.
        self._delivering = threading.Lock()
        self._delivering.acquire()
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

    def wait(self, timeout_seconds: float, push: Push | None = None) -> bool:
        """Wait until there is something to take, the log has ended or the client has gone. False after the time-out.

        With `push` the log's writer delivers meanwhile, and wakes this thread when it cannot, or at the end.
        """
        self._push = push
        self._parked = True
        self._delivering.release()
        try:
            if not self._something_happened():
                self._wakeups.get(timeout=max(0.0, timeout_seconds))
        except Empty:
            return self._something_happened()
        else:
            return True
        finally:
            self._delivering.acquire()
            self._parked = False
            self._push = None  # it leads back here

    def wake(self) -> None:
        """Look again, or deliver. Puts a token only when somebody waits, so that tokens do not pile up."""
        if self._parked and self._delivering.acquire(blocking=False):
            try:
                must_wake = self._push is None or not self._pushed_all(self._push)
                self._parked = not must_wake
            finally:
                self._delivering.release()
            if must_wake:
                self._wakeups.put(None)

    def depart(self) -> None:
        """The client has gone: there is nobody to take anything any more."""
        self.departed = True
        self.wake()

    def close(self) -> None:
        """Wake this reader no more."""
        self._log.unsubscribe(self)

    def _pushed_all(self, push: Push) -> bool:
        """Whether the reader has everything and there will be more."""
        while not self.departed and self._log.count > self.cursor:
            if not push(self.take()):
                return False
        return not (self.departed or self._log.ended)

    def _something_happened(self) -> bool:
        return self.departed or self._log.ended or self._log.count > self.cursor
