"""One generation: its frames, its ends, its clocks, its upstreams."""

import gc
import json
import time
import weakref
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice_service.generation.clocks import Clocks
from sluice_service.generation.generation import Generation, State
from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_wire.decoder import Decoder
from sluice_wire.errors import SluiceError
from tests.service.generation.conftest import Start
from tests.support.scripted_provider import HANG, USAGE, ScriptedProvider, delta, finish


def read_all(generation: Generation) -> bytes:
    reader = Reader(generation.log)
    data = b""
    while not reader.at_end:
        assert reader.wait(10), "the generation neither grows nor ends"
        data += reader.take()
    reader.close()
    return data


def frames(data: bytes) -> list[Any]:
    return [json.loads(e.data) if e.data != "[DONE]" else e.data for e in Decoder().feed(data)]


def error_code(generation: Generation) -> str:
    read_all(generation)
    error = generation.record.error
    assert error is not None
    return error.code


def test_good_answer_is_role_content_finish_usage_done(start: Start) -> None:
    generation = start(ScriptedProvider([delta("Hel"), delta("lo"), finish(), USAGE]))
    told = frames(read_all(generation))
    assert [f["choices"][0]["delta"] if f["choices"] else f["usage"] for f in told[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
        USAGE.usage,
    ]
    assert told[3]["choices"][0]["finish_reason"] == "stop"
    assert told[-1] == "[DONE]"
    assert generation.state is State.FINISHED


@given(pieces=st.lists(st.text(min_size=1), min_size=1, max_size=30), takes=st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_content_chunks_are_partial_text_and_together_the_whole(start: Start, pieces: list[str], takes: list[int]) -> None:
    generation = start(ScriptedProvider([*map(delta, pieces), finish()]))
    whole = read_all(generation)
    contents = [f["choices"][0]["delta"].get("content") for f in frames(whole) if f != "[DONE]"]
    assert [c for c in contents if c] == pieces
    assert generation.record.text == "".join(pieces)
    for cursor in takes:
        rest, end = generation.log.read(cursor)
        assert whole.endswith(rest)
        assert end == max(cursor, generation.log.count)


def test_clean_end_without_finish_reason_is_truncated_never_stop(start: Start) -> None:
    generation = start(ScriptedProvider([delta("Hel")]))
    last = frames(read_all(generation))[-1]
    assert last["error"]["code"] == "upstream_truncated"
    assert generation.state is State.FAILED


def test_choice_without_its_own_finish_reason_is_truncated(start: Start) -> None:
    second = delta("two")
    second.choices[0]["index"] = 1
    generation = start(ScriptedProvider([delta("one"), second, finish(index=0)]), parameters={"n": 2})
    assert error_code(generation) == "upstream_truncated"


def test_second_choice_may_go_on_after_the_first_has_finished(start: Start) -> None:
    second = delta("two")
    second.choices[0]["index"] = 1
    provider = ScriptedProvider([delta("one"), finish(index=0), second, finish(index=1), USAGE])
    generation = start(provider, parameters={"n": 2})
    told = frames(read_all(generation))
    assert generation.state is State.FINISHED
    assert [f["choices"][0]["index"] for f in told[1:-2]] == [0, 1, 0, 1]


def test_answer_whose_tail_hangs_or_fails_is_whole_all_the_same(start: Start) -> None:
    failing = start(ScriptedProvider([delta("a"), finish(), SluiceError("upstream_truncated")]))
    assert frames(read_all(failing))[-1] == "[DONE]"
    hanging = start(ScriptedProvider([delta("a"), finish(), HANG]))
    assert frames(read_all(hanging))[-1] == "[DONE]"


def test_abort_after_the_last_word_costs_the_usage_alone(start: Start, pump: Pump) -> None:
    generation = start(ScriptedProvider([delta("a"), finish(), HANG]))
    reader = Reader(generation.log, 1)
    assert reader.wait(5)
    pump.post(generation.abort, SluiceError("server_draining"))
    began = time.monotonic()
    assert frames(read_all(generation))[-1] == "[DONE]"
    assert time.monotonic() - began < 1.5


def test_finish_told_twice_is_one_finish(start: Start) -> None:
    generation = start(ScriptedProvider([delta("a"), finish(), finish("length"), USAGE]))
    reasons = [f["choices"][0]["finish_reason"] for f in frames(read_all(generation)) if f != "[DONE]" and f["choices"]]
    assert reasons == [None, None, "stop"]


def test_ended_generation_holds_no_request(start: Start) -> None:
    provider = ScriptedProvider([delta("a"), finish()])
    generation = start(provider, grace=60.0)
    read_all(generation)
    asked = weakref.ref(provider)
    del provider
    gc.collect()
    assert asked() is None


@pytest.mark.parametrize(
    ("script", "clocks", "code"),
    [
        ([HANG], Clocks(0.05, 5, 5), "first_token_timeout"),
        ([delta("a"), HANG], Clocks(5, 0.05, 5), "idle_timeout"),
        ([delta("a"), HANG], Clocks(5, 5, 0.05), "total_timeout"),
        ([HANG], Clocks(5, 5, 0.05), "total_timeout"),
    ],
)
def test_each_clock_ends_a_silent_stream_by_its_own_name(start: Start, script: Any, clocks: Clocks, code: str) -> None:
    provider = ScriptedProvider(script)
    began = time.monotonic()
    assert error_code(start(provider, clocks=clocks)) == code
    assert time.monotonic() - began < 3, "by the shortest clock that runs, not by another one's timer"
    assert provider.closed.is_set()


def test_slow_but_steady_stream_outlives_its_idle_clock(start: Start) -> None:
    script = [step for i in range(6) for step in (delta(str(i)), 0.06)]
    generation = start(ScriptedProvider([*script, finish()]), clocks=Clocks(0.2, 0.2, 5))
    read_all(generation)
    assert generation.state is State.FINISHED


def test_answer_beyond_its_bound_fails_and_closes_upstream(start: Start) -> None:
    provider = ScriptedProvider([delta("x" * 600), delta("x" * 600), HANG])
    assert error_code(start(provider, max_bytes=1000)) == "output_too_large"
    assert provider.closed.is_set()


def test_abort_closes_upstream_and_ends_the_log(start: Start, pump: Pump) -> None:
    provider = ScriptedProvider([delta("a"), HANG])
    generation = start(provider)
    Reader(generation.log).wait(5)
    pump.post(generation.abort, SluiceError("cancelled"))
    assert error_code(generation) == "cancelled"
    assert provider.closed.wait(5)
    assert generation.state is State.CANCELLED


def test_fault_of_our_own_becomes_internal_error(start: Start) -> None:
    broken = delta("a")
    broken.choices = [{"index": object()}]
    assert error_code(start(ScriptedProvider([broken]))) == "internal_error"


def test_failure_before_content_is_tried_at_the_fallback(start: Start) -> None:
    first, second = ScriptedProvider([SluiceError("upstream_auth_failed")]), ScriptedProvider([delta("b"), finish()])
    generation = start(first, second)
    read_all(generation)
    assert generation.record.text == "b"
    assert (len(first.calls), len(second.calls)) == (1, 1)


def test_passing_failure_of_the_last_provider_is_retried_once(start: Start) -> None:
    refusal = SluiceError("upstream_rate_limited", retry_after_seconds=0.01)
    provider = ScriptedProvider([refusal], [delta("b"), finish()])
    read_all(generation := start(provider))
    assert generation.record.text == "b"
    always = ScriptedProvider([refusal])
    assert error_code(start(always)) == "upstream_rate_limited"
    assert len(always.calls) == 2


def test_retry_after_beyond_the_first_token_budget_is_not_waited_for(start: Start) -> None:
    provider = ScriptedProvider([SluiceError("upstream_rate_limited", retry_after_seconds=60)])
    assert error_code(start(provider)) == "upstream_rate_limited"
    assert len(provider.calls) == 1


@pytest.mark.parametrize("code", ["upstream_rejected", "context_length_exceeded", "content_filtered"])
def test_refusal_of_the_request_itself_goes_to_no_other_provider(start: Start, code: str) -> None:
    first, second = ScriptedProvider([SluiceError(code)]), ScriptedProvider([delta("b"), finish()])
    assert error_code(start(first, second)) == code
    assert not second.calls


def test_nothing_is_retried_after_content(start: Start) -> None:
    first = ScriptedProvider([delta("a"), SluiceError("upstream_unavailable")])
    second = ScriptedProvider([delta("b"), finish()])
    assert error_code(start(first, second)) == "upstream_unavailable"
    assert not second.calls


def test_departed_reader_ends_the_generation_after_the_grace(start: Start, pump: Pump) -> None:
    provider = ScriptedProvider([delta("a"), HANG])
    generation = start(provider, grace=0.05)
    pump.post(generation.attach)
    pump.post(generation.detach)
    assert error_code(generation) == "cancelled"
    assert provider.closed.is_set()


def test_reader_that_returns_within_the_grace_keeps_the_generation_alive(start: Start, pump: Pump) -> None:
    generation = start(ScriptedProvider([delta("a"), 0.3, finish()]), grace=0.1)
    for step in (generation.attach, generation.detach, generation.attach):
        pump.post(step)
    read_all(generation)
    assert generation.state is State.FINISHED
