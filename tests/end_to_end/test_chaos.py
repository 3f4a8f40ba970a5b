"""Connections that break at any byte, on either side of the function: nothing is lost, doubled or made up."""

import asyncio
import http.client
import itertools
import json
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_wire.decoder import Decoder
from sluice_wire.errors import ERRORS
from tests.support.chaos_proxy import Act, ChaosProxy, Fault, Plan, Towards
from tests.support.resuming_client import PATH, read_whole, texts
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, Script, ScriptedUpstream, Step, answer, chunk

IDLE_SECONDS = 0.6
BODY: dict[str, Any] = {
    "model": "assistant",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture(scope="module")
def behind(shared_upstream: ScriptedUpstream) -> Iterator[ChaosProxy]:
    """Between the function and its upstream."""
    with ChaosProxy(int(shared_upstream.url.split(":")[2].removesuffix("/v1")), trickle_pause_seconds=0.0005) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def function(behind: ChaosProxy) -> Iterator[RunningFunction]:
    environment = {
        "OPENAI_API_KEY": "sk-up",
        "OPENAI_BASE_URL": f"{behind.url}/v1",
        "HEARTBEAT_SECONDS": "0.1",
        "FIRST_TOKEN_TIMEOUT_SECONDS": str(IDLE_SECONDS),
        "IDLE_TIMEOUT_SECONDS": str(IDLE_SECONDS),
    }
    with running_function(environment) as function:
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
@settings(max_examples=150, deadline=None)
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

    reading = read_whole(between.port, function.key, BODY, uuid.uuid4().hex)

    assert reading.frames[-1] == b"data: [DONE]\n\n"
    assert reading.text == "".join(pieces)
    assert len(shared_upstream.calls) == 1


WITH_USAGE = [STREAM_HEAD, chunk("a☃"), 0.25, *answer("b", pause=0.25)[2:]]
WITH_ERROR = [STREAM_HEAD, chunk("a☃"), 0.25, chunk("b"), 0.25, CLOSE]


@pytest.mark.parametrize(
    ("script", "last"),
    [(WITH_USAGE, b"data: [DONE]"), (WITH_ERROR, b'data: {"error"')],
    ids=["usage", "error"],
)
def test_stream_cut_at_every_byte_is_joined_byte_identical(
    function: RunningFunction, between: ChaosProxy, upstream: ScriptedUpstream, script: Script, last: bytes
) -> None:
    upstream.script = script
    whole, head_bytes, sent_bytes = asyncio.run(_read_uncut(function))
    assert whole[-1].startswith(last)
    assert sent_bytes > head_bytes + len(b"".join(whole)), "heartbeats are part of what is cut"
    for cuts in _batches(range(head_bytes, sent_bytes), 200):
        between.plans.clear()
        between.plans.extend([Fault(Act.DROP, cut)] for cut in cuts)
        frames, joined = asyncio.run(_read_cut(function, between, len(cuts)))
        assert between.injected >= len(cuts) - 20, "a heartbeat more or less, and the last cuts come after the end"
        for cut, parts in zip(cuts, joined, strict=True):
            assert parts == frames, f"cut after {cut} bytes"
    assert len(upstream.calls) < 10
