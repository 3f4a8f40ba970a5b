"""Functions on which every error has come about, and what they have logged."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx

from tests.deploy.driven import FORGED, GOOGLE, KEYS, SAID, W3C, WAYS, Driver, bearer, environment, forge, spoilt_store
from tests.support.entries import Entry
from tests.support.redis_server import redis_server
from tests.support.running_function import key_entry, running_function
from tests.support.scripted_upstream import HANG, ScriptedUpstream, answer


@dataclass
class Driven:
    """The whole log, and which requests of it had which error."""

    lines: list[str]
    requests: dict[str, list[str]]

    @property
    def entries(self) -> list[Entry]:
        return [json.loads(line) for line in self.lines]

    def of(self, request_id: str) -> list[Entry]:
        """The entries of one request."""
        return [entry for entry in self.entries if entry.get("request_id") == request_id]


def drive_all(upstream: ScriptedUpstream, folder: Path) -> Driven:
    """Go every way, and one to a good answer; half of the requests carry the one trace header, half the other."""
    requests: dict[str, list[str]] = {}
    with running_function(environment(upstream, folder)) as function, function.client(60) as client:
        drivers = cycle(Driver(function, upstream, client, folder, trace) for trace in (W3C, GOOGLE))
        requests[FORGED] = _ids(forge(next(drivers)))
        requests[""] = _ids([next(drivers).ask(answer(SAID)), next(drivers).ask(answer(SAID), stream=False)])
        requests["internal_error"] = _ids(spoilt_store(next(drivers)))
        # All at once: each waits for one clock or another.
        with ThreadPoolExecutor(len(WAYS)) as pool:
            under_way = {code: pool.submit(way, next(drivers)) for code, way in WAYS.items()}
            requests |= {code: _ids(replies.result()) for code, replies in under_way.items()}
        for ids in requests.values():
            for request_id in ids:
                function.wait_for_log(f'"request_id": "{request_id}".*"event": "response_complete"', 30)
        lines = function.log().split("\n")[:-1]
    return Driven(lines, requests)


def drive_neighbours(upstream: ScriptedUpstream, folder: Path) -> Driven:
    """The rest: a function whose flag is off and whose two places are taken, and then stopped; an instance killed."""
    requests, lines = {}, []
    small = {**environment(upstream, folder), "ENABLE_STREAMING": "false", "THREADS": "34", "IDLE_TIMEOUT_SECONDS": "30"}
    with running_function({**small, "TIMEOUT_SECONDS": "60"}) as function, function.client(60) as client:
        driver = Driver(function, upstream, client, folder, GOOGLE)
        requests["streaming_disabled"] = _ids([driver.ask()])
        # It has left its place, so that two are free.
        function.wait_for_log('"error_type": "streaming_disabled".*"event": "response_complete"', 30)
        with ThreadPoolExecutor(2) as pool:
            taken = [pool.submit(driver.ask, [*answer(SAID)[:3], HANG], stream=False) for _ in range(2)]
            _until(lambda: len(upstream.calls) == 2)
            requests["over_capacity"] = _ids([driver.ask(stream=False)])
            function.process.send_signal(signal.SIGTERM)
            requests["server_draining"] = _ids([held.result() for held in taken])
        function.process.wait(20)
        lines += function.log().split("\n")[:-1]
    requests["producer_lost"], more = _lose_producer(upstream, folder)
    return Driven([*lines, *more], requests)


def _lose_producer(upstream: ScriptedUpstream, folder: Path) -> tuple[list[str], list[str]]:
    """The request that followed, on another instance, a stream whose own was killed; and that instance's log."""
    with redis_server() as redis:
        key = json.dumps([key_entry(KEYS["erin"], "erin")])
        shared = {**environment(upstream, folder), "REDIS_URL": redis.url, "API_KEYS": key, "IDLE_TIMEOUT_SECONDS": "60"}
        shared |= {"TIMEOUT_SECONDS": "60", "RESUME_GRACE_SECONDS": "60"}
        with running_function(shared) as first, running_function(shared) as second, ThreadPoolExecutor(1) as pool:
            with first.client(60) as one, second.client(60) as other:
                starting = Driver(first, upstream, one, folder, W3C)
                following = Driver(second, upstream, other, folder, GOOGLE)
                with starting.open_stream(bearer("erin")) as reply:
                    address = f"/v1/streams/{reply.headers['x-stream-id']}"
                    waiting = pool.submit(following.call, "GET", address, bearer("erin"))
                    second.wait_for_log("GET /v1/streams", 30)
                    os.killpg(first.process.pid, signal.SIGKILL)
                    lost = waiting.result()
                second.wait_for_log(f'"request_id": "{lost.headers["x-request-id"]}".*"event": "response_complete"', 30)
            lines = second.log().split("\n")[:-1]
    return _ids([lost]), lines


def _ids(replies: list[httpx.Response]) -> list[str]:
    return [reply.headers["x-request-id"] for reply in replies]


def _until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
