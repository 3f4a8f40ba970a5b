"""An answer on the screen, by pressing keys and looking."""

import re
import threading

from sluice_tui.app import ChatApp
from tests.tui.fake_openai import DONE, HANG, FakeOpenAI, Reply, chunk, whole
from tests.tui.screens import CURSOR, send, shown, status_line, until, until_gone, until_shown


async def test_an_answer_appears_as_it_arrives_behind_a_typing_cursor(app: ChatApp, server: FakeOpenAI) -> None:
    first, second = threading.Event(), threading.Event()
    server.script = [first, "Hel", second, *whole("lo")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, CURSOR)
        assert "hi" in shown(app)

        first.set()
        await until_shown(pilot, f"Hel{CURSOR}")

        second.set()
        await until_gone(pilot, CURSOR)
        assert "Hello" in shown(app)


async def test_the_status_line_tells_who_answers_and_how_fast(app: ChatApp, server: FakeOpenAI) -> None:
    server.models = [{"id": "gpt-9", "name": "Nine"}]
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "● 127.0.0.1")
        await send(pilot, "hi")
        await until_shown(pilot, "7 tokens")

        last_line = status_line(app)
        assert "Nine" in last_line
        assert "first token" in last_line
        assert last_line.rstrip().endswith(" s")


async def test_escape_stops_the_answer_and_keeps_what_arrived(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["partial", HANG], whole("complete")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, f"partial{CURSOR}")

        await pilot.press("escape")

        await until_shown(pilot, "You stopped this answer.")
        await until_gone(pilot, CURSOR)
        assert "partial" in shown(app)
        assert server.completions[0].gone.wait(5)

        await send(pilot, "more")
        await until_shown(pilot, "complete")


async def test_escape_stops_a_question_that_waits_for_the_connection(app: ChatApp, server: FakeOpenAI) -> None:
    server.models_gate.clear()
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await pilot.press("escape")
        await until_shown(pilot, "You stopped this answer.")

        server.models_gate.set()
        await send(pilot, "again")
        await until_shown(pilot, "Hello world")

        assert len(server.completions) == 1


async def test_the_whole_conversation_is_sent(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [whole("first answer"), whole("second answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "first answer")
        await until_gone(pilot, CURSOR)
        await send(pilot, "two")
        await until_shown(pilot, "second answer")

    assert server.completions[1].body["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "first answer"},
        {"role": "user", "content": "two"},
    ]


async def test_an_answer_that_ended_early_or_is_empty_says_so(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["cut", chunk(finish_reason="length"), DONE], [chunk(finish_reason="stop"), DONE]]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "The model stopped early: length")
        await send(pilot, "two")
        await until_shown(pilot, "The model sent no text.")


async def test_quitting_in_the_middle_of_an_answer_is_clean(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = ["partial", HANG]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "partial")
        await pilot.press("ctrl+q")

    assert app.return_code == 0
    assert server.completions[0].gone.wait(5)


async def test_escape_before_the_first_token_cancels_on_the_server_once_it_names_the_stream(
    app: ChatApp, server: FakeOpenAI
) -> None:
    gate = threading.Event()
    server.models, server.stream_id = [{"id": "fake", "owned_by": "sluice"}], "s1"
    server.replies["/v1/onboarding/fake"] = Reply(200, {"step": 0, "total": 0, "done": True})
    server.scripts = [Reply(200, b"", "text/event-stream", {"x-stream-id": "s1"}, gate), whole("complete")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until(pilot, lambda: bool(server.completions))
        await pilot.press("escape")
        await until_shown(pilot, "You stopped this answer.")
        await send(pilot, "more")
        await until_shown(pilot, "complete")
        assert "/streams/s1/cancel" not in server.paths

        gate.set()
        await until(pilot, lambda: "/streams/s1/cancel" in server.paths)


async def test_the_details_tell_all_that_is_known_of_an_answer(app: ChatApp, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    async with app.run_test(notifications=True, size=(100, 40)) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "7 tokens")
        await pilot.press("f3")
        await until_shown(pilot, "Turn 1 of 1")

        screen = shown(app)
        for name, value in (
            ("finish reason", "stop"),
            ("stream id", "s1"),
            ("correlation id", "corr-1"),
            ("state", "finished"),
        ):
            assert re.search(rf"{name} +{value}", screen)
        assert re.search(r"completion tokens +7", screen)
        trace_id = server.completions[0].headers["traceparent"].split("-")[1]
        assert trace_id in screen

        await pilot.press("escape")
        await until_gone(pilot, "Turn 1 of 1")
