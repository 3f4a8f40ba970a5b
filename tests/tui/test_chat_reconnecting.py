"""Lost connections on the screen, by pressing keys and looking."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.backoff import Patience
from sluice_tui.connection import Connection
from sluice_tui.transport import Timeouts
from sluice_wire.errors import SluiceError
from tests.tui.fake_openai import HANG, RESET, FakeOpenAI, Reply, whole
from tests.tui.screens import CURSOR, send, shown, status_line, until, until_gone, until_shown


class Held:
    """A patience that waits until it is let go, whatever time it is told to wait."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.patience = Patience(base_seconds=50, cap_seconds=50, chance=lambda: 0.5, sleep=self.sleep)

    async def sleep(self, _: float) -> None:
        await self.gate.wait()
        self.gate.clear()


def app_over(server: FakeOpenAI, patience: Patience) -> ChatApp:
    timeouts = Timeouts(connect=2, read=10)
    return ChatApp(Connection(Endpoint(server.url, "key-0123"), timeouts=timeouts, patience=patience))


async def test_a_lost_connection_counts_down_and_the_same_text_goes_on(server: FakeOpenAI) -> None:
    held, last = Held(), threading.Event()
    server.stream_id = "s1"
    server.script = ["one ", "two ", RESET]
    server.resumptions = [[RESET], ["three ", last, *whole("four")]]
    app = app_over(server, held.patience)
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "count")
        await until_shown(pilot, "The connection is lost: reconnecting 1/6 in 2")
        await until(pilot, lambda: "◌ reconnecting 1/6 in 2" in status_line(app))
        assert "one two" in shown(app)

        held.gate.set()
        await until_shown(pilot, "reconnecting 2/6 in 2")
        held.gate.set()
        await until_shown(pilot, f"one two three{CURSOR}")
        await until_gone(pilot, "reconnecting")
        assert "● 127.0.0.1" in status_line(app)

        last.set()
        await until_shown(pilot, "one two three four")
        await until_gone(pilot, CURSOR)
        assert shown(app).count("one") == 1


async def test_an_answer_that_begins_anew_replaces_what_was_shown(server: FakeOpenAI) -> None:
    held, last = Held(), threading.Event()
    server.scripts = [["# Old\n\n- one\n- two", RESET], ["# New\n\nthree", last, *whole(" four")]]
    app = app_over(server, held.patience)
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "count")
        await until_shown(pilot, "reconnecting 1/6")
        assert "• two" in shown(app)

        held.gate.set()
        await until_shown(pilot, f"three{CURSOR}")
        assert "Old" not in shown(app)
        assert "two" not in shown(app)

        last.set()
        await until_shown(pilot, "three four")
        await until_gone(pilot, CURSOR)
        assert shown(app).count("three four") == 1


async def test_what_was_not_yet_drawn_when_the_answer_began_anew_is_not_drawn(server: FakeOpenAI) -> None:
    app = app_over(server, Patience(base_seconds=0))
    server.scripts = [["old ", "older ", RESET], ["older still ", RESET], whole("new")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "count")
        await until_shown(pilot, "new")
        await until_gone(pilot, CURSOR)

        assert "old" not in shown(app)


async def test_escape_stops_the_waiting_too_and_tells_the_server(server: FakeOpenAI) -> None:
    held = Held()
    server.stream_id = "s1"
    server.scripts = [["half", RESET], whole("complete")]
    app = app_over(server, held.patience)
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "reconnecting 1/6")

        await pilot.press("escape")

        await until_shown(pilot, "You stopped this answer.")
        await until(pilot, lambda: "/streams/s1/cancel" in server.paths)
        await until_gone(pilot, "reconnecting")
        assert "half" in shown(app)

        await send(pilot, "more")
        await until_shown(pilot, "complete")


async def test_escape_stops_the_stream_on_the_server(app: ChatApp, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    server.script = ["half", HANG]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "half")
        await pilot.press("escape")
        await until(pilot, lambda: "/streams/s1/cancel" in server.paths)

    assert server.received[-1].headers["authorization"] == "Bearer key-0123"


async def test_after_the_last_attempt_a_panel_offers_another_try_under_the_same_key(
    app: ChatApp, server: FakeOpenAI
) -> None:
    server.scripts = [["half", RESET], *[[RESET]] * 6, whole("the whole answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "connection_lost")
        await until_gone(pilot, "reconnecting")
        assert "half" in shown(app)

        await pilot.press("tab", "r")
        await until_shown(pilot, "the whole answer")

    keys = [request.headers["idempotency-key"] for request in server.completions]
    assert len(keys) == 8
    # A server that keeps turns under their keys then has the question once; a failed answer is replaced there.
    assert len(set(keys)) == 1


async def test_a_server_that_does_not_stream_is_waited_for(app: ChatApp, server: FakeOpenAI) -> None:
    with plain_server(server) as gate:
        async with app.run_test(notifications=True) as pilot:
            await send(pilot, "hi")
            await until_shown(pilot, "This server does not stream: waiting for the whole answer.")
            assert CURSOR in shown(app)

            gate.set()
            await until_shown(pilot, "Hello whole world")
            await until_gone(pilot, CURSOR)
            assert "waiting" not in shown(app)

            await send(pilot, "more")
            await until(pilot, lambda: len(server.completions) == 3)

    assert [request.body["stream"] for request in server.completions] == [True, False, False]


@contextmanager
def plain_server(server: FakeOpenAI) -> Iterator[threading.Event]:
    """It refuses to stream, and answers plainly when the event is set."""
    gate = threading.Event()
    error = SluiceError("streaming_disabled")
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello whole world"}, "finish_reason": "stop"}
    answered = Reply(200, {"object": "chat.completion", "choices": [choice]}, gate=gate)
    server.scripts = [Reply(error.kind.status, error.report().to_openai()), answered, answered]
    yield gate
    gate.set()
