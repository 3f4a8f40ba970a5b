"""What is kept, for how long, and how much of it."""

import time

import pytest

from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_service.generation.registry import Registry
from sluice_wire.errors import SluiceError
from tests.service.generation.conftest import Start
from tests.service.generation.test_generation import read_all
from tests.support.scripted_provider import HANG, ScriptedProvider, delta, finish


def test_own_stream_is_found_and_anothers_is_not(start: Start, registry: Registry) -> None:
    generation = start(ScriptedProvider([delta("a"), finish()]), grace=1.0)
    read_all(generation)
    assert registry.find(generation.stream_id, "alice") is generation
    for stream_id, owner in ((generation.stream_id, "bob"), ("unknown", "alice")):
        with pytest.raises(SluiceError, match="not_found"):
            registry.find(stream_id, owner)


def is_kept(registry: Registry, stream_id: str) -> bool:
    try:
        registry.find(stream_id, "alice")
    except SluiceError:
        return False
    return True


def gone_within(registry: Registry, stream_id: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_kept(registry, stream_id) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_kept(registry, stream_id)


def test_stream_that_cannot_be_resumed_goes_at_once(start: Start, registry: Registry) -> None:
    plain = start(ScriptedProvider([delta("a"), finish()]), grace=None)
    read_all(plain)
    assert gone_within(registry, plain.stream_id, 5)


def test_oldest_ended_log_makes_room_for_new_text(start: Start, registry: Registry) -> None:
    first, second = (start(ScriptedProvider([delta("x" * 200_000), finish()]), grace=1.0) for _ in range(2))
    read_all(first)
    read_all(second)
    third = start(ScriptedProvider([delta("x" * 200_000), finish()]), grace=1.0)
    read_all(third)
    assert gone_within(registry, first.stream_id, 5)
    assert is_kept(registry, second.stream_id)


def test_with_live_logs_alone_holding_the_memory_a_new_turn_is_refused(start: Start) -> None:
    live = start(ScriptedProvider([delta("x" * 1_000_000), delta("x" * 100_000), HANG]), max_bytes=1 << 22)
    reader = Reader(live.log)
    while live.log.size_bytes < 1 << 20:
        assert reader.wait(5)
        reader.take()
    with pytest.raises(SluiceError, match="over_capacity"):
        start(ScriptedProvider([finish()]))


def test_live_streams_are_ended_beside_those_that_have_ended_already(start: Start, registry: Registry, pump: Pump) -> None:
    read_all(start(ScriptedProvider([delta("a"), finish()]), grace=1.0))
    live = start(ScriptedProvider([delta("b"), HANG]), grace=1.0)
    assert Reader(live.log).wait(5)

    pump.post(registry.abort_all, SluiceError("server_draining"))

    assert b"server_draining" in read_all(live)
