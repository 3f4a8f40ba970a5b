"""Connections that break at any byte, on either side of the function: nothing is lost, doubled or made up."""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_wire.decoder import Decoder
from sluice_wire.errors import ERRORS
from tests.support.chaos_proxy import Act, ChaosProxy, Fault, Plan, Towards
from tests.support.resuming_client import Reading, ResumingClient, take, texts
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, Script, ScriptedUpstream, Step, answer, chunk

HEARTBEAT_SECONDS = 0.1
CUTS_AT_ONCE = 120
ASKED_AT_ONCE = 48
STALLED_AT_ONCE = 96  # each waits for a clock
BODY: dict[str, Any] = {
    "model": "assistant",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    upstream = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": shared_upstream.url}
    with running_function({**upstream, "HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)}) as function:
        yield function


@pytest.fixture(scope="module")
def between(function: RunningFunction) -> Iterator[ChaosProxy]:
    """Between the client and the function."""
    with ChaosProxy(function.port) as proxy:
        yield proxy


any_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
faults = st.builds(
    Fault,
    st.sampled_from([Act.DROP, Act.RESET, Act.HALF_CLOSE, Act.TRICKLE]),
    st.integers(0, 2500),
    st.just(Towards.CLIENT),
) | st.builds(Fault, st.sampled_from([Act.DROP, Act.RESET]), st.integers(0, 500), st.just(Towards.SERVER))


@given(pieces=st.lists(any_text, min_size=1, max_size=12), plans=st.lists(st.lists(faults, max_size=2), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_text_in_any_pieces_with_any_drops_is_read_whole_from_one_call(
    function: RunningFunction,
    between: ChaosProxy,
    shared_upstream: ScriptedUpstream,
    pieces: list[str],
    plans: list[list[Fault]],
) -> None:
    shared_upstream.calls.clear()
    shared_upstream.script = answer(*pieces)
    between.plans.clear()
    between.plans.extend(plans)

    with ResumingClient(between.port, function.key) as client:
        reading = client.read_whole(BODY, uuid.uuid4().hex)

    assert reading.frames[-1] == b"data: [DONE]\n\n"
    assert reading.text == "".join(pieces)
    assert len(shared_upstream.calls) == 1


class HeldAnswer:
    """A script that pauses after its first piece until it is told to go on, and then long enough for a heartbeat."""

    def __init__(self, rest: Script) -> None:
        self.go_on = threading.Event()
        self._rest = rest

    def __call__(self, _: Any) -> Iterator[Step]:
        yield from (STREAM_HEAD, chunk("a☃"))
        assert self.go_on.wait(20)
        yield HEARTBEAT_SECONDS * 1.5
        yield from self._rest


@pytest.mark.parametrize(
    ("rest", "last"), [(answer()[2:], b"data: [DONE]"), ([CLOSE], b'data: {"error"')], ids=["usage", "error"]
)
def test_stream_cut_at_every_byte_is_joined_byte_identical(
    function: RunningFunction, between: ChaosProxy, upstream: ScriptedUpstream, rest: Script, last: bytes
) -> None:
    first_cut = first = head_bytes(function) - 40  # cuts within the head are the property's; a few are made here too
    heartbeats, connections = 0, CUTS_AT_ONCE + 1
    while connections > CUTS_AT_ONCE:  # until a whole batch of cuts lies beyond the end
        cuts = range(first_cut, first_cut + CUTS_AT_ONCE)
        upstream.script = held = HeldAnswer(rest)  # type: ignore[assignment]
        between.plans.clear()
        between.plans.extend([Fault(Act.DROP, cut)] for cut in cuts)

        whole, joined = read_whole_and_cut(function, between, held)

        assert whole.frames[-1].startswith(last)
        for cut, reading in zip(cuts, joined, strict=True):
            assert reading.raw == whole.raw, f"cut after {cut} bytes"
        heartbeats += sum(reading.heartbeats for reading in joined)
        connections = sum(reading.connections for reading in joined)
        first_cut = cuts.stop
    assert heartbeats
    assert first_cut - CUTS_AT_ONCE - first > len(whole.raw)


def head_bytes(function: RunningFunction) -> int:
    """How long a stream's status line and headers are together."""
    with function.client() as client:
        headers = client.post("/v1/chat/completions", json=BODY).headers.raw
    return len(b"HTTP/1.1 200 OK\r\n\r\n") + sum(len(name) + len(value) + len(b": \r\n") for name, value in headers)


def read_whole_and_cut(function: RunningFunction, between: ChaosProxy, held: HeldAnswer) -> tuple[Reading, list[Reading]]:
    """One generation, with a reader that is left alone and one for each cut, all attached before it goes on."""
    whole = Reading()
    with (
        ResumingClient(function.port, function.key) as direct,
        ResumingClient(between.port, function.key) as broken,
        ThreadPoolExecutor(CUTS_AT_ONCE) as pool,
    ):
        response = direct.ask(whole, BODY, uuid.uuid4().hex)
        readings = [Reading(whole.stream_id) for _ in range(CUTS_AT_ONCE)]
        opened = []
        for reading in readings:  # one after the other: in this order they take their plans
            with suppress(httpx.TransportError):  # cut within the response's head
                opened.append((broken.resume(reading), reading))

        def read_on(response: httpx.Response, reading: Reading) -> None:
            with suppress(httpx.TransportError):
                take(response, reading)

        held.go_on.set()
        list(pool.map(read_on, *zip(*opened, strict=True)))
        list(pool.map(broken.read_on, readings))
        take(response, whole)
    return whole, readings


@pytest.fixture(scope="module")
def behind(shared_upstream: ScriptedUpstream) -> Iterator[ChaosProxy]:
    """Between a function and its upstream."""
    port = int(shared_upstream.url.removesuffix("/v1").rpartition(":")[2])
    with ChaosProxy(port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def impatient(behind: ChaosProxy) -> Iterator[RunningFunction]:
    """A function that reaches its upstream through the proxy, and does not wait long for it."""
    upstream = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": f"{behind.url}/v1"}
    clocks = {"FIRST_TOKEN_TIMEOUT_SECONDS": "3", "IDLE_TIMEOUT_SECONDS": "0.7", "HEARTBEAT_SECONDS": "0.1"}
    with running_function({**upstream, **clocks}) as function:
        yield function


PIECES = ("é", "☃")
FRAMES = (
    *(f'data:{{"choices":[{{"delta":{{"content":"{piece}"}}}}]}}\n\n'.encode() for piece in PIECES),
    b'data:{"choices":[{"finish_reason":"stop"}]}\n\n',
    b"data:[DONE]\n\n",
)
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\ncontent-type:text/event-stream\r\n\r\n" + b"".join(FRAMES)
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type:text/event-stream\r\ntransfer-encoding:chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(frame), frame) for frame in (*FRAMES, b"")
)
LOST = frozenset({"upstream_unavailable", "upstream_truncated"})
SILENT = frozenset({"first_token_timeout", "idle_timeout"})


def outcome(response: httpx.Response) -> str:
    """ "whole", or the code of the error; whatever is neither the one nor the other fails here."""
    raw = response.content
    if response.status_code != 200:
        return code_of(response.json())
    assert raw.endswith(b"\n\n"), raw
    *told, last = [event.data for event in Decoder().feed(raw)]
    text, ends = "".join(texts(raw)), [data for data in told if '"finish_reason":"' in data]
    assert "[DONE]" not in told, raw
    if last == "[DONE]":
        assert (text, len(ends)) == ("".join(PIECES), 1), raw
        return "whole"
    assert not ends, f"a made-up end: {raw!r}"
    assert "".join(PIECES).startswith(text), raw
    return code_of(json.loads(last))


def code_of(body: dict[str, Any]) -> str:
    code: str = body["error"]["code"]
    assert code in ERRORS
    return code


def outcomes(
    function: RunningFunction, behind: ChaosProxy, plans: Sequence[Plan], at_once: int = ASKED_AT_ONCE
) -> Counter[str]:
    """Ask until every plan has been taken, each by one connection; the function's own retries take some of them."""
    behind.plans.clear()
    behind.plans.extend(plans)
    told: Counter[str] = Counter()
    with function.client() as client, ThreadPoolExecutor(at_once) as pool:

        def ask(_: int) -> str:
            return outcome(client.post("/v1/chat/completions", json=BODY))

        while behind.plans:
            told.update(pool.map(ask, range(min(at_once, len(behind.plans)))))
    return told


@pytest.mark.parametrize(
    ("act", "response", "errors"),
    [
        (Act.DROP, CHUNKED, LOST),
        (Act.DROP, UNTIL_CLOSED, LOST),
        (Act.RESET, CHUNKED, LOST),
        (Act.HALF_CLOSE, CHUNKED, LOST),
        (Act.STALL, CHUNKED, SILENT),
    ],
    ids=["drop", "drop unframed", "reset", "half-close", "stall"],
)
def test_upstream_broken_at_any_byte_gives_the_whole_answer_or_a_prefix_and_an_error(
    impatient: RunningFunction,
    behind: ChaosProxy,
    upstream: ScriptedUpstream,
    act: Act,
    response: bytes,
    errors: frozenset[str],
) -> None:
    upstream.script = [response, CLOSE]

    plans = [[Fault(act, at_byte)] for at_byte in range(len(response))]

    told = outcomes(impatient, behind, plans, STALLED_AT_ONCE if act is Act.STALL else ASKED_AT_ONCE)

    assert told.keys() == {"whole", *errors}


def test_upstream_that_trickles_from_any_byte_on_gives_the_whole_answer(
    impatient: RunningFunction, behind: ChaosProxy, upstream: ScriptedUpstream
) -> None:
    upstream.script = [CHUNKED, CLOSE]

    told = outcomes(impatient, behind, [[Fault(Act.TRICKLE, at_byte)] for at_byte in range(len(CHUNKED))])

    assert told == {"whole": len(CHUNKED)}


@pytest.mark.parametrize("act", [Act.DROP, Act.RESET])
def test_request_that_is_cut_on_its_way_to_upstream_is_sent_once_more(
    impatient: RunningFunction, behind: ChaosProxy, upstream: ScriptedUpstream, act: Act
) -> None:
    upstream.script = [CHUNKED, CLOSE]
    for at_byte in range(0, 600, 120):
        cut = Fault(act, at_byte, Towards.SERVER)
        assert outcomes(impatient, behind, [[cut]]) == {"whole": 1}, at_byte
        assert len(upstream.calls) == 1, "half a request is none"
        upstream.calls.clear()
