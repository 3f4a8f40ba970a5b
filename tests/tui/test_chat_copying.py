"""What is copied from the chat, and found in it: by pressing keys and looking."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sluice_tui.app import ChatApp
from tests.tui.fake_openai import FakeOpenAI, Reply, whole
from tests.tui.screens import draft, send, shown, until, until_gone, until_shown

CODES = "```\na\n```\n\n```make\nall:\n\tb\n```\n"


async def asked(pilot: Pilot[Any], question: str, answer: str) -> None:
    await send(pilot, question)
    await until_shown(pilot, answer)
    await until(pilot, lambda: "esc Stop" not in shown(pilot.app))


async def until_copied(pilot: Pilot[Any], text: str) -> None:
    await until(pilot, lambda: pilot.app.clipboard == text)


async def test_the_last_answer_with_text_and_its_code_are_copied(app: ChatApp, server: FakeOpenAI) -> None:
    refused = Reply(401, {"error": {"message": "not with this key"}})
    server.scripts = [whole(CODES), whole("*second*"), refused]
    async with app.run_test(notifications=True, size=(80, 40)) as pilot:
        await pilot.press("f5")
        await until_shown(pilot, "There is no code to copy.")
        await asked(pilot, "one", "make · 2")
        await asked(pilot, "two", "second")
        await asked(pilot, "three", "not with this key")

        await pilot.press("f4")
        await until_copied(pilot, "*second*")
        await pilot.press("f5")
        await until_shown(pilot, "Copy a block of code")
        await pilot.press("enter")
        await until_copied(pilot, "all:\n\tb")
        await pilot.press("f5", "down", "enter")
        await until_copied(pilot, "a")


async def test_any_message_is_found_gone_to_and_copied(app: ChatApp, server: FakeOpenAI) -> None:
    turns = [{"id": f"u{n}", "role": "user", "content": f"question {n}."} for n in range(60)]
    answers = [{"id": f"a{n}", "role": "assistant", "content": f"answer {n}. " + "x " * 300} for n in range(60)]
    answers[7]["content"] += " the needle [/] " + "y " * 300
    conversation = {"id": "c1", "title": "Hay", "agent": "fake", "created": 1, "updated": 1, "message_count": 120}
    listed = {"data": [message for turn in zip(turns, answers, strict=True) for message in turn], "next_cursor": None}
    server.models = [{"id": "fake", "owned_by": "sluice"}]
    server.replies = {
        "/v1/conversations?limit=100": Reply(200, {"data": [conversation], "next_cursor": None}),
        "/v1/conversations/c1?limit=100": Reply(200, conversation | {"messages": listed}),
    }
    async with app.run_test(notifications=True, size=(80, 30)) as pilot:
        await until_shown(pilot, "● ")
        await pilot.press("ctrl+o")
        await until_shown(pilot, "Hay")
        await pilot.press("enter")
        await until_shown(pilot, "answer 59.")

        await pilot.press("ctrl+f")
        await until_shown(pilot, "Find a message")
        await pilot.press(*"Needle")
        await until_shown(pilot, "the needle [/]")
        await pilot.press("f4")
        await until_copied(pilot, answers[7]["content"])
        await pilot.press("enter")
        await until_gone(pilot, "Find a message")
        await until_shown(pilot, "later messages")
        await until(pilot, lambda: shown(app).find("answer 7.") in range(1, 200))
        # What is read stays, and the newest is one key away.
        await pilot.press("ctrl+end")
        await until_shown(pilot, "answer 59.")


async def test_what_is_copied_in_the_prompt_goes_to_the_desktop_too(
    app: ChatApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program, copied = tmp_path / "wl-copy", tmp_path / "copied"
    program.write_text('#!/bin/sh\ncat > "$(dirname "$0")/unready"; mv "$(dirname "$0")/unready" "$(dirname "$0")/copied"\n')
    program.chmod(0o755)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press(*"a line", "ctrl+x")
        assert draft(app) == ""
        await until(pilot, copied.exists)

    assert copied.read_text().strip() == "a line"


async def test_an_export_from_a_folder_that_is_gone_says_so(
    app: ChatApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    async with app.run_test(notifications=True) as pilot:
        await asked(pilot, "one", "Hello world")
        folder.rmdir()
        await pilot.press("ctrl+s")
        await until_shown(pilot, "Export as")
        await pilot.press("enter")
        await until_shown(pilot, "Nothing was written: the current folder")
