"""The terminal's stream over the real function, with what breaks connections in between."""

import asyncio
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.local_function import LocalFunction
from sluice_tui.reconnecting import AnsweredAtOnce, Reconnecting, answer
from sluice_tui.transport import Timeouts
from tests.support.chaos_proxy import Act, ChaosProxy, Fault, Towards
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, ScriptedUpstream, Step, chunk
from tests.support.scripted_upstream import answer as scripted
from tests.tui.asking import HASTY, Heard, hear, question
from tests.tui.processes import MARK, SLUICE, alive_with
from tests.tui.screens import send, until_shown

pytestmark = pytest.mark.xdist_group("reading on")


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def function(upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    with running_function(
        {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url, "HEARTBEAT_SECONDS": "0.1"}
    ) as function:
        yield function


def environment(upstream: ScriptedUpstream) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url, "HEARTBEAT_SECONDS": "0.1"}


@pytest.fixture(scope="module")
def proxy(function: RunningFunction) -> Iterator[ChaosProxy]:
    with ChaosProxy(function.port) as proxy:
        yield proxy


async def heard_through(port: int, key: str, heard: Heard | None = None) -> Heard:
    endpoint, timeouts = Endpoint(f"http://127.0.0.1:{port}/v1", key), Timeouts(connect=5, read=10, silence=0.5)
    async with Connection(endpoint, "assistant", timeouts, HASTY) as connection:
        return await hear(answer(connection, question("assistant")), heard)


any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
breaks = st.sampled_from([Act.DROP, Act.RESET, Act.HALF_CLOSE])
faults = st.builds(Fault, breaks | st.just(Act.TRICKLE), st.integers(0, 3000), st.just(Towards.CLIENT)) | st.builds(
    # Not half-closed: the function would then answer, rightly, that half a question is none.
    Fault,
    st.sampled_from([Act.DROP, Act.RESET]),
    st.integers(0, 500),
    st.just(Towards.SERVER),
)


@given(
    pieces=st.lists(any_text, min_size=1, max_size=12),
    # No more than six: the seventh that gains nothing is the end.
    plans=st.lists(st.lists(faults, max_size=2), max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_whatever_breaks_the_text_is_the_models_and_the_model_is_asked_once(
    upstream: ScriptedUpstream, proxy: ChaosProxy, function: RunningFunction, pieces: list[str], plans: list[list[Fault]]
) -> None:
    upstream.calls.clear()
    upstream.script = scripted(*pieces)
    proxy.plans.clear()
    proxy.plans.extend(plans)

    heard = asyncio.run(heard_through(proxy.port, function.key))

    assert heard.text == "".join(pieces)
    assert (heard.finish_reason, heard.restarts) == ("stop", 0)
    assert len(upstream.calls) == 1


async def test_a_connection_that_falls_silent_is_left_and_read_on(
    upstream: ScriptedUpstream, proxy: ChaosProxy, function: RunningFunction
) -> None:
    upstream.calls.clear()
    upstream.script = scripted("one ", "two ", "three", pause=0.2)
    proxy.plans.clear()
    proxy.plans.append([Fault(Act.STALL, 1000)])

    heard = await heard_through(proxy.port, function.key)

    assert heard.text == "one two three"
    assert len(heard.waits) == 1
    assert len(upstream.calls) == 1


def test_ask_prints_the_models_text_whatever_breaks(
    upstream: ScriptedUpstream, proxy: ChaosProxy, function: RunningFunction
) -> None:
    upstream.calls.clear()
    upstream.script = scripted("one ", "two ", "three")
    proxy.plans.clear()
    proxy.plans.extend([[Fault(Act.RESET, 1000)], [Fault(Act.DROP, 0)]])
    command = [*SLUICE, "ask", "count", "--url", proxy.url, "--agent", "assistant"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}

    done = subprocess.run(
        command, env={**kept, "SLUICE_API_KEY": function.key}, input="", capture_output=True, text=True, timeout=30
    )

    assert (done.stdout, done.returncode) == ("one two three\n", 0)
    assert "reconnecting 1/6" in done.stderr
    assert "reconnecting 2/6" in done.stderr
    assert len(upstream.calls) == 1


async def test_escape_closes_the_models_connection_at_once(upstream: ScriptedUpstream, function: RunningFunction) -> None:
    """And not only when the time is over in which the reader might have come back."""
    upstream.calls.clear()
    upstream.script = [STREAM_HEAD, chunk("one "), HANG]
    app = ChatApp(Connection(Endpoint(f"{function.url}/v1", function.key), "assistant"))
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "count")
        await until_shown(pilot, "one")
        await pilot.press("escape")
        await until_shown(pilot, "You stopped this answer.")

        assert await asyncio.to_thread(upstream.calls[0].closed.wait, 5)


async def test_where_streaming_is_switched_off_the_whole_answer_comes_at_once(upstream: ScriptedUpstream) -> None:
    """Through a connection that breaks in its middle: the answer is fetched again, not made again."""
    upstream.calls.clear()
    upstream.script = scripted("one ", "two ", "three")
    settings = {**environment(upstream), "ENABLE_STREAMING": "false"}
    with running_function(settings) as function, ChaosProxy(function.port, [[Fault(Act.RESET, 1200)]]) as proxy:
        heard = await heard_through(proxy.port, function.key)
        assert proxy.injected == 1

    assert (heard.text, heard.finish_reason) == ("one two three", "stop")
    assert [type(event) for event in heard.progress] == [AnsweredAtOnce, Reconnecting, AnsweredAtOnce]
    assert len(upstream.calls) == 1


async def test_an_answer_whose_server_is_killed_is_asked_for_again_when_it_is_back(upstream: ScriptedUpstream) -> None:
    """The log has gone with the process: there is nothing to read on, so that the answer begins anew."""
    gate, heard = threading.Event(), Heard()
    upstream.calls.clear()
    upstream.script = lambda _: held(gate, "one ")  # type: ignore[assignment]
    with running_function(environment(upstream)) as function:
        hearing = asyncio.create_task(heard_through(function.port, function.key, heard))
        await until(lambda: heard.text == "one ")

        upstream.script = scripted("one ", "and all")
        for worker in children(function.process.pid):
            os.kill(worker, signal.SIGKILL)
        await hearing
        gate.set()

    assert (heard.text, heard.finish_reason, heard.restarts) == ("one and all", "stop", 1)
    assert len(upstream.calls) == 2


async def test_a_local_function_that_dies_is_started_again_and_asked_again(upstream: ScriptedUpstream) -> None:
    gate, heard, mark = threading.Event(), Heard(), secrets.token_hex(8)
    upstream.script = lambda _: held(gate, "one ")  # type: ignore[assignment]
    function = LocalFunction({**os.environ, **environment(upstream), MARK: mark})
    async with Connection(function, "assistant", patience=HASTY) as connection:
        hearing = asyncio.create_task(hear(answer(connection, question("assistant")), heard))
        await until(lambda: heard.text == "one ")

        upstream.script = scripted("one ", "and all")
        for process in alive_with(mark):
            os.kill(process, signal.SIGKILL)
        await hearing
        gate.set()

    assert (heard.text, heard.finish_reason, heard.restarts) == ("one and all", "stop", 1)


def held(gate: threading.Event, first: str) -> Iterator[Step]:
    """An answer that stops after its first piece, until the test has seen enough."""
    yield from (STREAM_HEAD, chunk(first))
    assert gate.wait(20)
    yield CLOSE


def children(process: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


async def until(condition: Callable[[], bool], seconds: float = 25) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(0.01)
