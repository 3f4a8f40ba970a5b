"""How long the terminal waits for a lost connection, and when it gives up."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_tui.backoff import Backoff, Patience, retry_after

chances = st.floats(0, 1, exclude_max=True)
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@given(chance=chances, base=st.floats(0.01, 2), cap=st.floats(0.01, 60), attempts=st.integers(1, 12))
def test_backoff_stays_within_its_bounds_and_jitters(chance: float, base: float, cap: float, attempts: int) -> None:
    """Each wait is that part of its own ceiling which chance says, and the ceiling doubles up to the cap."""
    backoff = Backoff(Patience(attempts, base, cap, chance=lambda: chance))

    waits = [backoff.next_wait() for _ in range(attempts)]

    ceilings = [min(cap, base * 2**attempt) for attempt in range(attempts)]
    assert waits == [pytest.approx(chance * ceiling) for ceiling in ceilings]
    assert all(wait is not None and 0 <= wait <= cap for wait in waits)


@given(st.lists(st.tuples(st.booleans(), st.none() | st.floats(0, 30)), max_size=60))
def test_there_are_never_more_than_six_attempts_without_progress(history: list[tuple[bool, float | None]]) -> None:
    backoff, since_progress = Backoff(Patience()), 0

    for progress, asked in history:
        if progress:
            backoff.progress()
            since_progress = 0
        wait = backoff.next_wait(asked)
        since_progress += 1

        assert (wait is None) == (since_progress > 6)
        assert backoff.attempt == min(since_progress, 6)


@given(asked=st.floats(0, 30), chance=chances)
def test_retry_after_is_waited_in_full_and_jittered_too(asked: float, chance: float) -> None:
    wait = Backoff(Patience(chance=lambda: chance)).next_wait(asked)

    assert wait is not None
    assert asked <= wait == pytest.approx(asked + chance * 0.5)


@given(st.floats(30, 1e9, exclude_min=True))
def test_a_server_that_asks_for_too_long_a_wait_gets_none(asked: float) -> None:
    assert Backoff(Patience()).next_wait(asked) is None


def test_two_terminals_do_not_come_back_at_the_same_time() -> None:
    waits = {Backoff(Patience()).next_wait() for _ in range(20)}

    assert len(waits) == 20


@given(st.integers(0, 10**9 - 1))
def test_retry_after_in_seconds_is_read(seconds: int) -> None:
    assert retry_after(f" {seconds} ", NOW) == seconds


@given(st.integers(-1000, 1000))
def test_retry_after_as_a_date_is_the_time_until_then(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    assert retry_after(date, NOW) == max(0, seconds)


@given(st.none() | st.text() | st.sampled_from(["-1", "1.5", "soon", "9" * 4000, "٣"]))
def test_what_is_no_retry_after_asks_for_nothing(value: str | None) -> None:
    assert retry_after(value, NOW) is None or (value or "").strip().isdigit()


def test_retry_after_in_a_year_that_no_calendar_has_says_nothing() -> None:
    assert retry_after("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", NOW) is None
