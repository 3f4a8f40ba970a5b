"""This instance's place in Redis: one client, and four tasks on the pump's loop.

Write batches, read everything that is followed, renew this instance's lease, look after the leases of the others.
"""

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sluice_service.generation.base import Envelope, Log
from sluice_service.generation.redis_claims import RedisClaims
from sluice_service.generation.redis_follower import Follower, Hear
from sluice_service.generation.redis_keys import lease_key
from sluice_service.generation.redis_publisher import Publisher
from sluice_service.telemetry import entries

LEASE_MILLISECONDS = 6_000
RENEW_SECONDS = 2.0


class RedisInstance:
    """Made on the pump's thread. `live_seconds` is the longest that a stream may run, `kept_seconds` how long it is kept."""

    def __init__(
        self,
        url: str,
        *,
        new_log: Callable[[Envelope], Log],
        release_log: Callable[[Log], object],
        hear: Hear,
        live_seconds: float,
        kept_seconds: float,
    ) -> None:
        # One immediate retry: a pooled connection may have died unnoticed.
        retry = Retry(NoBackoff(), 1)
        self._redis = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=3, retry=retry, protocol=2)
        self._name = uuid.uuid4().hex
        lifetime_seconds = live_seconds + kept_seconds
        self.publisher = Publisher(self._redis, self._name, lifetime_seconds, kept_seconds)
        self.follower = Follower(self._redis, self._name, new_log, release_log, hear)
        self.claims = RedisClaims(self._redis, self._name, lifetime_seconds, self.follower.find)
        work = (self.publisher.run(), self.follower.read(), self.follower.watch(), self._renew())
        self._tasks = [_task(coroutine) for coroutine in work]

    async def _renew(self) -> None:
        while True:
            try:
                await self._redis.set(lease_key(self._name), b"", px=LEASE_MILLISECONDS)
                await self.publisher.delete_withdrawn()
            except RedisError as error:
                failure = type(error).__name__
                entries.write("redis_unreachable", "Redis does not answer.", severity=logging.WARNING, failure=failure)
            await asyncio.sleep(RENEW_SECONDS)


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    # A context of its own: it belongs to no request, least of all to the one that came first.
    task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
    task.add_done_callback(_say_why)
    return task


def _say_why(task: asyncio.Task[None]) -> None:
    """None of them ends by itself: one that did has a fault, and sharing stands still."""
    if not task.cancelled():
        message = "Sharing through Redis has stopped on this instance."
        entries.write("sharing_stopped", message, severity=logging.ERROR, error=task.exception())
