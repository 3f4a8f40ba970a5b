"""Answers in the transcript, by pressing keys, clicking and looking."""

import threading
from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Static, TextArea

import sluice_tui.app
from sluice_tui.app import ChatApp
from sluice_tui.safety import Inert, inert
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.question import Question
from sluice_tui.widgets.transcript import Transcript
from tests.tui.fake_openai import FakeOpenAI, whole
from tests.tui.screens import CURSOR, send, shown, until, until_gone, until_shown


async def test_ctrl_c_copies_what_is_selected_and_tells_how(app: ChatApp, server: FakeOpenAI) -> None:
    server.script = whole("# some\n\n*text*")
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "x")
        await until_shown(pilot, "text")
        await until_gone(pilot, CURSOR)

        app.screen.query_one(Answer).text_select_all()
        await pilot.press("ctrl+c")

        await until_shown(pilot, "Selection copied through the terminal (OSC 52).")
        assert app.clipboard.endswith("some\n\ntext")


class Reading(App[None]):
    """A transcript, and something else that has the focus."""

    CSS = "TextArea { height: 4; }"

    CSS_PATH = Path(sluice_tui.app.__file__).with_name("app.tcss")

    def __init__(self) -> None:
        super().__init__()
        self.transcript = Transcript()

    def compose(self) -> ComposeResult:
        yield self.transcript
        yield TextArea()


@pytest.fixture
def reading() -> Reading:
    return Reading()


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


async def test_thoughts_are_folded_until_they_are_clicked(reading: Reading) -> None:
    async with reading.run_test(notifications=True) as pilot:
        transcript = reading.transcript
        answer = transcript.begin_answer(inert("Nine"))
        answer.reason(inert("Let me *think*."))
        await until_shown(pilot, "▸ Thinking…")
        assert "Let me" not in shown(reading)

        answer.append(inert("Yes."))
        answer.end()
        await until_shown(pilot, "▸ Thought")
        await pilot.click(Answer, offset=(2, 1))
        await until_shown(pilot, "┊ Let me think.")

        transcript.action_toggle_reasoning()
        await until_gone(pilot, "Let me")
        assert answer.text == "Yes."


async def test_a_long_answer_of_the_past_is_shown_at_once_as_one_widget(reading: Reading) -> None:
    async with reading.run_test(notifications=True) as pilot:
        transcript = reading.transcript
        answer = transcript.begin_answer(inert("Nine"))
        answer.append(inert("".join(f"- item {number}\n" for number in range(5000))))
        answer.end()

        await until_shown(pilot, "item 4999")
        await until(pilot, lambda: transcript.max_scroll_y > 4900)
        assert not answer.children


def wheel(transcript: Transcript, up: bool = True) -> events.MouseScrollUp | events.MouseScrollDown:
    kind = events.MouseScrollUp if up else events.MouseScrollDown
    return kind(transcript, 5, 5, 0, -1 if up else 1, 0, False, False, False)


def is_wide(transcript: Transcript, width: int) -> bool:
    return transcript.outer_size.width == width


def top_line(reading: Reading) -> str:
    return shown(reading).splitlines()[1].strip()  # below the export's title


def paragraphs(count: int, words: int = 30) -> Inert:
    return inert("".join(f"p{number:04} " + "word " * words + "\n\n" for number in range(count)))


async def test_one_turn_of_the_wheel_leaves_the_end_while_text_streams_and_end_returns(reading: Reading) -> None:
    async with reading.run_test(notifications=True) as pilot:
        transcript = reading.transcript
        answer = transcript.begin_answer(inert("Nine"))
        answer.append(paragraphs(60))
        await until_shown(pilot, "p0059")

        transcript.post_message(wheel(transcript))
        await until(pilot, lambda: not transcript.at_end)
        place = transcript.scroll_y
        for number in range(40):
            answer.append(inert(f"more {number}\n\n"))
            await pilot.pause(0.005)
        await until(pilot, lambda: transcript.new_below)
        assert transcript.scroll_y == place
        assert isinstance(reading.focused, TextArea)

        transcript.follow()
        await until_shown(pilot, "more 39")
        assert not transcript.new_below
        answer.append(inert("the end"))
        await until_shown(pilot, "the end")


async def test_what_is_read_stays_at_the_top_at_any_width_and_when_older_messages_come(reading: Reading) -> None:
    async with reading.run_test(notifications=True, size=(80, 30)) as pilot:
        transcript = reading.transcript
        transcript.begin_answer(inert("Nine")).append(paragraphs(200))
        await until_shown(pilot, "p0199")
        transcript.scroll_to(y=304, animate=False)
        await until_shown(pilot, "p0076")
        line = top_line(reading)[:5]
        assert line == "p0076"

        for width in (50, 120, 41, 80):
            await pilot.resize_terminal(width, 30)
            await until(pilot, partial(is_wide, transcript, width))
            assert top_line(reading)[:5] == line

        older = Answer(inert("Eight"))
        older.append(paragraphs(50))
        older.end()
        height = transcript.virtual_size.height
        transcript.prepend([Question("before"), older])
        await until(pilot, lambda: transcript.virtual_size.height > height + 100)
        await until(pilot, lambda: top_line(reading)[:5] == line)


async def test_a_panel_below_tells_that_there_is_news_and_moves_nothing(reading: Reading) -> None:
    async with reading.run_test(notifications=True) as pilot:
        transcript = reading.transcript
        transcript.begin_answer(inert("Nine")).append(paragraphs(60))
        await until_shown(pilot, "p0059")
        transcript.scroll_home(animate=False)
        await until_shown(pilot, "p0000")

        transcript.add_panel(Static("a panel"))
        await until(pilot, lambda: transcript.new_below)
        assert "p0000" in shown(reading)

        await pilot.pause()
        transcript.follow()
        await until_shown(pilot, "a panel")
        assert not transcript.new_below


async def test_what_the_mouse_selects_is_copied_as_it_was_written(reading: Reading) -> None:
    async with reading.run_test(notifications=True, size=(60, 24)) as pilot:
        transcript = reading.transcript
        answer = transcript.begin_answer(inert("Nine"))
        answer.append(inert("> " + "one two three " * 8 + "\n\n```\nx = 1\n```\n\n日本語 here"))
        answer.end()
        await until_shown(pilot, "here")

        await pilot.mouse_down(Answer, offset=(2, 1))
        await pilot.hover(Answer, offset=(9, 3))
        await pilot.hover(Answer, offset=(6, 8))
        await pilot.mouse_up(Answer, offset=(6, 8))
        await pilot.pause()
        await transcript.action_copy_selection()

        assert reading.clipboard == "one two three " * 7 + "one two three\n\nx = 1\n\n日本語 "


async def test_a_click_beside_the_text_does_no_harm(reading: Reading) -> None:
    async with reading.run_test(notifications=True) as pilot:
        answer = reading.transcript.begin_answer(inert("Nine"))
        answer.append(inert("- [a](https://a.test)\n\n| x |\n|---|\n| [b](https://b.test) |\n\n---\n"))
        answer.end()
        await until_shown(pilot, "b (https://b.test)")

        for y in range(answer.size.height):
            await pilot.click(Answer, offset=(70, y))
        assert not reading.clipboard
        await pilot.click(Answer, offset=(0, 5))
        await until(pilot, lambda: reading.clipboard == "https://b.test")
