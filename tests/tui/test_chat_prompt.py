"""The prompt, by pressing keys and looking."""

import threading

from sluice_tui.app import ChatApp
from sluice_tui.widgets.prompt import Prompt
from tests.tui.fake_openai import BROKEN, FakeOpenAI, whole
from tests.tui.screens import CURSOR, draft, send, until, until_gone, until_shown


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
    server.script = ["part", gate, BROKEN]
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "part")
        await pilot.press(*"dra")
        gate.set()
        await until_shown(pilot, "upstream_truncated")
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
