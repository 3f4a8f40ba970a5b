"""Clients that leave without a word, in every way there is, and what the function holds when they have gone."""

import itertools
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.support.footprint import Footprint, footprint
from tests.support.raw_request import connected, read_until, request_bytes, reset, stream_id_in
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import HANG, STREAM_HEAD, Script, ScriptedUpstream, Step, chunk
from tests.support.waiting import until

IN_SILENCE: list[Step] = [STREAM_HEAD, chunk("tick "), HANG]
BEFORE_FIRST_TOKEN: list[Step] = [STREAM_HEAD, HANG]


THREADS = 132
SETTINGS = {
    "K_SERVICE": "sluice",
    "THREADS": str(THREADS),
    "LOG_LEVEL": "DEBUG",  # tells when a log expires
    "HEARTBEAT_SECONDS": "10",  # the status line waits, so that some never have one
    "RESUME_GRACE_SECONDS": "0",
    "RESUME_TTL_SECONDS": "0.2",
}


@contextmanager
def function_to_abandon(upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    """A function that shows what is left behind: all its threads made, its logs soon released."""
    upstream.calls.clear()
    with running_function({**SETTINGS, "OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url}) as function:
        _make_all_threads(function)
        yield function


def _make_all_threads(function: RunningFunction) -> None:
    # The server makes a thread when none is free, up to THREADS, and keeps it.
    with ExitStack() as silent:
        for _ in range(THREADS):
            silent.enter_context(connected(function))
        until(lambda: footprint(function).threads > THREADS, "all of the server's threads")


OWN_SOCKETS = 3
"""Where it listens, and the pair that wakes the pump."""


class Abandoner:
    """Sends requests and leaves each in its own way. `upstream` tells, by the question, when its call has arrived."""

    def __init__(self, function: RunningFunction, upstream: ScriptedUpstream) -> None:
        self._function = function
        self._numbers = itertools.count()
        self._arrived: dict[str, threading.Event] = {}
        upstream.script = self._script

    def _script(self, body: Any) -> Script:
        question = body["messages"][0]["content"]
        self._arrived[question].set()
        return BEFORE_FIRST_TOKEN if question.startswith("silent") else IN_SILENCE

    def _ask(self, kind: str, *, stream: bool = True) -> tuple[socket.socket, threading.Event]:
        question = f"{kind} {next(self._numbers)}"
        arrived = self._arrived[question] = threading.Event()
        connection = connected(self._function)
        connection.sendall(request_bytes(self._function, question, stream=stream))
        return connection, arrived

    def mid_stream(self) -> None:
        connection, _ = self._ask("talking")
        read_until(connection, b"tick")
        connection.close()

    def mid_stream_by_reset(self) -> None:
        connection, _ = self._ask("talking")
        read_until(connection, b"tick")
        reset(connection)

    def before_the_first_token(self) -> None:
        connection, arrived = self._ask("silent")
        assert arrived.wait(20)
        connection.close()

    def before_the_response_can_be_written(self) -> None:
        connection, _ = self._ask("talking")
        reset(connection)

    def plain(self) -> None:
        connection, arrived = self._ask("talking", stream=False)
        assert arrived.wait(20)
        connection.close()

    def half_a_head(self) -> None:
        connection = connected(self._function)
        connection.sendall(request_bytes(self._function, "never")[:60])
        connection.close()

    def half_a_body(self) -> None:
        connection = connected(self._function)
        connection.sendall(request_bytes(self._function, "never")[:-20])
        reset(connection)

    def nothing_at_all(self) -> None:
        connected(self._function).close()

    def second_reader_and_first(self) -> None:
        connection, _ = self._ask("talking")
        stream_id = stream_id_in(read_until(connection, b"tick"))
        authorization = f"authorization: Bearer {self._function.key}"
        for method in ("HEAD", "GET"):
            other = connected(self._function)
            other.sendall(f"{method} /v1/streams/{stream_id} HTTP/1.1\r\nhost: x\r\n{authorization}\r\n\r\n".encode())
            read_until(other, b"\r\n\r\n")
            other.close()
        connection.close()

    @property
    def ways(self) -> list[Callable[[], None]]:
        return [
            self.mid_stream,
            self.mid_stream_by_reset,
            self.before_the_first_token,
            self.before_the_response_can_be_written,
            self.plain,
            self.half_a_head,
            self.half_a_body,
            self.nothing_at_all,
            self.second_reader_and_first,
        ]


def abandon(abandoner: Abandoner, count: int, at_once: int) -> None:
    """Leave so many requests, in all ways, a repeatable mixture."""
    ways = list(itertools.islice(itertools.cycle(abandoner.ways), count))
    random.Random(count).shuffle(ways)
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(way) for way in ways]:
            done.result()


def settled(function: RunningFunction, upstream: ScriptedUpstream) -> Footprint:
    """What is held when every call of upstream has been closed, every log released and every client's socket."""
    until(lambda: every_request_has_ended(function), "the end of every request", seconds=20)
    assert all(call.closed.wait(10) for call in upstream.calls)
    until(lambda: released(function) == started(function), "the release of every stream's log")
    until(lambda: footprint(function).descriptors["socket"] <= OWN_SOCKETS, "the end of every connection")
    return footprint(function)


def every_request_has_ended(function: RunningFunction) -> bool:
    events = Counter(entry["event"] for entry in function.entries())
    return events["request_received"] == events["response_complete"]


def started(function: RunningFunction) -> set[object]:
    """The streams that requests have begun or read."""
    return streams_in(function, "response_complete")


def released(function: RunningFunction) -> set[object]:
    return streams_in(function, "stream_cleanup")


def streams_in(function: RunningFunction, event: str) -> set[object]:
    return {entry["stream_id"] for entry in function.entries() if entry["event"] == event and "stream_id" in entry}
