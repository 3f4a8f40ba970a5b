"""Other instances' streams, followed: one blocking read for all of them and for this instance's inbox."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice_service.generation.base import Envelope, Log
from sluice_service.generation.redis_keys import about_key, inbox_key, lease_key
from sluice_service.generation.redis_mirror import Mirror
from sluice_service.telemetry import entries

BLOCK_MILLISECONDS = 1000
READ_COUNT = 100

CHECK_SECONDS = 1.0
"""How often the producers of what is followed are looked after."""

LOST_SECONDS = 6.0
"""A producer without a lease for so long is gone; with the lease's own time to live that stays below fifteen."""

UNUSED_SECONDS = 5.0
"""A mirror that nobody has read for so long is dropped."""

INBOX_LENGTH = 1000
INBOX_MILLISECONDS = 60_000

Hear = Callable[[str, str], object]


class Follower:
    """Runs on the pump's thread. `hear(word, stream_id)` gets what other instances ask of this one."""

    def __init__(
        self,
        redis: Redis,
        instance: str,
        new_log: Callable[[Envelope], Log],
        release_log: Callable[[Log], object],
        hear: Hear,
    ) -> None:
        self._redis = redis
        self._instance = instance
        self._new_log = new_log
        self._release_log = release_log
        self._hear = hear
        self._mirrors: dict[str, Mirror] = {}
        self._inbox_read = "0-0"
        self._words: set[asyncio.Task[None]] = set()

    async def find(self, stream_id: str) -> Mirror | None:
        """Another instance's stream, with all that it has so far; None when there is none. Raises RedisError."""
        mirror = self._mirrors.get(stream_id)
        if mirror is None:
            # Untyped, since the client's types cannot tell that nothing is decoded.
            about: Any = await self._redis.hgetall(about_key(stream_id))
            if not about or about[b"instance"].decode() == self._instance:
                return None
            mirror = self._mirrors.setdefault(stream_id, Mirror(stream_id, about, self._new_log, self._ask))
            # The read that is under way does not know of it yet.
            await self._send(self._instance, "wake", stream_id)
        if not mirror.log.ended:
            found: Any = await self._redis.xrange(mirror.key, min=f"({mirror.last_entry}")
            mirror.take(found)
        mirror.used = time.monotonic()
        return mirror

    async def read(self) -> None:
        """Follow for ever."""
        inbox = inbox_key(self._instance)
        while True:
            live = {mirror.key: mirror.last_entry for mirror in self._mirrors.values() if not mirror.log.ended}
            places: dict[Any, Any] = {inbox: self._inbox_read, **live}
            try:
                answer = await self._redis.xread(places, count=READ_COUNT, block=BLOCK_MILLISECONDS)
            except RedisError:
                await asyncio.sleep(random.uniform(0.1, CHECK_SECONDS))  # noqa: S311 - jitter
                continue
            self._take(_by_key(answer))

    async def watch(self) -> None:
        """Look after producers and mirrors for ever."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            live = [mirror for mirror in self._mirrors.values() if not mirror.log.ended]
            try:
                await self._check(live)
            except RedisError as error:
                failure = type(error).__name__
                entries.write("redis_unreachable", "Redis does not answer.", severity=logging.WARNING, failure=failure)
            for mirror in live:
                if time.monotonic() - mirror.seen > LOST_SECONDS:
                    mirror.lose()
            self._drop_unused()

    async def _check(self, live: list[Mirror]) -> None:
        if not live:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for mirror in live:
            pipeline.exists(lease_key(mirror.instance))
            pipeline.exists(about_key(mirror.stream_id))
        answers = await pipeline.execute()
        for mirror, alive, known in zip(live, answers[::2], answers[1::2], strict=True):
            if alive and known:
                mirror.seen = time.monotonic()
            if mirror.readers:
                self._ask(mirror, "reading")

    def _take(self, answer: Mapping[bytes, list[Any]]) -> None:
        followed = {mirror.key.encode(): mirror for mirror in self._mirrors.values()}
        for key, found in answer.items():
            if key in followed:
                followed[key].take(found)
                continue
            for entry, fields in found:
                self._inbox_read = entry.decode()
                self._hear(fields[b"word"].decode(), fields[b"stream"].decode())

    def _drop_unused(self) -> None:
        for mirror in [mirror for mirror in self._mirrors.values() if not mirror.readers]:
            if time.monotonic() - mirror.used > UNUSED_SECONDS:
                del self._mirrors[mirror.stream_id]
                self._release_log(mirror.log)

    def _ask(self, mirror: Mirror, word: str) -> None:
        task = asyncio.create_task(self._say(mirror, word))
        self._words.add(task)
        task.add_done_callback(self._words.discard)

    async def _say(self, mirror: Mirror, word: str) -> None:
        try:
            await self._send(mirror.instance, word, mirror.stream_id)
        except RedisError as error:
            message = "Another instance could not be told."
            entries.write("redis_unreachable", message, severity=logging.WARNING, failure=type(error).__name__, word=word)

    async def _send(self, instance: str, word: str, stream_id: str) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(inbox_key(instance), {"word": word, "stream": stream_id}, maxlen=INBOX_LENGTH)
        pipeline.pexpire(inbox_key(instance), INBOX_MILLISECONDS)
        await pipeline.execute()


def _by_key(answer: Any) -> Mapping[bytes, list[Any]]:
    """XREAD's answer, whose shape is the protocol version's: pairs in RESP2, a mapping of lists of lists in RESP3."""
    if not answer:
        return {}
    if isinstance(answer, dict):
        return {key: found[0] for key, found in answer.items()}
    return dict(answer)
