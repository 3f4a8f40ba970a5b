"""Sharing through Redis (or Valkey, or Memorystore), as the threads of requests use it.

What is said to Redis is said on the pump's loop; a request's thread waits for the answer, for a bounded time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any, TypeVar

from redis.exceptions import RedisError

from sluice_service.generation.base import Stream
from sluice_service.generation.claims import Claim
from sluice_service.generation.generation import Generation
from sluice_service.generation.pump import Pump
from sluice_service.generation.redis_instance import RedisInstance
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

ANSWER_SECONDS = 5.0
FLUSH_SECONDS = 1.0

PUBLISHED_SECONDS = 0.2
"""How long after its beginning a stream is surely known to the others."""

Result = TypeVar("Result")


class RedisSharing:
    """`join` makes this instance's place in Redis, at the first use: connections do not survive the server's fork."""

    def __init__(self, pump: Pump, join: Callable[[], RedisInstance]) -> None:
        self._pump = pump
        self._join = join
        self._joined: RedisInstance | None = None

    def publish(self, generation: Generation) -> None:
        """Let the other instances follow it, on the pump's thread."""
        self._here().publisher.publish(generation)

    def find(self, stream_id: str, owner: str, *, patient: bool) -> Stream | None:
        """Another instance's stream of this owner, looked for twice if `patient`. Raises `storage_unavailable`."""

        async def find() -> Stream | None:
            follower = self._here().follower
            found = await follower.find(stream_id)
            if found is None and patient:  # begun this instant, it may not be published yet
                await asyncio.sleep(PUBLISHED_SECONDS)
                found = await follower.find(stream_id)
            return found

        try:
            stream = self._ask(find())
        except (RedisError, NoAnswer) as error:
            raise SluiceError("storage_unavailable", retry_after_seconds=1) from error
        return stream if stream is not None and stream.owner == owner else None

    def claim(self, claim: Claim, stream_id: str) -> Stream | None:
        """Claim a key; what holds it already, if that runs or ended well. Raises `idempotency_mismatch`."""

        async def ask() -> Stream | None:
            return await self._here().claims.claim(claim, stream_id)

        try:
            return self._ask(ask())
        except (RedisError, NoAnswer) as error:
            _warn("claim_unshared", "The idempotency key is claimed on this instance only.", error)
            return None

    def release(self, claim: Claim, stream_id: str) -> None:
        """Give a claim back whose stream never started; one that cannot be given back expires."""

        async def release() -> None:
            await self._here().claims.release(claim, stream_id)

        try:
            self._ask(release())
        except (RedisError, NoAnswer) as error:
            _warn("claim_unshared", "An unused idempotency key stays claimed until it expires.", error)

    def flush(self) -> None:
        """Wait until all that has been published is written, but no longer than a second."""
        if self._joined is None:
            return
        try:
            self._ask(self._joined.publisher.flushed(), FLUSH_SECONDS)
        except NoAnswer as error:
            _warn("redis_unreachable", "What was published last is not in Redis.", error)

    def _ask(self, question: Coroutine[Any, Any, Result], timeout_seconds: float = ANSWER_SECONDS) -> Result:
        asked = asyncio.run_coroutine_threadsafe(question, self._pump.loop)
        try:
            return asked.result(timeout_seconds)
        finally:
            asked.cancel()

    def _here(self) -> RedisInstance:
        if self._joined is None:
            self._joined = self._join()
        return self._joined


def _warn(event: str, message: str, error: BaseException) -> None:
    entries.write(event, message, severity=logging.WARNING, failure=type(error).__name__)
