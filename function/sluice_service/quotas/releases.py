"""Places that have ended here and are still taken in the shared store: freed by a thread, so that no stream's end waits."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

AGAIN_SECONDS = 1.0

Place: TypeAlias = tuple[str, str]
"""A user and a stream id."""


class Releases:
    """`free` frees places in the store and tells whether it could; until then it is asked again.

    What is not freed by `now() >= ends_at` has ended by itself, and is forgotten.
    """

    def __init__(self, free: Callable[[Sequence[Place]], bool], now: Callable[[], float] = time.monotonic) -> None:
        self._free = free
        self._now = now
        # Guards the table, and tells of its changes; the store is never asked under it.
        self._changed = threading.Condition()
        self._waiting: dict[Place, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, user: str, stream_id: str, ends_at: float) -> None:
        """Free this place soon. Waits for nothing."""
        with self._changed:
            self._waiting[user, stream_id] = ends_at
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="quota-releases", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def waiting(self, user: str) -> list[Place]:
        """This user's places that are not free yet."""
        with self._changed:
            return [place for place in self._waiting if place[0] == user]

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all are free; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                places = list(self._waiting)
            self._forget(places if self._free(places) else self._ended())

    def _ended(self) -> list[Place]:
        # Not woken by what is added: that would ask a store that is down all the more often.
        time.sleep(AGAIN_SECONDS)
        with self._changed:
            return [place for place, ends_at in self._waiting.items() if ends_at <= self._now()]

    def _forget(self, places: Sequence[Place]) -> None:
        with self._changed:
            for place in places:
                self._waiting.pop(place, None)
            self._changed.notify_all()
