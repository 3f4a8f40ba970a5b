"""Limits of one instance, counted in its memory."""

import threading
import time
from collections.abc import Callable
from functools import cached_property, partial

from limits.storage import MemoryStorage

from sluice_service.quotas.base import MARGIN_SECONDS, Lease, Limits, Standing, rate_limited, too_many_streams
from sluice_service.quotas.window import WINDOW_SECONDS, MessageWindow


class MemoryQuotas:
    """Counts what this process serves. `now` is the clock of the leases, in seconds; the window's is the wall clock."""

    def __init__(
        self,
        *,
        window_seconds: int = WINDOW_SECONDS,
        margin_seconds: float = MARGIN_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window_seconds = window_seconds
        self._margin_seconds = margin_seconds
        self._now = now
        # Guards the places and the making of the window. Nothing is waited for under it.
        self._lock = threading.Lock()
        self._places: dict[str, dict[str, float]] = {}

    def acquire(self, user: str, limits: Limits, stream_id: str, live_seconds: float) -> Lease:
        """A place for a new turn's stream: see `Quotas.acquire`."""
        with self._lock:
            if self._live(user) >= limits.streams:
                raise too_many_streams(limits, self._window.standing(user, limits))
            if not self._window.take(user, limits):
                raise rate_limited(limits, self._window.standing(user, limits))
            expires_at = self._now() + live_seconds + self._margin_seconds
            self._places.setdefault(user, {})[stream_id] = expires_at
            standing = self._window.standing(user, limits)
        return Lease(standing, partial(self.release, user, stream_id), partial(self.give_back, user, stream_id))

    def check(self, user: str, limits: Limits) -> Standing:
        """Where the user stands: see `Quotas.check`."""
        with self._lock:
            standing = self._window.standing(user, limits)
            if self._live(user) >= limits.streams:
                raise too_many_streams(limits, standing)
        if not standing.remaining:
            raise rate_limited(limits, standing)
        return standing

    def release(self, user: str, stream_id: str) -> bool:
        """Free the place; whether it was taken."""
        with self._lock:
            places = self._places.get(user, {})
            held = places.pop(stream_id, None) is not None
            if not places:
                self._places.pop(user, None)
        return held

    def give_back(self, user: str, stream_id: str) -> bool:
        """Free the place and count the message no more; whether the place was taken."""
        held = self.release(user, stream_id)
        if held:
            self._window.give_back(user)
        return held

    def flush(self) -> None:
        """Nothing is under way here."""

    @cached_property
    def _window(self) -> MessageWindow:
        # Made at the first turn: it starts a thread, and the server forks after the app was built.
        return MessageWindow(_Messages(), self._window_seconds)

    def _live(self, user: str) -> int:
        now = self._now()
        live = {stream_id: end for stream_id, end in self._places.get(user, {}).items() if end > now}
        if live:
            self._places[user] = live
        else:
            self._places.pop(user, None)
        return len(live)


class _Messages(MemoryStorage):
    """`limits` keeps the entries of a key newest first."""

    def forget_newest(self, key: str) -> None:
        with self.locks[key]:
            if entries := self.events.get(key):
                del entries[0]
