"""Saving answers while the store does not answer: on a real pump, with a store that hangs or fails when told to."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice_service.chat.agents import Agent
from sluice_service.chat.conversations import AnswerKeeper, Wanted
from sluice_service.chat.saving import MAX_PENDING, SAVE_SECONDS, Saver
from sluice_service.generation.attempts import Target
from sluice_service.generation.clocks import Clocks
from sluice_service.generation.generation import Generation, Plan
from sluice_service.generation.memory_log import MemoryLog
from sluice_service.generation.pump import Pump
from sluice_service.generation.reader import Reader
from sluice_service.generation.registry import Registry
from sluice_service.providers.base import ModelCall
from sluice_service.stores.base import Conversation, Message
from sluice_service.stores.sqlite import SqliteStore
from sluice_service.web.simple_dialect import SimpleDialect
from sluice_wire.decoder import Decoder
from sluice_wire.errors import SluiceError
from tests.service.telemetry.logged import Logged, logged
from tests.support.scripted_provider import ScriptedProvider, Step, delta, finish

AGENT = Agent(id="a", provider="demo", model="m")
QUESTION = Message(id="q", role="user", content="hi", created=1.0)
STREAMS = 200
BYSTANDERS = 3
PACE_SECONDS = 0.01
PIECES = 400


class TroubledStore(SqliteStore):
    """In memory. `answers` lets appends through; the next `failures` of them are refused with `code`."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answers = threading.Event()
        self.answers.set()
        self.failures = 0
        self.code = "storage_unavailable"

    def append(
        self, user: str, conversation_id: str, agent: str, messages: Sequence[Message], title: str | None
    ) -> Conversation:
        self.answers.wait(30)
        if self.failures:
            self.failures -= 1
            raise SluiceError(self.code)
        return super().append(user, conversation_id, agent, messages, title)


@pytest.fixture
def saver(pump: Pump) -> Saver:
    return Saver(pump)


@pytest.fixture
def store() -> Iterator[TroubledStore]:
    store = TroubledStore()
    yield store
    store.answers.set()  # no thread is left waiting


@pytest.fixture
def log() -> Iterator[Logged]:
    with logged(cloud=True, level="WARNING") as log:
        yield log


@pytest.fixture
def start(pump: Pump, saver: Saver, store: TroubledStore) -> Callable[..., Generation]:
    """Start a generation that plays these steps; its answer is kept in a conversation of its own name, if at all."""
    registry = Registry(pump, MemoryLog, max_log_bytes=1 << 26, resume_ttl_seconds=60)

    def start(name: str, *steps: Step, kept: bool = True) -> Generation:
        if kept:
            SqliteStore.append(store, "alice", name, AGENT.id, [QUESTION], "")
        wanted = Wanted(name, name, with_history=False)
        keeper = AnswerKeeper(store, saver, "alice", AGENT, wanted, name, None) if kept else None
        target = Target(ScriptedProvider(steps), ModelCall("m", [], {}))
        plan = Plan(name, "alice", [target], Clocks(30, 30, 30), 1 << 20, 30.0, keeper=keeper)
        dialect = SimpleDialect(f"correlation of {name}")
        generation = Generation(plan, dialect, registry.new_log(dialect.envelope))
        registry.start(generation)
        return generation

    return start


def read_to_the_end(generation: Generation) -> tuple[bytes, list[float]]:
    """What it told, and when pieces of it came."""
    reader, told, moments = Reader(generation.log), b"", []
    while not reader.at_end:
        assert reader.wait(20), "the generation neither grows nor ends"
        told += reader.take()
        moments.append(time.monotonic())
    reader.close()
    return told, moments


def last_frame(told: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Decoder().feed(told)[-1].data)
    return body


def failures(log: Logged) -> list[dict[str, Any]]:
    return [entry for entry in (log.documents if log.text else ()) if entry["event"] == "save_failed"]


def answers_of(store: SqliteStore, conversation_id: str) -> list[tuple[str, str]]:
    """Content and status of what was said after the question, once there is anything."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        _, *answers = store.messages("alice", conversation_id, 10).items
        if answers:
            return [(message.content, message.status) for message in answers]
        time.sleep(0.01)
    raise AssertionError(f"{conversation_id} never gets its answer")


def on_pump(pump: Pump, saving: Callable[[], Any]) -> Any:
    """The result of a coroutine that runs on the pump."""

    async def run() -> Any:
        return await saving()

    return asyncio.run_coroutine_threadsafe(run(), pump.loop).result(20)


def test_200_streams_that_end_together_with_a_hung_store_disturb_no_other(
    start: Callable[..., Generation], store: TroubledStore, log: Logged
) -> None:
    store.answers.clear()
    paced = [step for number in range(PIECES) for step in (PACE_SECONDS, delta(str(number)))]
    with ThreadPoolExecutor(BYSTANDERS) as readers:
        others = [start(f"other{number}", *paced, finish(), kept=False) for number in range(BYSTANDERS)]
        watched = [readers.submit(read_to_the_end, other) for other in others]
        began = time.monotonic()
        streams = [start(f"s{number}", delta("whole"), 0.5, finish()) for number in range(STREAMS)]
        lasts = [last_frame(read_to_the_end(stream)[0]) for stream in streams]
        took_seconds = time.monotonic() - began
        moments = [future.result()[1] for future in watched]

    assert took_seconds < 6
    assert {(last["status"], last["persisted"]) for last in lasts} == {("complete", False)}
    gaps = sorted(after - before for each in moments for before, after in itertools.pairwise(each))
    assert gaps[int(len(gaps) * 0.99)] - PACE_SECONDS < 0.5
    errors = failures(log)
    assert len(errors) == STREAMS
    assert {(error["severity"], error["error_type"]) for error in errors} == {("WARNING", "storage_unavailable")}

    store.answers.set()
    assert [answers_of(store, f"s{number}") for number in range(STREAMS)] == [[("whole", "complete")]] * STREAMS


def test_answer_is_saved_before_its_last_frame(start: Callable[..., Generation], store: TroubledStore, log: Logged) -> None:
    last = last_frame(read_to_the_end(start("s", delta("whole"), finish()))[0])
    assert (last["persisted"], last["conversation_id"]) == (True, "s")
    assert answers_of(store, "s") == [("whole", "complete")]
    assert not failures(log)


def test_text_does_not_wait_for_the_store(start: Callable[..., Generation], store: TroubledStore) -> None:
    store.answers.clear()
    generation = start("s", delta("whole"), finish())
    reader = Reader(generation.log)
    assert reader.wait(1)
    assert b"whole" in reader.take()
    assert not generation.log.ended
    reader.close()
    _, moments = read_to_the_end(generation)
    assert generation.record.ended is not None
    assert generation.record.ended - generation.record.started == pytest.approx(SAVE_SECONDS, abs=0.8)
    assert moments


def test_store_that_fails_at_first_is_asked_again_within_the_time(
    start: Callable[..., Generation], store: TroubledStore, log: Logged
) -> None:
    store.failures = 1
    assert last_frame(read_to_the_end(start("s", delta("whole"), finish()))[0])["persisted"] is True
    assert answers_of(store, "s") == [("whole", "complete")]
    assert not failures(log)


def test_save_is_retried_until_it_succeeds(start: Callable[..., Generation], store: TroubledStore, log: Logged) -> None:
    store.failures = 5  # 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s without the jitter: longer than a reader waits
    assert last_frame(read_to_the_end(start("s", delta("whole"), finish()))[0])["persisted"] is False
    assert [failure["lost"] for failure in failures(log)] == [0]
    assert answers_of(store, "s") == [("whole", "complete")]


def test_what_the_store_refuses_for_good_is_not_retried(
    start: Callable[..., Generation], store: TroubledStore, log: Logged
) -> None:
    store.failures, store.code = 1, "request_too_large"
    last = last_frame(read_to_the_end(start("s", delta("whole"), finish()))[0])
    assert (last["status"], last["persisted"]) == ("complete", False)
    (failure,) = failures(log)
    assert (failure["severity"], failure["error_type"]) == ("ERROR", "request_too_large")


def test_interrupted_answer_is_saved_in_the_background(start: Callable[..., Generation], store: TroubledStore) -> None:
    store.answers.clear()
    told, _ = read_to_the_end(start("s", delta("half"), SluiceError("upstream_unavailable")))
    assert last_frame(told)["code"] == "upstream_unavailable"
    store.answers.set()
    assert answers_of(store, "s") == [("half", "partial")]


def test_flush_waits_for_what_is_unsaved(pump: Pump, saver: Saver, store: TroubledStore, log: Logged) -> None:
    saved = threading.Event()
    gate = threading.Event()

    def call() -> None:
        gate.wait(10)
        saved.set()

    pump.post(lambda: saver.save_later(call, what="It"))
    flushing = threading.Thread(target=saver.flush)
    flushing.start()
    gate.set()
    flushing.join(5)
    assert saved.is_set()
    assert not failures(log)
    assert store.answers.is_set()


def test_flush_is_bounded_and_says_what_is_lost(pump: Pump, saver: Saver, log: Logged) -> None:
    gate = threading.Event()
    pump.post(lambda: [saver.save_later(lambda: gate.wait(20), what="It") for _ in range(3)])
    began = time.monotonic()
    saver.flush()
    assert time.monotonic() - began < 3
    gate.set()
    (failure,) = failures(log)
    assert failure["severity"] == "ERROR"
    assert "3 could not be saved" in failure["message"]
    assert failure["lost"] == 3


def test_flush_without_anything_to_save_returns_at_once(saver: Saver, log: Logged) -> None:
    began = time.monotonic()
    saver.flush()
    assert time.monotonic() - began < 0.5
    assert not log.text


def test_saves_that_wait_are_bounded(pump: Pump, saver: Saver, log: Logged) -> None:
    gate = threading.Event()

    async def one_too_many() -> bool:
        for _ in range(MAX_PENDING):
            saver.save_later(lambda: gate.wait(20), what="It")
        return await saver.save(lambda: None, what="The last one")

    try:
        assert on_pump(pump, one_too_many) is False
        assert [entry["message"] for entry in failures(log)] == ["The last one: Too many saves are waiting already."]
    finally:
        gate.set()
