"""Limits of one instance, counted in its memory."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial

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
        self._margin_seconds = margin_seconds
        self._now = now
        # Guards the places and the window. Nothing is waited for under it.
        self._lock = threading.Lock()
        self._window = MessageWindow(MovingWindows(), window_seconds)
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
            with self._lock:
                self._window.give_back(user)
        return held

    def flush(self) -> None:
        """Nothing is under way here."""

    def _live(self, user: str) -> int:
        now = self._now()
        live = {stream_id: end for stream_id, end in self._places.get(user, {}).items() if end > now}
        if live:
            self._places[user] = live
        else:
            self._places.pop(user, None)
        return len(live)


class MovingWindows:
    """The moments of what was counted, by key, oldest first: see `Counted`. Not for several threads at once.

    `limits` has one too, which starts a thread for nearly every message: 0.2 ms of a request.
    """

    def __init__(self) -> None:
        self._moments: defaultdict[str, deque[float]] = defaultdict(deque)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add entries unless there would be more than `limit` within the last `expiry` seconds."""
        moments = self._within(key, expiry)
        if len(moments) + amount > limit:
            return False
        moments.extend([time.time()] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """When the oldest of those entries came, and how many there are."""
        moments = self._within(key, expiry)
        return (moments[0] if moments else time.time()), len(moments)

    def forget_newest(self, key: str) -> None:
        """Take the newest entry out, if there is one."""
        if moments := self._moments[key]:
            moments.pop()

    def _within(self, key: str, expiry: int) -> deque[float]:
        moments, since = self._moments[key], time.time() - expiry
        while moments and moments[0] < since:
            moments.popleft()
        return moments
