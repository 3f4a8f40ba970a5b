"""What happens to a conversation while something else is happening to it: by pressing keys and looking."""

import threading
from typing import Any

import pytest
from textual.pilot import Pilot

from sluice_tui.app import ChatApp
from sluice_tui.screens.shown_turns import Marker
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.prompt import Prompt
from tests.tui.fake_openai import BROKEN, FakeOpenAI, Reply, whole
from tests.tui.screens import draft, send, shown, until, until_gone, until_shown


def stored(turns: int, **changed: object) -> dict[str, Any]:
    summary = {"id": "c1", "title": "Rivers", "agent": "fake", "created": 1, "updated": 1, "message_count": 2 * turns}
    return summary | changed


def messages(turns: int) -> dict[str, Any]:
    listed = []
    for number in range(turns):
        listed.append({"id": f"u{number}", "role": "user", "content": f"question {number}."})
        listed.append({"id": f"a{number}", "role": "assistant", "content": f"answer {number}.", "stream_id": f"s{number}"})
    return {"data": listed, "next_cursor": None}


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def sluice(server: FakeOpenAI, gate: threading.Event) -> FakeOpenAI:
    """A server that stores one conversation of 28 turns, and whose forks wait for the gate."""
    server.models = [{"id": "fake", "name": "Fake", "owned_by": "sluice"}]
    server.stream_id = "s99"
    server.replies = {
        "/v1/onboarding/fake": Reply(200, {"step": 0, "total": 0, "done": True}),
        "/v1/conversations?limit=100": Reply(200, {"data": [stored(28)], "next_cursor": None}),
        "/v1/conversations/c1?limit=100": Reply(200, stored(28) | {"messages": messages(28)}),
        "/v1/conversations/c1/fork": Reply(200, stored(27, id="c2"), gate=gate),
    }
    return server


async def open_stored(pilot: Pilot[Any], first_shown: str = "answer 27.") -> None:
    await until_shown(pilot, "Fake")
    await pilot.press("ctrl+o")
    await until_shown(pilot, "56 messages")
    await pilot.press("enter")
    await until_shown(pilot, first_shown)


async def until_free(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: not pilot.app.screen_stack[0].query_one(Prompt).held)


async def page_up_to_the_oldest(pilot: Pilot[Any]) -> None:
    """Until the newest ones are not mounted any more."""
    later = pilot.app.screen.query(Marker).last()
    while not later.display:
        await pilot.press("pageup")


async def test_while_a_fork_is_on_its_way_nothing_else_begins(
    app: ChatApp, sluice: FakeOpenAI, gate: threading.Event
) -> None:
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await open_stored(pilot)
        await pilot.press(*"a draft")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "/conversations/c1/fork" in sluice.paths)
        await pilot.press("ctrl+r", "ctrl+n", "ctrl+g", "enter")
        await until_shown(pilot, "A conversation is on its way; Esc stops it.")
        await pilot.press("f3")
        await until_shown(pilot, "Turn 28 of 28")
        gate.set()
        await until_free(pilot)
        await pilot.press("escape")

        await until_shown(pilot, "Hello world")
        assert draft(app) == "a draft"
        assert len(sluice.completions) == 1
        assert sluice.completions[0].body["metadata"] == {"conversation_id": "c2"}


async def test_escape_gives_a_fork_up_and_the_edited_question_is_there_again(
    app: ChatApp, sluice: FakeOpenAI, gate: threading.Event
) -> None:
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await open_stored(pilot)
        await pilot.press(*"a draft", "ctrl+g")
        await until_shown(pilot, "Edit a question")
        await pilot.press("enter")
        await until(pilot, lambda: draft(app) == "question 27.")
        await pilot.press("!", "enter")
        await until(pilot, lambda: "/conversations/c1/fork" in sluice.paths)
        assert draft(app) == "a draft"

        await pilot.press("escape")
        await until(pilot, lambda: draft(app) == "question 27.!")
        await until_free(pilot)
        await pilot.press("escape")
        assert draft(app) == "a draft"
        assert "answer 27." in shown(app)
        assert sluice.completions == []
        gate.set()


async def test_a_question_that_was_being_edited_is_not_asked_in_another_conversation(
    app: ChatApp, server: FakeOpenAI
) -> None:
    async with app.run_test(notifications=True) as pilot:
        await send(pilot, "one")
        await until_shown(pilot, "Hello world")
        await until_free(pilot)
        await pilot.press("ctrl+g")
        await until_shown(pilot, "Edit a question")
        await pilot.press("enter")
        await until_shown(pilot, "An earlier question")
        await pilot.press("ctrl+n")
        await until_gone(pilot, "An earlier question")
        await until_free(pilot)
        await send(pilot, "two")
        await until_shown(pilot, "Hello world")

    assert [message["content"] for message in server.completions[1].body["messages"]] == ["two"]


async def test_a_conversation_that_is_being_opened_does_not_push_a_question_aside(
    app: ChatApp, sluice: FakeOpenAI, gate: threading.Event
) -> None:
    path = "/v1/conversations/c1?limit=100"
    sluice.replies[path] = Reply(200, stored(28) | {"messages": messages(28)}, gate=gate)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until_shown(pilot, "Fake")
        await pilot.press("ctrl+o")
        await until_shown(pilot, "56 messages")
        await pilot.press("enter")
        await until(pilot, lambda: path in [request.path for request in sluice.received])
        await send(pilot, "mine")
        await until_shown(pilot, "A conversation is on its way")
        gate.set()
        await until_shown(pilot, "answer 27.")
        await until_free(pilot)
        await pilot.press("enter")
        await until_shown(pilot, "Hello world")

    asked = [message["content"] for message in sluice.completions[0].body["messages"]]
    assert asked[-2:] == ["answer 27.", "mine"]


async def test_the_newest_turn_is_found_from_anywhere_in_a_long_conversation(app: ChatApp, sluice: FakeOpenAI) -> None:
    sluice.scripts = [["half", BROKEN], whole("the second try")]
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await open_stored(pilot)
        await page_up_to_the_oldest(pilot)
        await send(pilot, "the newest")
        await until_shown(pilot, "upstream_truncated")
        await page_up_to_the_oldest(pilot)
        assert not app.screen.query(ErrorPanel)
        await pilot.press("ctrl+end")
        await until_shown(pilot, "the newest")
        await page_up_to_the_oldest(pilot)
        await pilot.press("ctrl+r")
        await until_shown(pilot, "the second try")

        lines = [line.strip() for line in shown(app).splitlines()]
        assert lines[lines.index("the second try") - 2] == "▌ the newest"
