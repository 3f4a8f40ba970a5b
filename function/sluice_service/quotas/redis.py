"""Limits that all instances share, counted in Redis (or Valkey, or Memorystore).

What this instance serves it counts in its own memory as well. That count is never above the shared one, so it refuses
nothing that Redis would let through, and it is what holds when Redis cannot be asked or has forgotten everything.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from limits.storage import RedisStorage
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from sluice_service.quotas.base import MARGIN_SECONDS, Lease, Limits, Standing, rate_limited, too_many_streams
from sluice_service.quotas.memory import MemoryQuotas
from sluice_service.quotas.redis_places import RedisPlaces
from sluice_service.quotas.releases import Place, Releases
from sluice_service.quotas.window import WINDOW_SECONDS, MessageWindow
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

ANSWER_SECONDS = 1.0
CONNECTIONS = 32
PAUSE_SECONDS = 5.0
"""How long Redis is left alone after it did not answer, so that not every turn waits for it in vain."""

FLUSH_SECONDS = 1.0

Answer = TypeVar("Answer")


class RedisQuotas:
    """Connects at the first use, after the server's fork. `now` as in MemoryQuotas; the leases in Redis go by its clock."""

    def __init__(
        self,
        url: str,
        *,
        window_seconds: int = WINDOW_SECONDS,
        margin_seconds: float = MARGIN_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # One immediate retry: a pooled connection may have died unnoticed.
            retry=Retry(NoBackoff(), 1),
            protocol=2,
        )
        self._own = MemoryQuotas(window_seconds=window_seconds, margin_seconds=margin_seconds, now=now)
        self._places = RedisPlaces(Redis(connection_pool=pool))
        self._window = MessageWindow(_Messages(url, connection_pool=pool, key_prefix="sluice"), window_seconds)
        self._releases = Releases(self._freed, now)
        self._margin_seconds = margin_seconds
        self._now = now
        self._paused_until = now()

    def acquire(self, user: str, limits: Limits, stream_id: str, live_seconds: float) -> Lease:
        """A place for a new turn's stream: see `Quotas.acquire`."""
        own = self._own.acquire(user, limits, stream_id, live_seconds)
        lease_seconds = live_seconds + self._margin_seconds
        ends_at = self._now() + lease_seconds
        try:
            shared = self._asked(partial(self._take, user, limits, stream_id, lease_seconds))
        except SluiceError:
            own.give_back()
            raise
        return Lease(
            shared or own.standing,
            partial(self._release, own.release, (user, stream_id), ends_at),
            partial(self._give_back, own.give_back, (user, stream_id), ends_at, was_counted=shared is not None),
        )

    def check(self, user: str, limits: Limits) -> Standing:
        """Where the user stands: see `Quotas.check`."""
        own = self._own.check(user, limits)
        return self._asked(partial(self._checked, user, limits)) or own

    def flush(self) -> None:
        """Wait until all that was released is free in Redis, but no longer than a second."""
        if not self._releases.flush(FLUSH_SECONDS):
            _say("Places that were freed last are taken in Redis until their leases end.")

    def _take(self, user: str, limits: Limits, stream_id: str, lease_seconds: float) -> Standing:
        self._free_waiting(user)
        if not self._places.take(user, stream_id, limits.streams, lease_seconds):
            raise too_many_streams(limits, self._window.standing(user, limits))
        if not self._window.take(user, limits):
            self._places.free([(user, stream_id)])
            raise rate_limited(limits, self._window.standing(user, limits))
        return self._window.standing(user, limits)

    def _checked(self, user: str, limits: Limits) -> Standing:
        self._free_waiting(user)
        standing = self._window.standing(user, limits)
        if self._places.count(user) >= limits.streams:
            raise too_many_streams(limits, standing)
        if not standing.remaining:
            raise rate_limited(limits, standing)
        return standing

    def _free_waiting(self, user: str) -> None:
        # Whoever has just seen a stream end may start the next one at once, even if the thread has not come to it.
        if waiting := self._releases.waiting(user):
            self._places.free(waiting)

    def _release(self, own: Callable[[], object], place: Place, ends_at: float) -> None:
        if own():
            self._releases.add(*place, ends_at)

    def _give_back(self, own: Callable[[], object], place: Place, ends_at: float, *, was_counted: bool) -> None:
        if not own():
            return
        self._releases.add(*place, ends_at)
        if was_counted:
            self._asked(partial(self._window.give_back, place[0]))

    def _freed(self, places: Sequence[Place]) -> bool:
        def free() -> bool:
            self._places.free(places)
            return True

        return bool(self._asked(free))

    def _asked(self, question: Callable[[], Answer]) -> Answer | None:
        """The answer of Redis; None when there is none, of which the first one gets an entry."""
        if self._now() < self._paused_until:
            return None
        try:
            return question()
        except RedisError as error:
            self._paused_until = self._now() + PAUSE_SECONDS
            _say("Redis does not answer: limits are counted on this instance alone.", error)
            return None


class _Messages(RedisStorage):
    """`limits` keeps the entries of a key as a list, newest first."""

    def forget_newest(self, key: str) -> None:
        self.storage.lpop(self.prefixed_key(key))


def _say(message: str, error: RedisError | None = None) -> None:
    failure = type(error).__name__ if error else None
    entries.write("limits_unshared", message, severity=logging.WARNING, failure=failure)
