"""This instance's streams, written to Redis in batches behind the live path's back."""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice_service.generation.generation import Generation
from sluice_service.generation.redis_keys import about_key, frames_key, packed
from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

FLUSH_SECONDS = 0.05
"""How long frames are gathered before they are written: many streams, one round trip."""


class Published:
    """One stream on its way to Redis: a waiter of its log that remembers how far it got."""

    def __init__(self, generation: Generation, note: Callable[["Published"], None]) -> None:
        self.generation = generation
        self.cursor = 0
        self.begun = False
        self._note = note
        generation.log.subscribe(self)

    def wake(self) -> None:
        """The log has grown or ended. Called by its writer, on the pump's thread."""
        self._note(self)

    def close(self) -> None:
        """Follow it no more."""
        self.generation.log.unsubscribe(self)


class Publisher:
    """Runs on the pump's thread. Never awaited by a generation; a stream that cannot be shared goes on unshared.

    `live_seconds` is how long a key lives without news, `kept_seconds` how long after the stream's end.
    """

    def __init__(self, redis: Redis, instance: str, live_seconds: float, kept_seconds: float) -> None:
        self._redis = redis
        self._instance = instance
        self._live_milliseconds = int(live_seconds * 1000)
        self._kept_milliseconds = max(1, int(kept_seconds * 1000))
        self._dirty: dict[Published, None] = {}
        self._withdrawn: set[str] = set()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()

    def publish(self, generation: Generation) -> None:
        """Follow its log from the first frame."""
        self._note(Published(generation, self._note))

    async def run(self) -> None:
        """Write for ever."""
        while True:
            if not self._dirty:
                self._idle.set()
            await self._work.wait()
            # What is new is told at once: its reader may be back on another instance in no time.
            if all(published.begun for published in self._dirty):
                await asyncio.sleep(FLUSH_SECONDS)
            self._work.clear()
            dirty, self._dirty = list(self._dirty), {}
            try:
                await self._write(dirty)
            except RedisError as error:
                for published in dirty:
                    self._withdraw(published, error)

    async def flushed(self) -> None:
        """Wait until everything noted so far has been written or given up."""
        await self._idle.wait()

    async def delete_withdrawn(self) -> None:
        """Delete the streams that were given up, so that nobody elsewhere waits for them. Raises RedisError."""
        for stream_id in tuple(self._withdrawn):
            await self._redis.delete(about_key(stream_id), frames_key(stream_id))
            self._withdrawn.discard(stream_id)

    def _note(self, published: Published) -> None:
        self._dirty[published] = None
        self._idle.clear()
        self._work.set()

    async def _write(self, dirty: list[Published]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        counts = []
        for published in dirty:
            before = len(pipeline)
            self._queue(pipeline, published)
            counts.append(len(pipeline) - before)
        results = iter(await pipeline.execute(raise_on_error=False))
        for published, count in zip(dirty, counts, strict=True):
            failed = [result for result in islice(results, count) if result is None or isinstance(result, Exception)]
            if failed:
                self._withdraw(published, failed[0])

    def _queue(self, pipeline: Any, published: Published) -> None:
        """Queue the commands that write what is new of one stream."""
        generation = published.generation
        about_name, frames_name = about_key(generation.stream_id), frames_key(generation.stream_id)
        if not published.begun:
            pipeline.hset(about_name, mapping=self._about(generation))
            pipeline.xadd(frames_name, {"begun": b""}, id="0-1")
        ended = generation.log.ended
        payloads, closing, published.cursor = generation.log.raw(published.cursor)
        if payloads or ended:
            fields: dict[Any, Any] = {
                "payloads": packed(payloads),
                "opened": int(generation.opened),
                # Rendered each time: in some dialects it carries the number of the frame that it would be.
                "lost": packed(generation.closing_frames(SluiceError("producer_lost"))),
            }
            if ended:
                fields |= {"closing": packed(closing), "error": _code(generation)}
                published.close()
            # NOMKSTREAM: a stream that Redis has lost must not come back without its beginning.
            pipeline.xadd(frames_name, fields, id=f"{published.cursor}-2", nomkstream=True)
        if ended or not published.begun:
            lifetime = self._kept_milliseconds if ended else self._live_milliseconds
            pipeline.pexpire(about_name, lifetime)
            pipeline.pexpire(frames_name, lifetime)
        published.begun = True

    def _about(self, generation: Generation) -> dict[Any, Any]:
        lost = generation.closing_frames(SluiceError("producer_lost"))
        return {
            "owner": generation.owner.encode("utf-8", "surrogatepass"),
            "instance": self._instance,
            "prefix": generation.envelope.prefix,
            "suffix": generation.envelope.suffix,
            "heartbeat": generation.heartbeat or b"",
            "lost": packed(lost),
        }

    def _withdraw(self, published: Published, failure: object) -> None:
        published.close()
        self._dirty.pop(published, None)
        self._withdrawn.add(published.generation.stream_id)
        entries.write(
            "stream_unshared",
            "Redis did not take the stream: it goes on, but can be resumed on this instance only.",
            severity=logging.WARNING,
            stream_id=published.generation.stream_id,
            failure="lost by Redis" if failure is None else type(failure).__name__,
        )


def _code(generation: Generation) -> str:
    error = generation.record.error
    return error.code if error else ""
