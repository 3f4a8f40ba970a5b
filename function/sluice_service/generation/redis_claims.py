"""Idempotency keys across instances: one claim in Redis for each."""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from sluice_service.generation.base import Stream
from sluice_service.generation.claims import Claim
from sluice_service.generation.redis_keys import claim_key, lease_key
from sluice_wire.errors import SluiceError

PUBLISH_SECONDS = 3.0
"""How long a claim may stand without its stream being published: the other instance has only just begun."""

POLL_SECONDS = 0.05

_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisClaims:
    """`find` looks another instance's stream up by id. All methods raise RedisError."""

    def __init__(
        self, redis: Redis, instance: str, lifetime_seconds: float, find: Callable[[str], Awaitable[Stream | None]]
    ) -> None:
        self._redis = redis
        self._instance = instance
        self._lifetime_milliseconds = int(lifetime_seconds * 1000)
        self._find = find

    async def claim(self, claim: Claim, stream_id: str) -> Stream | None:
        """None when the claim is now this stream's; otherwise what holds it. Raises `idempotency_mismatch`."""
        key, mine = claim_key(claim), self._value(claim, stream_id)
        deadline = time.monotonic() + PUBLISH_SECONDS
        while not await self._redis.set(key, mine, nx=True, px=self._lifetime_milliseconds):
            held = await self._redis.get(key)
            if held is None:
                continue
            holder = json.loads(held)
            if not hmac.compare_digest(holder["digest"], claim.digest.hex()):
                raise SluiceError("idempotency_mismatch", param="Idempotency-Key")
            stream = await self._find(holder["stream"])
            if stream is not None and not stream.failed:
                return stream
            if stream is None and time.monotonic() < deadline and await self._is_elsewhere(holder["instance"]):
                await asyncio.sleep(POLL_SECONDS)
            elif await self._redis.eval(_REPLACE, 1, key, held, mine, self._lifetime_milliseconds):
                return None
        return None

    async def release(self, claim: Claim, stream_id: str) -> None:
        """Give it back, if it is still this stream's."""
        await self._redis.eval(_RELEASE, 1, claim_key(claim), self._value(claim, stream_id))

    async def _is_elsewhere(self, instance: str) -> bool:
        return instance != self._instance and bool(await self._redis.exists(lease_key(instance)))

    def _value(self, claim: Claim, stream_id: str) -> str:
        return json.dumps({"stream": stream_id, "instance": self._instance, "digest": claim.digest.hex()})
