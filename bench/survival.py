"""What breaks and what it costs: drops, departures, a shutdown, and what is left behind.

`.venv/bin/python -m bench.survival`, from the repository's root. Everything runs on this machine, over loopback: the
function as it is deployed, a scripted upstream, and the tests' own proxy that breaks the connections between them.
"""

import random
import signal
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.support.abandoning import IN_SILENCE, Abandoner, abandon, function_to_abandon, settled
from tests.support.chaos_proxy import Act, ChaosProxy, Fault, Plan, Towards
from tests.support.raw_request import connected, read_until, request_bytes
from tests.support.resuming_client import ResumingClient
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import HANG, STREAM_HEAD, ScriptedUpstream, answer, chunk

TURNS = 100
DROPS_PER_TURN = 6
DEPARTURES = 40
DRAINED_STREAMS = 50
ABANDONED = 1000
BODY: dict[str, Any] = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def main() -> None:
    for measure in (drops, departures, drain, leftovers):
        for name, value in measure():
            print(f"{name:<52} {value}", flush=True)


@contextmanager
def upstream_and_function(**settings: str) -> Iterator[tuple[ScriptedUpstream, RunningFunction]]:
    upstream = ScriptedUpstream()
    with running_function({"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": upstream.url, **settings}) as function:
        yield upstream, function
    upstream.close()


def drops() -> Iterator[tuple[str, object]]:
    """Turns of 200 numbered words, each broken at random bytes, in both directions, by closing and by resetting."""
    words = [f"<{number:05}>" for number in range(200)]
    chance, told = random.Random(3), Counter[str]()
    with (
        upstream_and_function() as (upstream, function),
        ChaosProxy(function.port) as proxy,
        ResumingClient(proxy.port, function.key) as client,
    ):
        upstream.script = answer(*words, pause=0.001)
        for _ in range(TURNS):
            proxy.plans.clear()
            proxy.plans.extend(_random_plan(chance) for _ in range(DROPS_PER_TURN))
            text = client.read_whole(BODY, uuid.uuid4().hex).text
            told.update(text[at : at + 7] for at in range(0, len(text), 7))
        yield "turns", TURNS
        yield "drops injected", proxy.injected
        yield "characters lost", 7 * sum((Counter(words * TURNS) - told).values())
        yield "characters duplicated or foreign", 7 * sum((told - Counter(words * TURNS)).values())
        yield "upstream calls per turn", len(upstream.calls) / TURNS


def _random_plan(chance: random.Random) -> Plan:
    act = chance.choice([Act.DROP, Act.RESET])
    if chance.random() < 0.2:
        return [Fault(act, chance.randrange(500), Towards.SERVER)]
    return [Fault(act, chance.randrange(20_000))]


def departures() -> Iterator[tuple[str, object]]:
    """Readers that close their connection while upstream is silent, with no grace."""
    seconds = []
    with upstream_and_function(RESUME_GRACE_SECONDS="0") as (upstream, function):
        upstream.script = IN_SILENCE
        for number in range(DEPARTURES):
            connection = connected(function)
            connection.sendall(request_bytes(function, "hi"))
            read_until(connection, b"tick")
            left = time.monotonic()
            connection.close()
            assert upstream.calls[number].closed.wait(30)
            seconds.append(upstream.calls[number].closed_at - left)
    yield "departure to upstream close, median (s)", f"{statistics.median(seconds):.3f}"
    yield "departure to upstream close, worst (s)", f"{max(seconds):.3f}"


def drain() -> Iterator[tuple[str, object]]:
    """SIGTERM with streams open that would never end by themselves."""
    with upstream_and_function() as (upstream, function), ThreadPoolExecutor(DRAINED_STREAMS) as pool:
        upstream.script = [STREAM_HEAD, chunk("tick"), HANG]
        connections = [connected(function) for _ in range(DRAINED_STREAMS)]
        for connection in connections:
            connection.sendall(request_bytes(function, "hi"))
            read_until(connection, b"tick")
        began = time.monotonic()
        function.process.send_signal(signal.SIGTERM)
        ends = list(pool.map(lambda connection: read_until(connection, b"server_draining"), connections))
        told = time.monotonic() - began
        for connection in connections:
            connection.close()
        function.process.wait(30)
        yield f"SIGTERM to the last frame of {DRAINED_STREAMS} streams (s)", f"{told:.2f}"
        yield "SIGTERM to the process's own exit (s)", f"{time.monotonic() - began:.2f}"
        yield "streams that ended with server_draining", sum(b"server_draining" in end for end in ends)


def leftovers() -> Iterator[tuple[str, object]]:
    """A thousand requests left in nine ways."""
    upstream = ScriptedUpstream()
    with function_to_abandon(upstream) as function:
        abandoner = Abandoner(function, upstream)
        abandon(abandoner, 400, at_once=24)
        before = settled(function, upstream)
        abandon(abandoner, ABANDONED, at_once=24)
        after = settled(function, upstream)
    upstream.close()
    yield f"threads leaked by {ABANDONED} departures", after.threads - before.threads
    yield f"descriptors leaked by {ABANDONED} departures", (after.descriptors - before.descriptors).total()
    yield "upstream connections left open", sum(not call.closed.is_set() for call in upstream.calls)
    yield "resident memory grown by (MiB)", f"{(after.resident_bytes - before.resident_bytes) / 2**20:.1f}"


if __name__ == "__main__":
    main()
