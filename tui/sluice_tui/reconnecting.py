"""One answer over any number of connections: no text lost, none doubled, and no model asked twice where that can be helped.

A connection that breaks is made again after a wait (`backoff`), and the stream is read on from the frame after the last
whole one. Where that is impossible (the server has no such stream, or never had a name for it) the same question is sent
again under the same Idempotency-Key, and the answer begins anew: whoever shows it is told by `Cleared`.

What the model itself got wrong is not asked again unbidden, since that costs: the error goes to the user, who may.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import TypeAlias

from sluice_tui.answer_bytes import AnswerBytes
from sluice_tui.api import Api, Asked
from sluice_tui.backoff import Backoff
from sluice_tui.connection import Connection
from sluice_tui.errors import ClientError, client_error
from sluice_tui.stream import Addition, AnswerDecoder, events_of_whole, read, reasoning_of
from sluice_wire.events import Delta, Event

MAX_ANSWER_CHARACTERS = 4 << 20
"""Of text and thoughts: about a million tokens, more than any model gives at once."""

_DROPPED = {"connection_lost", "read_timeout", "answer_truncated", "connection_refused", "connect_timeout", "unknown_host"}
_DROPPED_AT_FIRST = {"connection_lost", "connection_refused"}
"""Before anything was heard of a server, the others mean more likely that its address is wrong."""

_PASSING_STATUSES = {408, 429, 503}
_GATEWAY_STATUSES = {502, 504}
_INSTANCE_GONE = {"server_draining", "producer_lost"}
_CREDENTIALS_STATUSES = {401, 403}


@dataclass(frozen=True, slots=True)
class Connected:
    """A response has begun; `stream_id` is "" where the stream has no name, `correlation_id` what the server's log has."""

    stream_id: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is to be made again after `wait_seconds`: attempt number `attempt` of at most `attempts`."""

    attempt: int
    attempts: int
    wait_seconds: float

    def told(self, seconds_left: float) -> str:
        """For people."""
        count = f"reconnecting {self.attempt}/{self.attempts}"
        return f"{count} in {seconds_left:.1f} s" if seconds_left >= 0.05 else f"{count} …"


@dataclass(frozen=True, slots=True)
class Cleared:
    """What came before is void: the answer begins anew."""


@dataclass(frozen=True, slots=True)
class AnsweredAtOnce:
    """The server does not stream here: the whole answer will come in one piece."""


Progress: TypeAlias = Connected | Reconnecting | Cleared | AnsweredAtOnce | Addition
"""What happens to an answer besides its text."""


def answer(connection: Connection, asked: Asked) -> AsyncGenerator[Event | Progress, None]:
    """The answer to a question, as it arrives; it returns only when the model has said that it is whole.

    Close it (`contextlib.aclosing`) to hang up. Raises ClientError; what was yielded before it stands.
    """
    return _Answering(connection, asked, "").events()


def rest_of(connection: Connection, stream_id: str) -> AsyncGenerator[Event | Progress, None]:
    """The answer whose stream another terminal began, from its first frame; else like `answer`."""
    return _Answering(connection, None, stream_id).events()


def worth_another_try(error: ClientError, *, connected: bool) -> bool:
    """Whether it lies at the connection or the server's instance; `connected` tells that it has worked before."""
    report = error.report
    if error.status is not None:
        at_gateway = report.code == "server_error" and error.status in _GATEWAY_STATUSES
        return report.retryable and (error.status in _PASSING_STATUSES or at_gateway)
    if report.code in _DROPPED:
        return connected or report.code in _DROPPED_AT_FIRST
    return report.retryable and (report.resumable is True or report.code in _INSTANCE_GONE)


class _Answering:
    """The state of one answer: what was asked, how far it has come, and how often it was tried."""

    def __init__(self, connection: Connection, asked: Asked | None, stream_id: str) -> None:
        self._connection = connection
        self._asked = asked
        self._patience = connection.patience
        self._backoff = Backoff(connection.patience)
        self._stream_id = stream_id
        self._frames = 0
        self._furthest = 0
        self._void = False
        self._connected = False
        self._whole = False
        self._characters = 0

    async def events(self) -> AsyncGenerator[Event | Progress, None]:
        while not self._whole:
            problem = None
            try:
                async with aclosing(self._attempt()) as events:
                    async for event in events:
                        yield event
            except ClientError as error:
                problem = error
            if problem and not self._goes_another_way(problem):
                wait = self._wait_after(problem)
                yield Reconnecting(self._backoff.attempt, self._patience.attempts, wait)
                await self._patience.sleep(wait)

    async def _attempt(self) -> AsyncGenerator[Event | Progress, None]:
        api = (await self._connection.line()).api
        at_once = self._asked if not (self._connection.streaming or self._stream_id) else None
        async with aclosing(self._plain(api, at_once) if at_once else self._stream(api)) as events:
            async for event in events:
                # Not before there is something to take its place.
                if self._void and not isinstance(event, Connected | AnsweredAtOnce):
                    self._void, self._characters = False, 0
                    yield Cleared()
                self._measure(event)
                yield event

    def _measure(self, event: Event | Progress) -> None:
        if isinstance(event, Delta):
            self._characters += len(event.text) + len(reasoning_of(event))
        if self._characters > MAX_ANSWER_CHARACTERS:
            raise client_error("answer_too_long")

    async def _plain(self, api: Api, asked: Asked) -> AsyncGenerator[Event | Progress, None]:
        yield AnsweredAtOnce()
        events = events_of_whole(await api.plain(asked))
        self._whole = True
        for event in events:
            yield event

    async def _stream(self, api: Api) -> AsyncGenerator[Event | Progress, None]:
        async with self._response(api) as response:
            if response is None:
                raise client_error("stream_gone")
            self._connected = True
            self._stream_id = response.stream_id or self._stream_id
            yield Connected(self._stream_id, response.correlation_id)
            decoder, before = AnswerDecoder(response.correlation_id), self._frames
            try:
                async with aclosing(read(response, decoder)) as events:
                    async for event in events:
                        yield event
            except ClientError as error:
                # Only the last formalities are missing when the model has said that it is finished.
                if not (decoder.finished and error.report.code in _DROPPED):
                    raise
            finally:
                self._frames = before + decoder.frames
            self._whole = True

    def _response(self, api: Api) -> AbstractAsyncContextManager[AnswerBytes | None]:
        if self._stream_id or self._asked is None:
            return api.resumed(self._stream_id, self._frames)
        return api.completion(self._asked)

    def _goes_another_way(self, problem: ClientError) -> bool:
        """Whether the answer can be had at once, only not as it was tried. Raises ClientError where it never can."""
        code = problem.report.code
        if code == "streaming_disabled" and self._connection.streaming:
            self._connection.streaming = False
        elif self._stream_id and _says_no_such_stream(problem):
            self._begin_anew(client_error("stream_gone"))
        else:
            return False
        return True

    def _wait_after(self, problem: ClientError) -> float:
        """The seconds until the next attempt. Raises the problem where there is to be none."""
        # Beyond all that came before: an answer that always breaks at the same place makes no progress.
        if self._frames > self._furthest:
            self._furthest = self._frames
            self._backoff.progress()
        if not worth_another_try(problem, connected=self._connected):
            raise problem
        wait = self._backoff.next_wait(problem.retry_after_seconds)
        if wait is None:
            raise problem
        if not self._stream_id or _says_that_it_ends(problem):
            self._begin_anew(problem)
        return wait

    def _begin_anew(self, problem: ClientError) -> None:
        """Ask the same again, next time. Raises the problem where the question is not known."""
        if self._asked is None:
            raise problem
        self._void |= self._frames > 0
        self._stream_id, self._frames = "", 0


def _says_no_such_stream(problem: ClientError) -> bool:
    refused = problem.status is not None and problem.status not in _CREDENTIALS_STATUSES
    return problem.report.code == "stream_gone" or (refused and not worth_another_try(problem, connected=True))


def _says_that_it_ends(problem: ClientError) -> bool:
    """Whether the stream itself said that nothing will follow, rather than break."""
    report = problem.report
    return problem.status is None and report.code not in _DROPPED and report.resumable is not True
