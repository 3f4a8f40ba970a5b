"""Answers in the transcript, by pressing keys, clicking and looking."""

import threading

from sluice_tui.app import ChatApp
from sluice_tui.safety import inert
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.transcript import Transcript
from tests.tui.fake_openai import FakeOpenAI, whole
from tests.tui.screens import CURSOR, send, shown, until, until_gone, until_shown


async def test_a_link_that_is_clicked_opens_nothing_and_is_copied(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = whole("[click me](https://evil.test/a_(b))")
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "x")
        await until_shown(pilot, "click me (https://evil.test/a_(b))")
        await until_gone(pilot, CURSOR)

        await pilot.click("Answer", offset=(2, 1))

        await until_shown(pilot, "Address copied")
        assert app.clipboard == "https://evil.test/a_(b)"


async def test_a_table_grows_row_by_row(app: ChatApp, server: FakeOpenAI) -> None:
    gate = threading.Event()
    server.script = ["| a | b |\n|---|---|\n| 1 | 2 |\n", gate, *whole("| 3 | [/] |\n| 5 | 6 |\n")]
    async with app.run_test() as pilot:
        await send(pilot, "x")
        await until_shown(pilot, "1 │ 2")
        gate.set()
        await until_shown(pilot, "3 │ [/]")
        await until_shown(pilot, "5 │ 6")
        await until_gone(pilot, CURSOR)


async def test_thoughts_are_folded_until_they_are_clicked(app: ChatApp) -> None:
    async with app.run_test() as pilot:
        transcript = app.screen.query_one(Transcript)
        answer = transcript.begin_answer(inert("Nine"))
        answer.reason(inert("Let me *think*."))
        await until_shown(pilot, "▸ Thinking…")
        assert "Let me" not in shown(app)

        answer.append(inert("Yes."))
        answer.end()
        await until_shown(pilot, "▸ Thought")
        await pilot.click(Answer, offset=(2, 1))
        await until_shown(pilot, "┊ Let me think.")

        transcript.action_toggle_reasoning()
        await until_gone(pilot, "Let me")
        assert answer.text == "Yes."


async def test_a_long_answer_of_the_past_is_shown_at_once_as_one_widget(app: ChatApp) -> None:
    async with app.run_test() as pilot:
        transcript = app.screen.query_one(Transcript)
        answer = transcript.begin_answer(inert("Nine"))
        answer.append(inert("".join(f"- item {number}\n" for number in range(5000))))
        answer.end()

        await until_shown(pilot, "item 4999")
        await until(pilot, lambda: transcript.max_scroll_y > 4900)
        assert not answer.children
