"""One claim for each key: found, replaced, released."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice_service.generation.claims import Claim, Claims
from sluice_service.generation.generation import Generation
from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_wire.errors import SluiceError
from tests.service.generation.conftest import Start
from tests.support.scripted_provider import HANG, ScriptedProvider, delta, finish

CLAIM = Claim("alice", "/v1", "key", b"digest")


def never() -> Generation:
    raise AssertionError("the claim is held")


def test_running_stream_is_found_under_its_claim(start: Start) -> None:
    claims = Claims()
    first = claims.get_or_start(CLAIM, lambda: start(ScriptedProvider([delta("a"), HANG])))
    assert claims.get_or_start(CLAIM, never) is first


def test_aborted_stream_is_replaced_before_its_end_is_told(start: Start, pump: Pump) -> None:
    claims = Claims()
    first = claims.get_or_start(CLAIM, lambda: start(ScriptedProvider([delta("a"), HANG])))
    Reader(first.log).wait(5)
    seen: list[bool] = []

    def abort_and_look() -> None:
        first.abort(SluiceError("cancelled"))
        seen.append(first.failed and not first.log.ended)

    pump.post(abort_and_look)
    Reader(first.log, 2).wait(5)
    assert seen == [True]
    replacement = start(ScriptedProvider([delta("b"), finish()]))
    assert claims.get_or_start(CLAIM, lambda: replacement) is replacement


def test_start_that_fails_claims_nothing(start: Start) -> None:
    claims = Claims()

    def refuse() -> Generation:
        raise SluiceError("over_capacity")

    with pytest.raises(SluiceError, match="over_capacity"):
        claims.get_or_start(CLAIM, refuse)
    generation = start(ScriptedProvider([delta("a"), finish()]))
    assert claims.get_or_start(CLAIM, lambda: generation) is generation


def test_of_many_at_one_instant_one_starts(start: Start) -> None:
    claims, together, started = Claims(), threading.Barrier(8), []

    def begin() -> Generation:
        started.append(start(ScriptedProvider([delta("a"), HANG])))
        return started[-1]

    def claim(_: int) -> object:
        together.wait()
        return claims.get_or_start(CLAIM, begin)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(claim, range(8))) == set(started)
    assert len(started) == 1


def test_release_forgets_only_the_stream_that_holds_the_claim(start: Start) -> None:
    claims = Claims()
    first, second = (start(ScriptedProvider([delta("a"), HANG])) for _ in range(2))
    claims.get_or_start(CLAIM, lambda: first)
    claims.release(CLAIM, second)
    assert claims.get_or_start(CLAIM, never) is first
    claims.release(CLAIM, first)
    assert claims.get_or_start(CLAIM, lambda: second) is second
