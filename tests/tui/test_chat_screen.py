"""The chat, by pressing keys and looking."""

import threading

from textual.pilot import Pilot
from textual.widgets import TextArea

from sluice_tui.app import ChatApp
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.transcript import Transcript
from sluice_wire.errors import SluiceError
from tests.tui.fake_openai import DONE, HANG, FakeOpenAI, Reply, chunk, frame, whole
from tests.tui.screens import shown, until, until_gone, until_shown

CURSOR = "▍"


async def send(pilot: Pilot[None], text: str) -> None:
    await pilot.press(*text, "enter")


def draft(app: ChatApp) -> str:
    return app.screen.query_one(Prompt).text


# -- an answer


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

        last_line = shown(app).rstrip().splitlines()[-1]
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


# -- the prompt


async def test_what_is_typed_right_after_enter_is_the_next_message(app: ChatApp, server: FakeOpenAI) -> None:
    async with app.run_test(notifications=True) as pilot:
        await pilot.press(*"hello", "enter", *"next")
        await until_shown(pilot, "Hello world")

        assert server.completions[0].body["messages"][0]["content"] == "hello"
        assert draft(app) == "next"


async def test_one_is_sent_at_a_time_and_the_draft_stays(app: ChatApp, server: FakeOpenAI) -> None:
    gate = threading.Event()
    server.scripts = [["part", gate, *whole("end")], whole("next answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "part")

        await send(pilot, "two")
        await until_shown(pilot, "An answer is on its way")
        assert draft(app) == "two"
        assert len(server.completions) == 1

        gate.set()
        await until_shown(pilot, "partend")
        await until_gone(pilot, CURSOR)
        await pilot.press("enter")
        await until_shown(pilot, "next answer")
        assert draft(app) == ""


async def test_focus_stays_in_the_prompt_whatever_arrives(app: ChatApp, server: FakeOpenAI) -> None:
    gate = threading.Event()
    server.script = ["part", gate]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "part")
        await pilot.press(*"dra")
        gate.set()
        await until_shown(pilot, "answer_truncated")
        await pilot.press(*"ft")

        assert isinstance(app.focused, Prompt)
        assert draft(app) == "draft"


async def test_ctrl_j_and_shift_enter_break_the_line(app: ChatApp, server: FakeOpenAI) -> None:
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "enter")
        await until(pilot, lambda: bool(server.completions))

    assert server.completions[0].body["messages"][0]["content"] == "a\nb\nc"


async def test_nothing_is_sent_where_nothing_is_written(app: ChatApp, server: FakeOpenAI) -> None:
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("enter", "space", "enter")
        await until_shown(pilot, "●")

    assert server.completions == []


async def test_up_and_down_recall_and_a_draft_is_not_lost(app: ChatApp) -> None:
    async with app.run_test(notifications=True) as pilot:
        for text in ("one", "two"):
            await send(pilot, text)
            await until_shown(pilot, "7 tokens")
            await until(pilot, lambda: draft(app) == "")

        await pilot.press("up")
        assert draft(app) == "two"
        await pilot.press("up", "up")
        assert draft(app) == "one"
        await pilot.press("down")
        assert draft(app) == "two"
        await pilot.press("down")
        assert draft(app) == ""

        await pilot.press(*"draft", "up", "down")
        assert draft(app) == "draft"


async def test_the_prompt_takes_text_while_the_connection_is_being_made(app: ChatApp, server: FakeOpenAI) -> None:
    server.models_gate.clear()
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "○ connecting")
        await send(pilot, "early")
        await pilot.press(*"later")
        await until_shown(pilot, CURSOR)
        assert draft(app) == "later"

        server.models_gate.set()
        await until_shown(pilot, "Hello world")


# -- errors


async def test_a_broken_answer_becomes_a_panel_and_nothing_is_lost(app: ChatApp, server: FakeOpenAI) -> None:
    told = SluiceError("idle_timeout", seconds=30).report("corr-42")
    server.script = ["half of it", frame(told.to_openai())]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "my question")
        await until_shown(pilot, "idle_timeout · corr-42")

        screen = shown(app)
        for part in ("my question", "half of it", "fell silent for 30 s", "kept the connection", "→ Send the request again"):
            assert part in screen
        assert "This is not the whole answer." in screen


async def test_r_on_the_panel_asks_again_in_its_place(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["half"], whole("the whole answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "my question")
        await until_shown(pilot, "answer_truncated")

        await pilot.press("tab", "r")

        await until_shown(pilot, "the whole answer")
        await until_gone(pilot, CURSOR)
        assert "answer_truncated" not in shown(app)
        assert "half" not in shown(app)
        assert shown(app).count("my question") == 1
        assert isinstance(app.focused, Prompt)
    assert server.completions[0].body == server.completions[1].body


async def test_the_buttons_do_what_the_keys_do(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["half"], whole("the whole answer")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "answer_truncated")

        await pilot.click("#copy")
        assert "The answer broke off." in app.clipboard
        assert "answer_truncated · corr-1" in app.clipboard

        await pilot.click("#retry")
        await until_shown(pilot, "the whole answer")


async def test_c_copies_the_details(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = ["half"]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "hi")
        await until_shown(pilot, "answer_truncated")
        await pilot.press("tab", "c")

        assert app.clipboard.splitlines()[0] == "The answer broke off."


async def test_only_the_last_error_offers_another_try(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [["half"], whole("fine")]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "answer_truncated")
        await send(pilot, "two")
        await until_shown(pilot, "fine")

        await pilot.press("tab")

        assert isinstance(app.focused, Prompt)
        assert "r  Try again" not in shown(app)


async def test_a_wrong_key_is_told_at_the_start_and_can_be_tried_again(app: ChatApp, server: FakeOpenAI) -> None:
    told = SluiceError("invalid_credentials").report("corr-1")
    server.replies["/v1/models"] = Reply(401, told.to_openai())
    async with app.run_test(notifications=True) as pilot:
        await until_shown(pilot, "The API key is not valid here.")
        assert "✗ not connected" in shown(app)
        assert "key-0123" not in shown(app)

        server.replies.clear()
        await pilot.press("tab", "r")
        await until_shown(pilot, "● 127.0.0.1")
        assert not app.screen.query(ErrorPanel)


async def test_a_message_sent_without_a_connection_is_kept_with_one_panel(app: ChatApp, server: FakeOpenAI) -> None:
    server.models_gate.clear()
    server.replies.clear()
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "my question")
        server.models = []
        server.models_gate.set()
        await until_shown(pilot, "no_agents")

        assert "my question" in shown(app)
        assert len(app.screen.query(ErrorPanel)) == 1
        assert CURSOR not in shown(app)

        server.models = [{"id": "fake"}]
        await pilot.press("tab", "r")
        await until_shown(pilot, "Hello world")


# -- reading


async def test_the_view_follows_the_end_only_while_the_reader_is_there(app: ChatApp, server: FakeOpenAI) -> None:
    more, last = threading.Event(), threading.Event()
    lines = [f"line {number}\n\n" for number in range(40)]
    server.script = [*lines, "marker one\n\n", more, *lines, "marker two\n\n", last, *whole("the end")]
    async with app.run_test(notifications=True) as pilot:
        transcript = app.screen.query_one(Transcript)
        await send(pilot, "hi")
        await until_shown(pilot, "marker one")

        await pilot.press("pageup")
        await until_gone(pilot, "marker one")
        height, place = transcript.virtual_size.height, transcript.scroll_y
        more.set()
        await until(pilot, lambda: transcript.virtual_size.height > height + 60)
        assert transcript.scroll_y == place

        await pilot.press("ctrl+end")
        await until_shown(pilot, "marker two")
        last.set()
        await until_shown(pilot, "the end")

        await pilot.press("pageup")
        await until_gone(pilot, "the end")
        await pilot.press("pagedown")
        await until_shown(pilot, "the end")


async def test_a_terminal_of_forty_columns_shows_the_same(app: ChatApp, server: FakeOpenAI) -> None:
    server.scripts = [whole("a short answer"), ["half"]]
    async with app.run_test(notifications=True, size=(40, 20)) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "7 tokens")
        assert "a short answer" in shown(app)

        await send(pilot, "two")
        await until_shown(pilot, "answer_truncated · corr-1")
        assert all(len(line.rstrip()) <= 40 for line in shown(app).splitlines())
        assert "r  Try again" in shown(app)

        await pilot.press("f1")
        await until_shown(pilot, "copy; twice: quit")


async def test_help_opens_and_closes(app: ChatApp) -> None:
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("f1")
        await until_shown(pilot, "stop the answer")
        await pilot.press("f1")
        await until_gone(pilot, "stop the answer")
        await pilot.press("f1")
        await until_shown(pilot, "stop the answer")
        await pilot.press("escape")
        await until_gone(pilot, "stop the answer")


async def test_ctrl_c_copies_what_is_selected_else_quits_at_the_second_press(app: ChatApp) -> None:
    async with app.run_test(notifications=True) as pilot:
        await pilot.press(*"some text", "shift+home", "ctrl+c")
        assert app.clipboard == "some text"

        await pilot.press("end", "ctrl+c")
        await until_shown(pilot, "Press Ctrl+C again to quit.")
        assert draft(app) == "some text"

        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.return_code is not None)
    assert app.return_code == 0


async def test_markup_in_anything_is_text(app: ChatApp, server: FakeOpenAI) -> None:
    hostile = "[/] [bold]x[/bold] [@click=app.quit]y"
    server.models = [{"id": "fake", "name": hostile}]
    server.scripts = [whole(hostile), [frame({"error": {"message": hostile, "code": hostile}})]]
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await send(pilot, hostile)
        await until_shown(pilot, "7 tokens")
        await until(pilot, lambda: shown(app).count(hostile) == 4)

        await send(pilot, "again")
        await until_shown(pilot, f"✗ {hostile}")


async def test_a_pasted_text_keeps_its_lines(app: ChatApp) -> None:
    async with app.run_test(notifications=True) as pilot:
        app.screen.query_one(TextArea).insert("one\ntwo")
        await until_shown(pilot, "two")

        assert draft(app) == "one\ntwo"
