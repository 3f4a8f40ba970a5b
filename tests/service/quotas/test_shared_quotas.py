"""Limits of several instances in one Redis, and what holds when Redis is down, silent or empty."""

import logging
import signal
import socket
import time
from collections.abc import Callable

import pytest
from redis import Redis

from sluice_service.quotas.base import LimitReached, Limits
from sluice_service.quotas.redis import ANSWER_SECONDS, PAUSE_SECONDS, RedisQuotas
from tests.service.quotas.backends import Clock, User, someone
from tests.support.redis_server import RedisServer


def elsewhere(user: User, quotas: RedisQuotas) -> User:
    return User(quotas, user.limits, user.name)


def is_admitted(user: User) -> bool:
    try:
        user.acquire()
    except LimitReached:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def silence(redis: RedisServer) -> None:
    """It keeps what it has and its connections, and answers nothing."""
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)


def wake(redis: RedisServer) -> None:
    assert redis.process is not None
    redis.process.send_signal(signal.SIGCONT)


def entries_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    written = [record.__dict__.get("json_fields", {}) for record in caplog.records]
    return [fields["failure"] for fields in written if fields.get("event") == "limits_unshared"]


def test_instances_count_streams_together(shared_redis: RedisServer) -> None:
    here, there = RedisQuotas(shared_redis.url), RedisQuotas(shared_redis.url)
    user = someone(here, streams=2)
    lease = user.acquire()
    elsewhere(user, there).acquire()

    assert not is_admitted(elsewhere(user, there))
    lease.release()

    assert eventually(lambda: is_admitted(elsewhere(user, there)))


def test_instances_count_messages_together(shared_redis: RedisServer) -> None:
    here, there = RedisQuotas(shared_redis.url), RedisQuotas(shared_redis.url)
    user = someone(here, messages=3)
    user.acquire()

    assert elsewhere(user, there).acquire().standing.remaining == 1
    assert user.acquire().standing.remaining == 0
    assert not is_admitted(elsewhere(user, there))


def test_message_given_back_on_one_instance_is_there_on_another(shared_redis: RedisServer) -> None:
    here, there = RedisQuotas(shared_redis.url), RedisQuotas(shared_redis.url)
    user = someone(here, messages=1)

    user.acquire().give_back()

    assert is_admitted(elsewhere(user, there))


def test_what_another_instance_used_up_is_not_counted_here(shared_redis: RedisServer) -> None:
    here, there = RedisQuotas(shared_redis.url), RedisQuotas(shared_redis.url)
    user = someone(here, streams=1)
    lease = elsewhere(user, there).acquire()

    refused = [is_admitted(user) for _ in range(3)]
    lease.release()
    there.flush()

    assert refused == [False] * 3
    assert user.acquire().standing.remaining == 98


def test_message_refused_for_another_instances_takes_no_place(shared_redis: RedisServer) -> None:
    here, there = RedisQuotas(shared_redis.url), RedisQuotas(shared_redis.url)
    user = someone(here, streams=2, messages=1)
    lease = elsewhere(user, there).acquire()

    assert not is_admitted(user)
    lease.release()

    generous = User(there, Limits(streams=2, messages_per_hour=9), user.name)
    assert [is_admitted(generous) for _ in range(3)] == [True, True, False]


def test_every_key_in_redis_expires(redis: RedisServer) -> None:
    user = someone(RedisQuotas(redis.url))
    user.acquire(live_seconds=5)
    user.acquire(live_seconds=50)

    with Redis.from_url(redis.url) as client:
        lifetimes = {key: client.ttl(key) for key in client.scan_iter()}

    assert len(lifetimes) == 2
    assert sorted(lifetimes.values())[0] == pytest.approx(65, abs=2)
    assert sorted(lifetimes.values())[1] == pytest.approx(3600, abs=2)


def test_turn_is_admitted_while_redis_is_down_and_one_entry_says_so(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis.stop()
    user = someone(RedisQuotas(redis.url, now=Clock()), streams=2)

    with caplog.at_level(logging.WARNING):
        user.acquire()
        user.acquire()

    assert entries_of(caplog) == ["ConnectionError"]
    assert not is_admitted(user)


def test_what_was_counted_before_redis_went_down_still_holds(redis: RedisServer) -> None:
    user = someone(RedisQuotas(redis.url, now=Clock()), streams=2, messages=4)
    leases = [user.acquire(), user.acquire()]
    redis.stop()

    assert not is_admitted(user)
    for lease in leases:
        lease.release()

    assert user.acquire().standing.remaining == 1


def test_what_was_counted_before_redis_was_restarted_empty_still_holds(redis: RedisServer) -> None:
    user = someone(RedisQuotas(redis.url), streams=2)
    for _ in range(2):
        user.acquire()

    redis.stop()
    redis.start()

    assert not is_admitted(user)


def test_redis_that_is_back_is_asked_again_after_a_pause(redis: RedisServer) -> None:
    clock = Clock()
    here = RedisQuotas(redis.url, now=clock)
    user = someone(here, streams=1)
    redis.stop()
    user.acquire().release()
    redis.start()

    clock.seconds += PAUSE_SECONDS
    user.acquire()

    assert not is_admitted(elsewhere(user, RedisQuotas(redis.url)))


def test_message_that_redis_never_counted_is_not_given_back_to_it(redis: RedisServer) -> None:
    clock = Clock()
    here = RedisQuotas(redis.url, now=clock)
    user = someone(here, messages=10)
    user.acquire()
    silence(redis)
    lease = user.acquire()
    wake(redis)
    clock.seconds += PAUSE_SECONDS

    lease.give_back()

    assert elsewhere(user, RedisQuotas(redis.url)).acquire().standing.remaining <= 8


def test_place_whose_stream_ended_while_redis_was_silent_is_freed_later(redis: RedisServer) -> None:
    clock = Clock()
    user = someone(RedisQuotas(redis.url, now=clock), streams=1)
    there = elsewhere(user, RedisQuotas(redis.url))
    lease = user.acquire()
    silence(redis)
    someone(user.quotas).acquire()

    started = time.monotonic()
    lease.release()
    waited_seconds = time.monotonic() - started
    wake(redis)
    clock.seconds += PAUSE_SECONDS

    assert waited_seconds < 0.1
    assert eventually(lambda: is_admitted(there))


def test_redis_that_never_answers_holds_up_one_turn_for_a_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        user = someone(RedisQuotas(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))

        started = time.monotonic()
        user.acquire()
        first_seconds = time.monotonic() - started
        user.acquire()
        second_seconds = time.monotonic() - started - first_seconds

    assert first_seconds < 4 * ANSWER_SECONDS
    assert second_seconds < 0.1


def test_flush_gives_up_after_a_bounded_time(redis: RedisServer) -> None:
    quotas = RedisQuotas(redis.url, now=Clock())
    user = someone(quotas)
    lease = user.acquire()
    redis.stop()
    lease.release()

    started = time.monotonic()
    quotas.flush()

    assert time.monotonic() - started < 3
