"""Reading, help and leaving, by pressing keys and looking."""

import threading

from textual.widgets import TextArea

from sluice_tui.app import ChatApp
from sluice_tui.widgets.transcript import Transcript
from tests.tui.fake_openai import BROKEN, FakeOpenAI, frame, whole
from tests.tui.screens import draft, send, shown, until, until_gone, until_shown


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
    server.scripts = [whole("a short answer"), ["half", BROKEN]]
    async with app.run_test(notifications=True, size=(40, 20)) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "7 tokens")
        assert "a short answer" in shown(app)

        await send(pilot, "two")
        await until_shown(pilot, "upstream_truncated · corr-1")
        assert all(len(line.rstrip()) <= 40 for line in shown(app).splitlines())
        assert "r Try again" in shown(app)

        await pilot.press("f1")
        await until_shown(pilot, "ask the last one again")


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
