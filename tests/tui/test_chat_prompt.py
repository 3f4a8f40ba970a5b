"""The prompt, by pressing keys and looking."""

import threading
from pathlib import Path

from textual import events

from sluice_tui.api import Endpoint
from sluice_tui.app import ChatApp
from sluice_tui.connection import Connection
from sluice_tui.memory import Memory
from sluice_tui.widgets.prompt import Prompt
from tests.tui.asking import HASTY
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
        for text, tokens in (("one", "7 tokens"), ("two", "7/14 tokens")):
            await send(pilot, text)
            await until_shown(pilot, tokens)
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


async def test_what_was_written_and_sent_is_there_in_the_next_terminal(server: FakeOpenAI, tmp_path: Path) -> None:
    first = remembering(server, tmp_path)
    async with first.run_test(notifications=True) as pilot:
        await send(pilot, "question")
        await until_shown(pilot, "Hello world")
        await pilot.press(*"a dra", "ctrl+j", *"ft")
        await until(pilot, lambda: bool(list(tmp_path.glob("drafts/*.json"))))
        await until(pilot, lambda: "ft" in next(tmp_path.glob("drafts/*.json")).read_text())
        # As if it had been killed: its lock is gone, and it has cleaned nothing up.
        assert first.memory.drafts
        first.memory.drafts.release()

    second = remembering(server, tmp_path)
    async with second.run_test(notifications=True) as pilot:
        await until(pilot, lambda: draft(second) == "a dra\nft")
        await pilot.press(*["backspace"] * 8, "up")
        assert draft(second) == "question"


async def test_a_megabyte_is_pasted_as_one_mark_and_sent_whole(app: ChatApp, server: FakeOpenAI) -> None:
    text = "".join(f"line {number}, and so on\n" for number in range(50_000))
    async with app.run_test(notifications=True) as pilot:
        await pilot.press(*"see: ")
        app.screen.query_one(Prompt).post_message(events.Paste(text))
        await until(pilot, lambda: "⟦pasted: 50,001 lines" in draft(app))
        assert len(draft(app)) < 100

        await pilot.press("enter")
        await until_shown(pilot, "Hello world")

    assert server.completions[0].body["messages"][0]["content"] == f"see: {text}"


async def test_a_mark_of_a_paste_is_deleted_as_one(app: ChatApp) -> None:
    async with app.run_test(notifications=True) as pilot:
        app.screen.query_one(Prompt).post_message(events.Paste("x" * 10_000))
        await until(pilot, lambda: draft(app).endswith("⟧"))
        await pilot.press("backspace")

        assert draft(app) == ""


async def test_what_a_page_put_on_the_clipboard_is_inert_when_it_is_pasted(app: ChatApp) -> None:
    async with app.run_test(notifications=True) as pilot:
        app.screen.query_one(Prompt).post_message(events.Paste("one\r\ntwo\x1b]0;OWNED\x07"))
        await until(pilot, lambda: draft(app) == "one\ntwo␛]0;OWNED␇")


async def test_keys_can_be_given_to_others(server: FakeOpenAI) -> None:
    keys = {"send": "ctrl+b", "newline": "enter", "details": "f9", "help": "f7", "sned": "f10"}
    app = ChatApp(Connection(Endpoint(server.url), patience=HASTY), keys=keys)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until_shown(pilot, "There is no key named sned.")
        await until_shown(pilot, "f9 Info")
        await until_shown(pilot, "Ask something (F7: help)")
        await pilot.press(*"one", "enter", *"two", "ctrl+b")
        await until_shown(pilot, "Hello world")
        await pilot.press("f9")
        await until_shown(pilot, "Turn 1 of 1")

    assert server.completions[0].body["messages"][0]["content"] == "one\ntwo"


async def test_a_theme_that_was_picked_is_there_the_next_time(server: FakeOpenAI, tmp_path: Path) -> None:
    first = remembering(server, tmp_path)
    async with first.run_test(notifications=True) as pilot:
        first.theme = "nord"
        await until(pilot, lambda: (tmp_path / "theme").exists())

    second = remembering(server, tmp_path)
    async with second.run_test(notifications=True) as pilot:
        await until(pilot, lambda: second.theme == "nord")


def remembering(server: FakeOpenAI, folder: Path) -> ChatApp:
    return ChatApp(Connection(Endpoint(server.url), patience=HASTY), Memory.at(folder))


async def test_a_paste_is_only_where_its_own_mark_stands(server: FakeOpenAI, tmp_path: Path) -> None:
    app = remembering(server, tmp_path)
    foreign = f"from a page ⟦pasted 1: x⟧ ⟦pasted {'1' * 5000}: x⟧ ⟦pasted: 1 lines, 12,000 characters⟧"
    async with app.run_test(notifications=True) as pilot:
        prompt = app.screen.query_one(Prompt)
        prompt.post_message(events.Paste("private " * 1500))
        await until(pilot, lambda: draft(app).endswith("⟧"))
        await pilot.press("backspace")
        prompt.post_message(events.Paste(foreign))
        await until(pilot, lambda: draft(app) == foreign)
        assert prompt.draft.pasted == {}

        await pilot.press("enter")
        await until_shown(pilot, "Hello world")
        await pilot.press("ctrl+z")
        assert draft(app) == ""

    assert server.completions[0].body["messages"][0]["content"] == foreign


async def test_what_was_typed_last_is_there_after_quitting_at_once(server: FakeOpenAI, tmp_path: Path) -> None:
    paste = "y" * 9_000
    async with remembering(server, tmp_path).run_test() as pilot:
        await pilot.press(*"see ")
        pilot.app.screen.query_one(Prompt).post_message(events.Paste(paste))
        await until(pilot, lambda: draft(pilot.app).endswith("⟧"))
        await pilot.press("!", "ctrl+q")

    async with remembering(server, tmp_path).run_test() as pilot:
        await until(pilot, lambda: draft(pilot.app).endswith("⟧!"))
        assert pilot.app.screen.query_one(Prompt).whole_text == f"see {paste}!"


def has_draft(folder: Path) -> bool:
    return any(folder.glob("drafts/*.json"))


async def test_a_draft_is_written_down_while_the_user_types_on(server: FakeOpenAI, tmp_path: Path) -> None:
    async with remembering(server, tmp_path).run_test() as pilot:
        for _ in range(1000):
            if has_draft(tmp_path):
                break
            await pilot.press("x")
        assert has_draft(tmp_path)


async def test_a_draft_that_is_too_long_to_be_kept_is_told(server: FakeOpenAI, tmp_path: Path) -> None:
    async with remembering(server, tmp_path).run_test(notifications=True, size=(120, 24)) as pilot:
        pilot.app.screen.query_one(Prompt).post_message(events.Paste("水" * (3 << 19)))
        await until_shown(pilot, "too long to be kept")
