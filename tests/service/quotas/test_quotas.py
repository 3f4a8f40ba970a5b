"""The contract of the limits, the same for every place to count in."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.quotas.base import Lease, LimitReached, Limits, Quotas, Standing
from tests.service.quotas.backends import MakeQuotas, User, new_name, someone


def refusal(user: User) -> LimitReached:
    with pytest.raises(LimitReached) as refused:
        user.acquire()
    return refused.value


def seconds_until_admitted(user: User, deadline_seconds: float = 10) -> float:
    start = time.monotonic()
    while time.monotonic() < start + deadline_seconds:
        try:
            user.acquire()
        except LimitReached:
            time.sleep(0.01)
        else:
            return time.monotonic() - start
    raise AssertionError("never admitted")


def test_eleventh_stream_is_refused(quotas: Quotas) -> None:
    user = someone(quotas)
    for _ in range(10):
        user.acquire()

    error = refusal(user)

    assert (error.code, error.kind.status, error.data["limit"]) == ("too_many_streams", 429, 10)
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds > 0


def test_tenth_streams_end_frees_the_place_at_once(quotas: Quotas) -> None:
    user = someone(quotas)
    leases = [user.acquire() for _ in range(10)]

    leases[9].release()

    user.acquire()
    assert refusal(user).code == "too_many_streams"


def test_place_that_is_released_twice_is_free_once(quotas: Quotas) -> None:
    user = someone(quotas, streams=2)
    first, _ = user.acquire(), user.acquire()

    first.release()
    first.release()

    user.acquire()
    assert refusal(user).code == "too_many_streams"


def test_refused_stream_counts_no_message(quotas: Quotas) -> None:
    user = someone(quotas, streams=1, messages=3)
    user.acquire()

    standing = refusal(user).standing

    assert (standing.limit, standing.remaining) == (3, 2)


def test_message_too_many_is_refused_until_the_oldest_no_longer_counts(quotas: Quotas) -> None:
    user = someone(quotas, messages=2)
    for _ in range(2):
        user.acquire().release()

    error = refusal(user)

    assert (error.code, error.kind.status, error.data["limit"]) == ("rate_limited", 429, 2)
    assert error.retry_after_seconds == error.standing.reset_seconds
    assert 3590 < error.standing.reset_seconds <= 3600
    assert error.standing.remaining == 0


def test_refused_message_takes_no_place(quotas: Quotas) -> None:
    user = someone(quotas, streams=2, messages=1)
    lease = user.acquire()
    refusal(user)

    lease.give_back()

    assert user.acquire().standing.remaining == 0


def test_message_counts_for_the_time_of_the_window_and_no_longer(make_quotas: MakeQuotas) -> None:
    user = someone(make_quotas(window_seconds=1), messages=2)
    user.acquire()
    user.acquire()

    promised = refusal(user).retry_after_seconds
    waited = seconds_until_admitted(user)

    assert promised is not None
    assert promised - 0.1 < waited < promised + 0.5


def test_place_is_free_when_its_lease_has_ended_by_itself(make_quotas: MakeQuotas) -> None:
    user = someone(make_quotas(margin_seconds=0.2), streams=1)
    user.acquire(live_seconds=0.3)

    waited = seconds_until_admitted(user)

    assert 0.3 < waited < 1.5


def test_short_lease_does_not_end_a_long_one(make_quotas: MakeQuotas) -> None:
    user = someone(make_quotas(margin_seconds=0), streams=2)
    user.acquire(live_seconds=60)
    user.acquire(live_seconds=0.1)

    seconds_until_admitted(user)

    assert refusal(user).code == "too_many_streams"


def test_standing_counts_down(quotas: Quotas) -> None:
    user = someone(quotas, messages=3)

    standings = [user.acquire().standing for _ in range(3)]

    assert [standing.remaining for standing in standings] == [2, 1, 0]
    assert all(standing.limit == 3 and 3590 < standing.reset_seconds <= 3600 for standing in standings)


def test_message_that_is_given_back_counts_no_more(quotas: Quotas) -> None:
    user = someone(quotas, streams=1, messages=2)
    user.acquire().release()

    lease = user.acquire()
    lease.give_back()
    lease.give_back()

    assert user.acquire().standing.remaining == 0


def test_message_whose_stream_has_ended_is_not_given_back(quotas: Quotas) -> None:
    user = someone(quotas, messages=1)
    lease = user.acquire()

    lease.release()
    lease.give_back()

    assert refusal(user).code == "rate_limited"


def test_check_takes_nothing(quotas: Quotas) -> None:
    user = someone(quotas, streams=1, messages=1)

    assert [quotas.check(user.name, user.limits) for _ in range(3)] == [Standing(1, 1, 0.0)] * 3
    assert user.acquire().standing.remaining == 0


@pytest.mark.parametrize(("streams", "messages", "code"), [(1, 9, "too_many_streams"), (9, 1, "rate_limited")])
def test_check_refuses_as_a_turn_would_be(quotas: Quotas, streams: int, messages: int, code: str) -> None:
    user = someone(quotas, streams=streams, messages=messages)
    user.acquire()

    with pytest.raises(LimitReached) as refused:
        quotas.check(user.name, user.limits)

    turn = refusal(user)
    assert refused.value.code == turn.code == code
    assert refused.value.standing.remaining == turn.standing.remaining


def test_one_user_does_not_disturb_another(quotas: Quotas) -> None:
    alice, bob = someone(quotas, streams=1, messages=1), someone(quotas, streams=1, messages=1)
    alice.acquire()

    assert bob.acquire().standing.remaining == 0


def test_keys_of_one_user_count_the_same_messages(quotas: Quotas) -> None:
    user = someone(quotas, messages=3)
    generous = User(quotas, Limits(10, 5), user.name)
    for _ in range(3):
        user.acquire()

    assert generous.acquire().standing.remaining == 1
    assert refusal(user).standing.remaining == 0


def test_flush_returns_when_what_was_released_is_free(two_instances: tuple[Quotas, Quotas]) -> None:
    here, there = two_instances
    user = someone(here, streams=1)
    user.acquire().release()

    here.flush()

    User(there, user.limits, user.name).acquire()


ACTIONS = st.lists(st.tuples(st.sampled_from(["acquire", "release", "give_back"]), st.integers(0, 5)), max_size=25)


@settings(max_examples=100, deadline=None)
@given(actions=ACTIONS, streams=st.integers(1, 4), messages=st.integers(1, 12))
def test_limits_admit_exactly_what_a_ledger_allows(
    quotas: Quotas, actions: list[tuple[str, int]], streams: int, messages: int
) -> None:
    user = someone(quotas, streams=streams, messages=messages)
    leases: list[Lease] = []
    live: set[int] = set()
    sent = 0

    for action, number in actions:
        if action == "acquire":
            expected = "too_many_streams" if len(live) == streams else "rate_limited" if sent == messages else None
            if expected:
                assert refusal(user).code == expected
                continue
            leases.append(user.acquire())
            sent += 1
            live.add(len(leases) - 1)
            assert leases[-1].standing.remaining == messages - sent
        elif number < len(leases):
            getattr(leases[number], action)()
            sent -= action == "give_back" and number in live
            live.discard(number)


class Ledger:
    """How many streams were live at once, at most: counted in after the place was given, out before it is freed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live = 0
        self.most = 0

    def change(self, by: int) -> None:
        with self._lock:
            self._live += by
            self.most = max(self.most, self._live)


@settings(max_examples=100, deadline=None)
@given(streams=st.integers(1, 4), plans=st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=2, max_size=4))
def test_never_more_streams_live_than_the_limit_whoever_comes_at_once(
    two_instances: tuple[Quotas, Quotas], streams: int, plans: list[list[int]]
) -> None:
    instances = two_instances
    limits, name, ledger = Limits(streams, 1000), new_name("user"), Ledger()

    def one_client(number: int) -> None:
        held: list[Lease] = []
        for releases in plans[number]:
            with contextlib.suppress(LimitReached):
                held.append(instances[number % 2].acquire(name, limits, new_name("stream"), 60))
                ledger.change(1)
            for _ in range(min(releases, len(held))):
                ledger.change(-1)
                held.pop().release()
        for lease in held:
            ledger.change(-1)
            lease.release()

    with ThreadPoolExecutor(len(plans)) as clients:
        list(clients.map(one_client, range(len(plans))))

    assert ledger.most <= streams
    for instance in instances:
        instance.flush()
    assert User(instances[0], limits, name).acquire()
