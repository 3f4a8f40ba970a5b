"""Whether text comes as it is made, and whether an answer that breaks can be read on: one short question shows both."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sluice_tui.answer_bytes import AnswerBytes
from sluice_tui.api import Api, Asked
from sluice_tui.connection import Connection
from sluice_tui.doctor.check import Check, Status, failed
from sluice_tui.errors import ClientError
from sluice_tui.stream import AnswerDecoder
from sluice_wire.events import Delta

QUESTION = "In short: how does a lock lift a boat? Answer in about sixty words."
ENOUGH_CHUNKS = 40
ENOUGH_SECONDS = 20.0
FEWEST_CHUNKS = 8
QUICK_SECONDS = 0.3
"""Of a whole answer that came sooner nobody can say whether it was held back."""

HELD_CHUNKS = 8
"""More than so many in each arrival: a proxy that fills a buffer of 4 to 64 KB before it passes anything on."""

_UNBUFFER = (
    "Something between holds the text back: switch its buffering off (nginx: proxy_buffering off), and compression of "
    "text/event-stream too. A Cloud CDN, an API gateway or a company's proxy does the same."
)


@dataclass(slots=True)
class Pace:
    """When text came: for each arrival its moment and its count of chunks. Times are a monotonic clock's seconds."""

    started: float
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    @property
    def chunks(self) -> int:
        """All of them."""
        return sum(count for _, count in self.arrivals)

    @property
    def first_seconds(self) -> float:
        """Until the first text."""
        return self.arrivals[0][0] - self.started

    @property
    def longest_gap_seconds(self) -> float:
        """Between two arrivals."""
        moments = [moment for moment, _ in self.arrivals]
        return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


def judged(pace: Pace) -> Check:
    """Whether something holds the text back."""
    chunks, arrivals = pace.chunks, len(pace.arrivals)
    if chunks < FEWEST_CHUNKS:
        return Check("streaming", Status.SKIP, f"The answer had only {chunks} chunks: too few to judge.")
    whole_seconds = pace.arrivals[-1][0] - pace.started
    told = f"{chunks} chunks in {arrivals} arrivals; the first after {pace.first_seconds * 1000:.0f} ms"
    told += f", the longest gap {pace.longest_gap_seconds * 1000:.0f} ms."
    if chunks / arrivals <= HELD_CHUNKS:
        return Check("streaming", Status.OK, told)
    if whole_seconds < QUICK_SECONDS:
        return Check("streaming", Status.SKIP, f"{told} Too quick to judge.")
    return Check("streaming", Status.FAIL if arrivals == 1 else Status.WARN, told, _UNBUFFER)


async def examined(connection: Connection) -> AsyncIterator[Check]:
    """Ask one question, read its beginning, hang up, and read on."""
    try:
        line = await connection.line()
        pace, stream_id, frames = await _beginning(
            line.api, Asked.new(line.agent.id, [{"role": "user", "content": QUESTION}])
        )
    except ClientError as error:
        yield failed("streaming", error.report)
        return
    yield (
        judged(pace)
        if pace
        else Check(
            "streaming",
            Status.FAIL,
            "The server sent the whole answer in one piece though a stream was asked for.",
            _UNBUFFER,
        )
    )
    yield await _resumed(line.api, stream_id, frames)
    if stream_id:
        await line.api.cancel(stream_id)


async def _beginning(api: Api, asked: Asked) -> tuple[Pace | None, str, int]:
    """The pace of the answer's beginning, its stream's id, and how many frames came; no pace where it was no stream."""
    started = time.monotonic()
    async with api.completion(asked) as response:
        if response.whole is not None:
            return None, "", 0
        decoder = AnswerDecoder(response.correlation_id)
        pace = await _read(response, decoder, Pace(started))
        return pace, response.stream_id, decoder.frames


async def _read(response: AnswerBytes, decoder: AnswerDecoder, pace: Pace) -> Pace:
    async for piece in response.pieces:
        chunks = sum(isinstance(event, Delta) for event in decoder.feed(piece))
        now = time.monotonic()
        if chunks:
            pace.arrivals.append((now, chunks))
        if decoder.done or pace.chunks >= ENOUGH_CHUNKS or now - pace.started > ENOUGH_SECONDS:
            break
    return pace


async def _resumed(api: Api, stream_id: str, frames: int) -> Check:
    if not stream_id:
        told = "Not offered: an answer that breaks is asked for again from its beginning."
        return Check("resume", Status.SKIP, told)
    try:
        # From one frame earlier: there is one to come even where the answer was over.
        async with api.resumed(stream_id, frames - 1) as response, asyncio.timeout(ENOUGH_SECONDS):
            decoder = AnswerDecoder()
            came = response is not None and await _one_frame(response, decoder)
    except ClientError as error:
        return failed("resume", error.report)
    except TimeoutError:
        came = False
    if came:
        return Check("resume", Status.OK, "An answer that breaks goes on where it was.")
    advice = "With more than one instance the service needs REDIS_URL; else look into its log."
    return Check("resume", Status.FAIL, "The server does not know the stream that it has just sent.", advice)


async def _one_frame(response: AnswerBytes, decoder: AnswerDecoder) -> bool:
    async for piece in response.pieces:
        for _ in decoder.feed(piece):
            pass
        if decoder.frames:
            return True
    return False


def exit_code(checks: Sequence[Check]) -> int:
    """1 where something failed."""
    return int(any(check.status is Status.FAIL for check in checks))
